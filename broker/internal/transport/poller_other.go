//go:build !linux

package transport

import (
	"errors"
	"net"
)

// A Poller is for Linux; elsewhere every socket has a goroutine.
type Poller struct{}

// NewPoller returns errors.ErrUnsupported.
func NewPoller(Host) (*Poller, error) { return nil, errors.ErrUnsupported }

// Serve, Yield and Stop are not called.
func (*Poller) Serve(net.Conn) {}
func (*Poller) Yield()         {}
func (*Poller) Stop()          {}

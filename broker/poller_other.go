//go:build !linux

package broker

import "net"

// A poller is for Linux; elsewhere every socket has a goroutine.
type poller struct{}

func (*poller) stop() {}

func (b *Broker) driver(net.Listener) func(net.Conn) { return b.serveConn }

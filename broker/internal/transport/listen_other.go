//go:build !unix

package transport

import (
	"errors"
	"io/fs"
	"net"
)

// listenUnix listens on a Unix socket, which has no permissions of its own here.
func ListenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if mode != 0 {
		return nil, errors.New("listen unix " + path + ": this system knows no mode of a socket: expected 0")
	}
	return net.Listen("unix", path)
}

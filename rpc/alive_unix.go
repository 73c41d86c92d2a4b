//go:build unix

package rpc

import (
	"net"
	"syscall"
)

// isDead says whether Redis is known to have closed the connection, and sent
// nothing before that is yet to be read. It may be read meanwhile.
func (c *conn) isDead() bool {
	raw := c.Conn
	if t, ok := raw.(interface{ NetConn() net.Conn }); ok { // of TLS
		raw = t.NetConn()
	}
	s, ok := raw.(syscall.Conn)
	if !ok {
		return false
	}
	control, err := s.SyscallConn()
	if err != nil {
		return true
	}
	dead := false
	err = control.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		dead = n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
	})
	return dead || err != nil
}

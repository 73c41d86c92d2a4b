//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package rpc

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// peerClosed reports whether the other side is known to have closed the socket, and to
// have sent nothing before that is yet to be read.
func peerClosed(raw net.Conn) (closed bool) {
	err := withSocket(raw, func(fd int) {
		var b [1]byte
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		closed = n == 0 && err == nil || err != nil && err != unix.EAGAIN && err != unix.EINTR
	})
	return closed || err != nil
}

// unsentBytes is how much of what was written the other side has not confirmed, where
// the system tells, as Linux does.
func unsentBytes(raw net.Conn) (n int) {
	var unknown error
	err := withSocket(raw, func(fd int) { n, unknown = unix.IoctlGetInt(fd, unix.TIOCOUTQ) })
	if err != nil || unknown != nil {
		return 0
	}
	return n
}

// withSocket calls f with the descriptor, if it is a socket.
func withSocket(raw net.Conn, f func(fd int)) error {
	s, ok := raw.(syscall.Conn)
	if !ok {
		return nil
	}
	control, err := s.SyscallConn()
	if err != nil {
		return err
	}
	return control.Control(func(fd uintptr) { f(int(fd)) })
}

//go:build unix && !linux

package broker

import "syscall"

// peer asks the kernel whether the client has closed its side. Without Linux's
// POLLRDHUP a client that closed with input still unread is found out later.
func (s *socket) peer() peer {
	if s.raw == nil {
		return present
	}
	p := gone // a connection without a descriptor has been closed
	err := s.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err != syscall.ECONNRESET && (err != nil || n > 0) {
			p = present
		}
	})
	if err != nil {
		return gone
	}
	return p
}

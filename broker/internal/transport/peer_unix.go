//go:build unix && !linux

package transport

import "syscall"

// Peer asks the kernel whether the client has closed its side. Without Linux's
// POLLRDHUP a client that closed with input still unread is found out later.
func (s *socket) Peer() Peer {
	if s.raw == nil {
		return Present
	}
	p := Gone // a connection without a descriptor has been closed
	err := s.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err != syscall.ECONNRESET && (err != nil || n > 0) {
			p = Present
		}
	})
	if err != nil {
		return Gone
	}
	return p
}

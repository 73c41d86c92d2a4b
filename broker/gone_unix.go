//go:build unix && !linux

package broker

import "syscall"

// gone asks the kernel whether the client has closed its side. Without Linux's
// POLLRDHUP a client that closed with input still unread is found out later.
func (s *socket) gone() bool {
	if s.raw == nil {
		return false
	}
	gone := true // a connection without a descriptor has been closed
	err := s.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = err == nil && n == 0 || err == syscall.ECONNRESET
	})
	return err != nil || gone
}

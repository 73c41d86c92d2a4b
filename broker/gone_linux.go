package broker

import "golang.org/x/sys/unix"

// gone asks the kernel whether the client has closed its side. It sees that also
// when input is still unread, and as soon as the client's close has returned.
func (s *socket) gone() bool {
	if s.raw == nil {
		return false
	}
	gone := true // a connection without a descriptor has been closed
	err := s.raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(p, 0)
		gone = err == nil && n > 0
	})
	return err != nil || gone
}

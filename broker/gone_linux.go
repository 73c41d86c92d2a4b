package broker

import "golang.org/x/sys/unix"

// gone asks the kernel whether the client has closed its side. It sees that as
// soon as the client's close has returned, also when input is still unread. Only
// a client that sent more than the receive buffer holds has an end which the
// kernel has not seen yet.
func (s *socket) gone() bool {
	if s.raw == nil {
		return false
	}
	gone := true // a connection without a descriptor has been closed
	err := s.raw.Control(func(fd uintptr) {
		// While the reader is in a read, what arrives waits for it in the kernel, the
		// client's end too. To peek is to queue up behind the reader.
		var b [1]byte
		unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT) // only to take turns
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(poll, 0)
		gone = err == nil && n > 0
	})
	return err != nil || gone
}

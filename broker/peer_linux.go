package broker

import "golang.org/x/sys/unix"

// maxUnread is how much unread input there may be while a client's end is still
// seen at once. TCP sends the end behind all data, and data only as far as the
// receiver has room for it, which is 64 KiB at the least.
const maxUnread = 16 << 10

// peer asks the kernel whether the client has closed its side. It sees that as
// soon as the client's close has returned, also when input is still unread. Only
// behind more input than the receive buffer holds the end may not have come yet.
func (s *socket) peer() peer {
	if s.raw == nil {
		return present
	}
	p := gone // a connection without a descriptor has been closed
	err := s.raw.Control(func(fd uintptr) {
		// While the reader is in a read, what arrives waits for it in the kernel, the
		// client's end too. To peek is to queue up behind the reader.
		var b [1]byte
		unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT) // only to take turns
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}}
		_, err := unix.Poll(poll, 0)
		events := poll[0].Revents
		switch {
		case err != nil: // which says nothing about the client
			p = present
		case events&^unix.POLLIN != 0:
			p = gone
		case events&unix.POLLIN != 0 && s.manyUnread(int(fd)):
			p = unsure
		default:
			p = present
		}
	})
	if err != nil {
		return gone
	}
	return p
}

// manyUnread reports whether the client sent so much that more may follow which
// the kernel has no room for yet.
func (s *socket) manyUnread(fd int) bool {
	if s.session.requests.waiting() > maxUnread {
		return true
	}
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	return err == nil && n > maxUnread
}

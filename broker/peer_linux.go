package broker

import "golang.org/x/sys/unix"

// maxUnread is how much unread input there may be while a client's end is still
// seen at once. TCP sends the end behind all data, and data only as far as the
// receiver has room for it, which is 64 KiB at the least.
const maxUnread = 16 << 10

// peer asks the kernel whether the client has closed its side. It sees that as
// soon as the client's close has returned, also when input is still unread.
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
		if _, err := unix.Poll(poll, 0); err != nil {
			p = present // the poll failed, which says nothing about the client
			return
		}
		switch events := poll[0].Revents; {
		case events&^unix.POLLIN != 0:
			p = gone
		case events&unix.POLLIN != 0:
			p = present
			if n, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ); err == nil && n > maxUnread {
				p = unsure
			}
		default:
			p = present
		}
	})
	if err != nil {
		return gone
	}
	return p
}

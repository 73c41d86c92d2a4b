package transport

import "golang.org/x/sys/unix"

// maxUnread is how much unread input there may be while a client's end is still
// seen at once. TCP sends the end behind all data, and data only as far as the
// receiver has room for it, which is 64 KiB at the least.
const maxUnread = 16 << 10

// Peer tells whether the client is still there.
func (s *socket) Peer() Peer {
	if s.raw == nil {
		return Present
	}
	p := Gone // a connection without a descriptor has been closed
	if s.raw.Control(func(fd uintptr) { p = peerOf(int(fd), s.session.Unread()) }) != nil {
		return Gone
	}
	return p
}

// peerOf asks the kernel whether the other side of a socket has been closed. It
// sees that as soon as the client's close has returned, also when input is still
// unread. Only behind more input than the receive buffer holds the end may not
// have come yet. Waiting is the number of bytes read and not yet looked at.
func peerOf(fd, waiting int) Peer {
	// While somebody is in a read, what arrives waits for that in the kernel, the
	// client's end too. To peek is to queue up behind it.
	var b [1]byte
	unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT) // only to take turns
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}}
	_, err := unix.Poll(poll, 0)
	events := poll[0].Revents
	switch {
	case err != nil: // which says nothing about the client
		return Present
	case events&^unix.POLLIN != 0:
		return Gone
	case events&unix.POLLIN == 0:
		return Present
	}
	unread, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	if err == nil && max(unread, waiting) > maxUnread {
		return Unsure
	}
	return Present
}

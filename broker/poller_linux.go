package broker

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A poller serves all plain TCP and Unix sockets of a broker with one goroutine
// on a thread of its own. It waits until any of them can be read, takes the
// broker's lock once for all that can, and writes the replies when it has
// released it. An idle connection has no goroutine and no buffer.
type poller struct {
	broker *Broker
	epoll  int
	wakeup int // an eventfd that stop writes to
	once   sync.Once

	mu      sync.Mutex // guards what follows; taken last
	sockets map[int32]*polled
	lastKey int32
}

// wakeupKey stands for the eventfd among the keys of sockets.
const wakeupKey = 0

// driver returns what serves the connections that a listener accepts.
func (b *Broker) driver(l net.Listener) func(net.Conn) {
	switch l.(type) {
	case *net.TCPListener, *net.UnixListener:
	default:
		return b.serveConn // TLS, for example
	}
	if b.poller == nil {
		p, err := newPoller(b)
		if err != nil {
			b.log(slog.LevelWarn, "sockets are served by a goroutine each", "error", err)
			return b.serveConn
		}
		b.poller = p
	}
	return b.poller.serve
}

func newPoller(b *Broker) (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	wakeup, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	p := &poller{broker: b, epoll: epoll, wakeup: wakeup, sockets: map[int32]*polled{}}
	if err := p.control(unix.EPOLL_CTL_ADD, wakeup, wakeupKey, unix.EPOLLIN); err != nil {
		p.close()
		return nil, err
	}
	if !b.goroutines.enter("poller") {
		p.close()
		return nil, ErrClosed
	}
	go p.run()
	return p, nil
}

// abortAll closes the sockets that are left: those without a session any more, but
// with output that their clients do not read.
func (p *poller) abortAll() {
	p.mu.Lock()
	sockets := slices.Collect(maps.Values(p.sockets))
	p.mu.Unlock()
	for _, s := range sockets {
		s.abort()
	}
}

func (p *poller) close() {
	unix.Close(p.epoll)
	unix.Close(p.wakeup)
}

// stop makes the goroutine end.
func (p *poller) stop() {
	p.once.Do(func() {
		one := [8]byte{1}
		unix.Write(p.wakeup, one[:]) // fails only if it was written to already
	})
}

func (p *poller) control(op, fd int, key int32, events uint32) error {
	if err := unix.EpollCtl(p.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: key}); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (p *poller) find(key int32) *polled {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sockets[key]
}

// run serves until stop is called.
func (p *poller) run() {
	defer p.broker.goroutines.leave("poller")
	defer p.close()
	defer p.abortAll()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	events := make([]unix.EpollEvent, 512)
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.EpollWait(p.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			p.broker.options.Logger.Error("epoll_wait failed: no socket is served any more", "error", err)
			return
		}
		if !p.handle(events[:max(0, n)], buf) {
			return
		}
	}
}

// handle serves the sockets that are ready. It reports false when the poller is
// to stop.
func (p *poller) handle(events []unix.EpollEvent, buf []byte) bool {
	var writable []*polled
	p.broker.enter()
	goOn := true
	for i := range events {
		if events[i].Fd == wakeupKey {
			goOn = false
			continue
		}
		s := p.find(events[i].Fd)
		if s == nil {
			continue // closed meanwhile
		}
		if events[i].Events&unix.EPOLLOUT != 0 {
			writable = append(writable, s)
		}
		if events[i].Events&^unix.EPOLLOUT != 0 {
			s.receive(buf)
		}
	}
	p.broker.leave()
	for _, s := range writable {
		s.writable()
	}
	return goOn
}

// serve takes over a connection.
func (p *poller) serve(conn net.Conn) {
	s := &polled{poller: p}
	s.client, s.server = socketAddresses(conn)
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err == nil {
		controlErr := raw.Control(func(fd uintptr) {
			s.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		})
		if err == nil {
			err = controlErr
		}
	}
	conn.Close() // the copy of its descriptor keeps the connection open
	if err != nil {
		p.broker.options.Logger.Warn("a connection could not be taken over", "client", s.client, "error", err)
		return
	}
	p.broker.enter()
	defer p.broker.leave()
	p.mu.Lock()
	p.lastKey++
	s.key = p.lastKey
	p.sockets[s.key] = s
	p.mu.Unlock()
	if err := p.broker.open(s); err != nil {
		s.abort()
		return
	}
	if err := p.control(unix.EPOLL_CTL_ADD, s.fd, s.key, unix.EPOLLIN); err != nil {
		p.broker.log(slog.LevelWarn, "a connection could not be served", "client", s.client, "error", err)
		s.session.abort()
	}
}

// A polled is the link of a client on a socket that a poller serves.
type polled struct {
	outbox
	poller         *poller
	session        *session
	key            int32
	client, server string // addresses

	// using guards what follows, and every use of the descriptor, so that it is
	// not closed, and its number given to another, in the middle. Taken last.
	using   sync.Mutex
	fd      int    // -1: closed
	stalled []byte // what the kernel did not take yet
}

func (s *polled) attach(x *session)           { s.session = x }
func (s *polled) addresses() (string, string) { return s.client, s.server }
func (s *polled) flush()                      { s.write(s) }
func (s *polled) finish()                     { s.outbox.finish(s) }
func (s *polled) abort()                      { s.outbox.abort(s) }

// receive passes on what the client has sent. It is called under the broker's
// lock.
func (s *polled) receive(buf []byte) {
	s.using.Lock()
	n, err := s.call(unix.Read, buf)
	s.using.Unlock()
	switch {
	case n > 0:
		s.session.input(buf[:n])
	case err != unix.EAGAIN: // the end, or a connection that is of no more use
		s.session.abort()
	}
}

func (s *polled) tryWrite(p []byte) (int, error) {
	s.using.Lock()
	defer s.using.Unlock()
	n, err := s.call(unix.Write, p)
	if err == unix.EAGAIN {
		return 0, nil
	}
	return n, err
}

// call makes a system call, again if a signal interrupted it. It is called with
// using held.
func (s *polled) call(f func(int, []byte) (int, error), p []byte) (int, error) {
	if s.fd < 0 {
		return 0, net.ErrClosed
	}
	for {
		n, err := f(s.fd, p)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// stall waits until the socket can be written.
func (s *polled) stall(rest []byte) {
	s.using.Lock()
	s.stalled = rest
	err := s.watch(unix.EPOLLIN | unix.EPOLLOUT)
	s.using.Unlock()
	if err != nil {
		s.resume(s, err)
	}
}

// watch chooses what the poller waits for. It is called with using held.
func (s *polled) watch(events uint32) error {
	if s.fd < 0 {
		return net.ErrClosed
	}
	return s.poller.control(unix.EPOLL_CTL_MOD, s.fd, s.key, events)
}

// writable goes on after a stall.
func (s *polled) writable() {
	s.using.Lock()
	n, err := s.call(unix.Write, s.stalled)
	if err == unix.EAGAIN {
		n, err = 0, nil
	}
	if err == nil {
		if s.stalled = s.stalled[n:]; len(s.stalled) > 0 {
			rest := len(s.stalled)
			s.using.Unlock()
			s.left(rest)
			return
		}
		err = s.watch(unix.EPOLLIN)
	}
	s.stalled = nil
	s.using.Unlock()
	s.resume(s, err)
}

// fail makes the poller find the end of the connection.
func (s *polled) fail() {
	s.using.Lock()
	defer s.using.Unlock()
	if s.fd >= 0 {
		unix.Shutdown(s.fd, unix.SHUT_RDWR) // fails only if the client did so already
	}
}

// shut closes the socket, and forgets it.
func (s *polled) shut() {
	s.poller.mu.Lock()
	delete(s.poller.sockets, s.key)
	s.poller.mu.Unlock()
	s.using.Lock()
	defer s.using.Unlock()
	unix.Close(s.fd)
	s.fd = -1
}

func (s *polled) peer() peer {
	s.using.Lock()
	defer s.using.Unlock()
	if s.fd < 0 {
		return gone
	}
	return peerOf(s.fd, s.session.requests.waiting())
}

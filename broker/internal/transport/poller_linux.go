package transport

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Poller serves all plain TCP and Unix sockets of a broker with one goroutine. It
// takes the broker's lock once for all sockets that can be read, and writes the
// replies when it has released it. An idle connection has no goroutine and no
// buffer.
//
// The sockets are in an epoll instance, which is itself in that of the Go runtime:
// while none can be read the goroutine is parked like one that reads a net.Conn,
// and takes no thread. System calls that cannot wait are made without telling the
// scheduler of them: it would look after each of them from a thread of its own,
// which took a tenth of the processor under load.
type Poller struct {
	host  Host
	file  *os.File // the epoll instance
	raw   syscall.RawConn
	epoll int          // its descriptor
	turn  atomic.Int64 // how often another goroutine has taken over

	mu      sync.Mutex // guards what follows; taken last
	sockets map[int32]*polled
	lastKey int32
}

// NewPoller returns one that runs until Stop.
func NewPoller(h Host) (*Poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("fcntl: %w", err)
	}
	p := &Poller{host: h, file: os.NewFile(uintptr(epoll), "epoll"), epoll: epoll, sockets: map[int32]*polled{}}
	if err := p.file.SetReadDeadline(time.Time{}); err != nil { // the runtime cannot wait for it
		p.file.Close()
		return nil, err
	}
	if p.raw, err = p.file.SyscallConn(); err != nil || !h.Go("poller", func() { p.run(0) }) {
		p.file.Close()
		return nil, net.ErrClosed
	}
	return p, nil
}

// Yield is called under the host's lock in the poller's goroutine, if that is not to come
// back soon: another one takes over.
func (p *Poller) Yield() {
	turn := p.turn.Load() + 1
	if p.host.Go("poller", func() { p.run(turn) }) {
		p.turn.Store(turn)
	}
}

// abortAll closes the sockets that are left: those without a session any more, but
// with output that their clients do not read.
func (p *Poller) abortAll() {
	p.mu.Lock()
	sockets := slices.Collect(maps.Values(p.sockets))
	p.mu.Unlock()
	for _, s := range sockets {
		s.Abort()
	}
}

// Stop makes the goroutine end.
func (p *Poller) Stop() {
	p.file.SetReadDeadline(time.Unix(1, 0)) // fails only if it has ended
}

func (p *Poller) control(op, fd int, key int32, events uint32) error {
	if err := unix.EpollCtl(p.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: key}); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (p *Poller) find(key int32) *polled {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sockets[key]
}

// run serves until stop is called, or another goroutine takes over.
func (p *Poller) run(turn int64) {
	events := make([]unix.EpollEvent, 512)
	buf := make([]byte, 64<<10)
	var n int
	var err error
	ready := func(uintptr) bool {
		n, err = epollWait(p.epoll, events)
		return n != 0 || err != nil
	}
	for p.raw.Read(ready) == nil {
		if err != nil && err != unix.EINTR {
			p.host.Logger().Error("epoll_wait failed: no socket is served any more", "error", err)
			break
		}
		if !p.handle(events[:max(0, n)], buf, turn) {
			return
		}
	}
	p.abortAll()
	p.file.Close()
}

// epollWait returns what is ready, without waiting.
func epollWait(epoll int, events []unix.EpollEvent) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	return result(n, errno)
}

// readNow and writeNow are system calls on a descriptor that does not block.
func readNow(fd int, p []byte) (int, error)  { return transfer(unix.SYS_READ, fd, p) }
func writeNow(fd int, p []byte) (int, error) { return transfer(unix.SYS_WRITE, fd, p) }

func transfer(call uintptr, fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return result(n, errno)
}

func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// handle serves the sockets that are ready. It reports false if another goroutine has taken
// over meanwhile, which finds those that are left ready, too.
func (p *Poller) handle(events []unix.EpollEvent, buf []byte, turn int64) bool {
	var writable []*polled
	p.host.EnterPolling()
	for i := range events {
		if p.turn.Load() != turn {
			break
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
	p.host.Leave()
	if p.turn.Load() != turn {
		return false
	}
	for _, s := range writable {
		s.writable()
	}
	return true
}

// Serve takes over a connection.
func (p *Poller) Serve(conn net.Conn) {
	s := &polled{poller: p, ends: endsOf(conn)}
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
		p.host.Logger().Warn("a connection could not be taken over", "client", s.client, "error", err)
		return
	}
	p.host.Enter()
	defer p.host.Leave()
	p.mu.Lock()
	p.lastKey++
	s.key = p.lastKey
	p.sockets[s.key] = s
	p.mu.Unlock()
	if err := p.host.Open(s); err != nil {
		s.Abort()
		return
	}
	if err := p.control(unix.EPOLL_CTL_ADD, s.fd, s.key, unix.EPOLLIN); err != nil {
		p.host.Warn("a connection could not be served", "client", s.client, "error", err)
		s.session.Abort()
	}
}

// A polled is the link of a client on a socket that a poller serves.
type polled struct {
	outputBuffer
	ends
	poller  *Poller
	session Session
	key     int32

	// using guards what follows, and every use of the descriptor, so that it is
	// not closed, and its number given to another, in the middle. Taken last.
	using   sync.Mutex
	fd      int         // -1: closed
	stalled []byte      // what the kernel did not take yet
	timer   *time.Timer // aborts it some time after part; nil before
	late    int         // bytes that came after part
}

func (s *polled) Attach(x Session) { s.session = x }
func (s *polled) Flush()           { s.write(s) }
func (s *polled) Finish()          { s.outputBuffer.finish(s) }
func (s *polled) Abort()           { s.outputBuffer.abort(s) }

func (s *polled) Descriptor() int {
	s.using.Lock()
	defer s.using.Unlock()
	return s.fd
}

// receive passes on what the client has sent. It is called under the broker's
// lock.
func (s *polled) receive(buf []byte) {
	s.using.Lock()
	n, err := s.call(readNow, buf)
	s.using.Unlock()
	switch {
	case n > 0 && s.session.IsOver():
		if s.late += n; s.late > inputAtEnd {
			s.Abort()
		}
	case n > 0:
		s.poller.host.StartTiming() // to read is no part of a command
		s.session.Input(buf[:n])
	case err != unix.EAGAIN: // the end, or a connection that is of no more use
		s.session.HangUp()
		s.Abort()
	}
}

func (s *polled) tryWrite(p []byte) (int, error) {
	s.using.Lock()
	defer s.using.Unlock()
	n, err := s.call(writeNow, p)
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
	n, err := s.call(writeNow, s.stalled)
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

// part shuts one direction. The poller finds the end of the other, and what comes
// before it is dropped, as the session is closed.
func (s *polled) part() {
	s.using.Lock()
	err := error(net.ErrClosed)
	if s.fd >= 0 {
		err = unix.Shutdown(s.fd, unix.SHUT_WR)
		s.timer = time.AfterFunc(PatienceAtEnd, s.Abort)
	}
	s.using.Unlock()
	if err != nil {
		s.Abort()
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
	if s.timer != nil {
		s.timer.Stop()
	}
}

func (s *polled) Peer() Peer {
	s.using.Lock()
	defer s.using.Unlock()
	if s.fd < 0 {
		return Gone
	}
	return peerOf(s.fd, s.session.Unread())
}

package rpc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"redrpc/rpc/internal/wire"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A line is one connection that many share. What they want to send gathers while
// the last batch is written, so there are as many commands in a batch as are
// worth it: one if there is little to do, hundreds if there is much. Nobody waits
// for a reply before the next batch is sent.
//
// The connection is made when there is something to send, and made again when it
// is lost and somebody still waits for something.
type line struct {
	link *link
	user traffic

	wake    chan struct{} // of size 1: there is something to send
	hurry   chan struct{} // of size 1: don't pause before the next attempt to connect
	closing chan struct{}
	closed  chan struct{}
	start   sync.Once
	stop    sync.Once
}

// traffic is what goes over a line. All but push and the batches' read are called
// by one goroutine, push and read by another.
type traffic interface {
	// connect makes a connection.
	connect() (*conn, error)

	// up is told that there is a new connection, down that there cannot be one
	// now, lost that there is no longer one.
	up()
	down(error)
	lost(error)

	// waiting says whether a connection is needed although nothing is to be sent.
	waiting() bool

	// gather appends the commands that are to be sent and returns who reads their
	// replies, or nil if there is nothing to send.
	gather(out []byte) ([]byte, batch)

	// push reads a push message of so many elements.
	push(r *reader, elements int) error

	// quiet is called before a read that may have to wait.
	quiet()

	// tick is called about every second while something is sent or waited for.
	tick()
}

// A batch is commands that were sent together.
type batch interface {
	// read reads the replies. Its error means that the connection is of no use
	// any more. If it is one that passes, all replies have been read.
	read(r *reader) error

	// unread is called if the replies, or the rest of them, will not come.
	unread(how wrote, why error)
}

// wrote is how much of a batch was written.
type wrote int

const (
	wroteAll wrote = iota
	wroteSome
	wroteNothing
)

func newLine(l *link, user traffic) *line {
	return &line{
		link: l, user: user,
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		closing: make(chan struct{}), closed: make(chan struct{}),
	}
}

// signal says that there is something to send.
func (l *line) signal() {
	l.start.Do(func() { go l.run() })
	poke(l.wake)
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// close cuts the connection and returns when nothing runs any more. The link has
// to be closed before.
func (l *line) close() {
	l.stop.Do(func() { close(l.closing) })
	l.start.Do(func() { close(l.closed) })
	<-l.closed
}

func (l *line) run() {
	defer close(l.closed)
	var again backoff
	for {
		select {
		case <-l.wake:
		case <-l.closing:
			return
		}
		c, err := l.user.connect()
		if err != nil {
			l.link.failed(err)
			l.user.down(err)
		} else {
			began := time.Now()
			l.user.up()
			poke(l.wake) // for what was to be sent before
			err = l.serve(c)
			l.link.failed(err)
			l.user.lost(err)
			if time.Since(began) > longestPause {
				again = backoff{}
			}
		}
		if !again.pause(l.hurry, l.closing) {
			return
		}
		if l.user.waiting() {
			poke(l.wake)
		}
	}
}

// serve sends and receives until the connection is lost.
func (l *line) serve(c *conn) error {
	s := &service{line: l, conn: c}
	c.pushed = func(n int) error { return l.user.push(&c.reader, n) }
	c.quiet = l.user.quiet
	broken := make(chan error, 1)
	go func() {
		err := s.receive()
		c.Close()
		broken <- err
	}()
	err := s.send(broken)
	c.Close()
	if why := <-broken; errors.Is(err, net.ErrClosed) && why != nil {
		err = why
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.sent {
		how := wroteAll
		if i == len(s.sent)-1 && !(s.last == wroteSome && !c.multi) { // without MULTI a part counts, too
			how = s.last
		}
		o.batch.unread(how, err)
	}
	return err
}

// A service is a line while it is connected.
type service struct {
	*line
	conn *conn

	mu      sync.Mutex // guards what follows
	sent    []sent     // not all replies have come
	parting error      // Redis refuses for now: what was sent is read to its end, then the connection is given up
	parted  bool       // nothing is read any more

	last wrote     // how much of the batch that was sent last
	when time.Time // it was sent
}

type sent struct {
	batch
	when time.Time
}

// largestBuffer is how much memory is kept for the next batch.
const largestBuffer = 1 << 20

// send writes batches. If broken delivers it puts that back.
func (s *service) send(broken chan error) error {
	var out []byte
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	ticking := true
	for {
		select {
		case <-s.wake:
			if s.isParting() {
				continue // until broken says so
			}
			runtime.Gosched() // whoever is ready to send something, too, goes first
			for {
				var b batch
				if out, b = s.user.gather(out[:0]); b == nil {
					break
				}
				if err := s.write(out, b); err != nil {
					return err
				}
				if cap(out) > largestBuffer {
					out = nil
				}
			}
			if !ticking {
				ticking = true
				timer.Reset(time.Second)
			}
		case <-timer.C:
			if err := s.late(); err != nil {
				return err
			}
			s.user.tick()
			if ticking = s.user.waiting() || s.outstanding() > 0; ticking {
				timer.Reset(time.Second)
			}
		case err := <-broken:
			broken <- nil
			return err
		case <-s.closing:
			return redis.ErrClosed
		}
	}
}

func (s *service) write(out []byte, b batch) error {
	now := time.Now()
	s.mu.Lock()
	s.sent = append(s.sent, sent{b, now})
	parted := s.parted
	s.mu.Unlock()
	if parted {
		s.last = wroteNothing
		return net.ErrClosed
	}
	if now.Sub(s.when) > time.Millisecond && s.conn.isDead() {
		s.last = wroteNothing
		return net.ErrClosed
	}
	s.when = now
	n, err := s.conn.send(out)
	switch {
	case n == 0:
		s.last = wroteNothing
	case n < len(out):
		s.last = wroteSome
	}
	return err
}

// late returns an error if a reply is due and nothing has come for too long.
func (s *service) late() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sent) == 0 || s.link.read == 0 || time.Since(s.sent[0].when) < s.link.read ||
		time.Since(time.Unix(0, s.conn.heard.Load())) < s.link.read {
		return nil
	}
	return fmt.Errorf("no reply within %v: %w", s.link.read, os.ErrDeadlineExceeded)
}

func (s *service) outstanding() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sent)
}

// receive reads what comes.
func (s *service) receive() error {
	r := &s.conn.reader
	for {
		head, err := r.Peek(1)
		if err != nil {
			return err
		}
		if head[0] == '>' {
			if err := r.pushMessage(); err != nil {
				return err
			}
			continue
		}
		s.mu.Lock()
		if len(s.sent) == 0 {
			s.mu.Unlock()
			_, text, err := r.header()
			if err == nil {
				err = fmt.Errorf("got %s, which answers nothing", wire.Excerpt(text))
			}
			return err
		}
		b := s.sent[0].batch
		s.mu.Unlock()
		err = b.read(r)
		if err != nil && !isPassing(err) {
			return err
		}
		s.mu.Lock()
		s.sent = s.sent[:copy(s.sent, s.sent[1:])]
		if s.parting == nil {
			s.parting = err
		}
		err = s.parting
		s.parted = err != nil && len(s.sent) == 0
		parted := s.parted
		s.mu.Unlock()
		if parted {
			return err
		}
	}
}

func (s *service) isParting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parting != nil
}

// A backoff is the pauses between attempts that fail. They grow and differ, so
// that those who lost the same Redis do not all come back at the same time.
type backoff struct{ next time.Duration }

const (
	shortestPause = 10 * time.Millisecond
	longestPause  = 500 * time.Millisecond
)

// step returns the length of the next pause.
func (b *backoff) step() time.Duration {
	d := max(b.next, shortestPause)
	b.next = min(2*d, longestPause)
	return d/2 + rand.N(d/2)
}

// pause reports whether it ended otherwise than by the end of stop.
func (b *backoff) pause(hurry, stop <-chan struct{}) bool {
	timer := time.NewTimer(b.step())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hurry:
	case <-stop:
		return false
	}
	return true
}

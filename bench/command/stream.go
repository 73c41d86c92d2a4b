package command

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"redrpc/bench"
)

// A stream is a connection on which replies come in the order of their requests. With a
// pipeline, one goroutine writes all requests and another reads all replies. Without one,
// the goroutine that sends a request also reads its reply, which saves a context switch.
type stream struct {
	net.Conn
	replies *replyReader
	piped   bool
	wake    chan struct{} // there is something to write

	mu         sync.Mutex // guards what follows
	waiting    []*request // a ring of those without a reply
	oldest, n  int        // of waiting
	out, spare []byte     // to write
	over       error      // why the stream has ended
}

func newStream(conn net.Conn, pipeline int, piped bool) *stream {
	return &stream{
		Conn: conn, replies: newReplyReader(conn), piped: piped,
		wake: make(chan struct{}, 1), waiting: make([]*request, pipeline),
	}
}

// do sends a request and waits for its reply. The error may be a ReplyError.
func (s *stream) do(r *request) error {
	s.mu.Lock()
	if s.over != nil {
		defer s.mu.Unlock()
		return s.over
	}
	r.left = r.replies
	s.waiting[(s.oldest+s.n)%len(s.waiting)] = r
	s.n++
	if !s.piped {
		s.mu.Unlock()
		return s.alone(r)
	}
	first := len(s.out) == 0
	s.out = append(s.out, r.encoded...)
	s.mu.Unlock()
	if first {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	<-r.done
	return r.err
}

// alone does what do is for where no other request is on the stream.
func (s *stream) alone(r *request) error {
	_, err := s.Write(r.encoded)
	var refused ReplyError
	for ; r.left > 0 && err == nil; r.left-- {
		refused, err = s.replies.read()
	}
	r.null = s.replies.null
	s.mu.Lock()
	s.n = 0
	s.mu.Unlock()
	switch {
	case err != nil:
		return s.end(lost(err))
	case refused != "":
		return refused
	}
	return nil
}

// batch sends all of a batch at once, and tells it of each reply.
func (s *stream) batch(r *request, b *bench.Batch) {
	s.mu.Lock()
	err := s.over
	s.waiting[0], s.oldest, s.n = r, 0, 1
	s.mu.Unlock()
	if err == nil {
		_, err = s.Write(r.all)
	}
	for i := range b.Numbers {
		var refused ReplyError
		if err == nil {
			refused, err = s.replies.read()
		}
		switch {
		case err != nil:
			err = s.end(lost(err))
			b.Done(i, err)
		case refused != "":
			b.Done(i, refused)
		default:
			b.Done(i, nil)
		}
	}
	s.mu.Lock()
	s.n = 0
	s.mu.Unlock()
}

// write writes what is sent until the stream ends. It lets all who are about to send
// something do so first.
func (s *stream) write() {
	for range s.wake {
		runtime.Gosched()
		s.mu.Lock()
		out, over := s.out, s.over != nil
		s.out = s.spare[:0]
		s.mu.Unlock()
		if over {
			return
		}
		if _, err := s.Write(out); err != nil {
			s.end(lost(err))
			return
		}
		s.spare = out
	}
}

// read hands out replies until the stream ends.
func (s *stream) read() {
	for {
		refused, err := s.replies.read()
		if err != nil {
			s.end(lost(err))
			return
		}
		s.mu.Lock()
		if s.n == 0 {
			s.mu.Unlock()
			s.end(lost(errors.New("a reply came that nothing was sent for")))
			return
		}
		r := s.waiting[s.oldest]
		if r.left--; r.left == 0 {
			s.oldest = (s.oldest + 1) % len(s.waiting)
			s.n--
		}
		s.mu.Unlock()
		if r.left > 0 {
			continue
		}
		if r.null, r.err = s.replies.null, nil; refused != "" {
			r.err = refused
		}
		r.done <- struct{}{}
	}
}

// end closes the stream, unless it has ended, and returns why it has: all requests on it
// fail because of that.
func (s *stream) end(why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over != nil {
		return s.over
	}
	s.over = why
	_ = s.Close() // nothing is to be saved
	if s.piped {
		for ; s.n > 0; s.n-- {
			r := s.waiting[s.oldest]
			s.oldest = (s.oldest + 1) % len(s.waiting)
			r.err = why
			r.done <- struct{}{}
		}
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return why
}

// overdue ends the stream if a request on it has waited since before a tick, or its
// context has ended.
func (s *stream) overdue(before int64, timeout time.Duration) {
	s.mu.Lock()
	var why error
	for i := range s.n {
		r := s.waiting[(s.oldest+i)%len(s.waiting)]
		switch err := r.ctx.Err(); {
		case err != nil:
			why = err
		case r.began < before && why == nil:
			why = timeoutError(timeout)
		}
	}
	s.mu.Unlock()
	if why != nil {
		s.end(why)
	}
}

// A conn is the place of a stream to a node. After one has ended the next who has a request
// makes another.
type conn struct {
	node   *node
	stream atomic.Pointer[stream]
	dial   sync.Mutex // held while one is made
}

// redialPause is how long a request is held that no stream could be made for, so that
// a Redis that is gone is not asked in a tight loop.
const redialPause = 20 * time.Millisecond

// do sends a request, on a new stream if need be, and waits for its reply.
func (c *conn) do(r *request) error {
	s, err := c.connected(r.ctx)
	if err != nil {
		pauseRedial(r.ctx)
		return err
	}
	return s.do(r)
}

// doBatch does the same with a batch.
func (c *conn) doBatch(r *request, b *bench.Batch) {
	s, err := c.connected(r.ctx)
	if err == nil {
		s.batch(r, b)
		return
	}
	pauseRedial(r.ctx)
	for i := range b.Numbers {
		b.Done(i, err)
	}
}

func pauseRedial(ctx context.Context) {
	pause := time.NewTimer(redialPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
}

func (c *conn) connected(ctx context.Context) (*stream, error) {
	if s := c.stream.Load(); s != nil && !s.ended() {
		return s, nil
	}
	c.dial.Lock()
	defer c.dial.Unlock()
	if s := c.stream.Load(); s != nil && !s.ended() {
		return s, nil // others have made it meanwhile
	}
	s, err := c.node.connect(ctx)
	if err != nil {
		return nil, err
	}
	c.stream.Store(s)
	return s, nil
}

func (s *stream) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over != nil
}

// drop has the next request make a new stream.
func (c *conn) drop() {
	if s := c.stream.Load(); s != nil {
		s.end(lost(errors.New("closed, as its Redis is no master any more")))
	}
}

package rpc

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Send puts a call into the queue of fn and returns its ID when Redis has it, for
// work whose outcome is nobody's business: no result is waited for, and no failure
// seen. The call has no deadline, so it runs even if its turn comes late, unless
// the queue expires before; the result expires unread.
//
// The error matches ErrNotSent, and then trying again is safe, or ErrNoResult if it
// is unknown whether the call is in its queue. The time-out is that of sending.
// Interceptors run around it as around a Call, with nil for sent.
func (c *Client) Send(ctx context.Context, fn string, args any, opts ...CallOption) (id string, err error) {
	o := c.callOptions(fn, opts)
	o.only = true
	info := &CallInfo{Func: fn, Queue: o.queue, Client: c.opt.Name, Deadline: sooner(ctx, o.deadline)}
	err = intercept(ctx, c.opt.Intercept, info, func(ctx context.Context) error {
		at, err := c.enter(fn)
		if err != nil {
			return &callError{fn, ErrNotSent, err}
		}
		defer c.leave(at)
		f, err := c.prepare(ctx, at, fn, args, nil, o, info)
		if err != nil {
			return &callError{fn, ErrNotSent, err}
		}
		if got := c.await(ctx, at.sends, f, o); got.err != nil {
			return &callError{fn, got.err.kind, got.err.cause}
		}
		return nil
	})
	return info.ID, err
}

// sendTransport sends calls, many in a transaction, over one connection. Their
// outcome is that Redis has them.
type sendTransport struct {
	link   *link
	line   *line
	expiry time.Duration
	detour *detour // if it is a Cluster

	mu      sync.Mutex // guards what follows
	sends   backlog    // flights to be written
	pending map[*flight]struct{}
	closing bool
}

func newSendTransport(l *link, expiry time.Duration) *sendTransport {
	t := &sendTransport{link: l, expiry: expiry, pending: map[*flight]struct{}{}}
	t.line = newLine(l, t)
	return t
}

func (t *sendTransport) send(f *flight) {
	if t.detour.inUse() {
		t.detour.take(f)
		return
	}
	t.mu.Lock()
	if t.closing {
		t.mu.Unlock()
		f.fail(ErrNotSent, redis.ErrClosed)
		return
	}
	t.pending[f] = struct{}{}
	t.sends.push(f)
	t.mu.Unlock()
	t.line.signal()
}

func (t *sendTransport) finished(f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.pending, f)
}

// abandon ends all flights.
func (t *sendTransport) abandon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closing = true
	for f := range t.pending {
		f.abandon(redis.ErrClosed)
	}
}

func (t *sendTransport) connect() (*conn, error) { return t.link.connect(2, 4<<10) }

func (t *sendTransport) up()        {}
func (t *sendTransport) lost(error) {}
func (t *sendTransport) tick()      {}
func (t *sendTransport) quiet()     {}

func (t *sendTransport) push(r *reader, elements int) error { return r.skip(elements) }

func (t *sendTransport) down(err error) {
	t.mu.Lock()
	flights := t.sends.take(nil, len(t.sends.waiting()))
	t.mu.Unlock()
	for _, f := range flights {
		f.fail(ErrNotSent, err)
	}
}

func (t *sendTransport) waiting() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sends.waiting()) > 0
}

func (t *sendTransport) gather(out []byte) ([]byte, batch) {
	for {
		t.mu.Lock()
		taken := t.sends.take(nil, mostSends)
		t.mu.Unlock()
		if len(taken) == 0 {
			return out, nil
		}
		s := &sending{t: t}
		for _, f := range taken {
			if f.write() {
				s.flights = append(s.flights, f)
				s.parcels = append(s.parcels, parcel{key: f.queue, messages: [][]byte{f.message}, life: t.expiry})
			}
		}
		if len(s.flights) > 0 {
			return appendPushes(out, s.parcels), s
		}
	}
}

// again sends flights that are certainly not in Redis.
func (t *sendTransport) again(flights ...*flight) {
	t.mu.Lock()
	for _, f := range flights {
		if f.unwrite() {
			t.sends.push(f)
		}
	}
	t.mu.Unlock()
	t.line.signal()
}

// sending is one transaction of a sendTransport.
type sending struct {
	t       *sendTransport
	flights []*flight
	parcels []parcel // of one flight each
}

func (s *sending) read(r *reader) error {
	fates := make([]fate, len(s.flights))
	if err := readPushes(r, fates); err != nil {
		return err
	}
	var passing error
	for i, f := range s.flights {
		switch fates[i].kind {
		case pushed:
			f.end(outcome{})
		case refused:
			if isPassing(fates[i].why) {
				passing = fates[i].why
			}
			switch {
			case !isElsewhere(fates[i].why):
				f.fail(ErrNotSent, fates[i].why)
			case s.t.detour != nil && isAsk(fates[i].why):
				if f.unwrite() {
					s.t.detour.take(f)
				}
			default:
				s.t.again(f)
			}
		case aborted:
			s.t.again(f)
		}
	}
	s.flights = nil
	return passing
}

func (s *sending) unread(how wrote, why error) {
	if how == wroteNothing {
		s.t.again(s.flights...)
		return
	}
	for _, f := range s.flights { // if some was written: MULTI may be forbidden
		f.fail(ErrNoResult, why)
	}
}

package rpc

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc/internal/wire"
)

// A slotClient is what a client has for one Redis, or for one slot of a Cluster: a
// connection to push calls over, one to read their results, and when there are long
// calls one for these.
type slotClient struct {
	client  *Client
	dialer  *dialer
	pushes  *mux
	bulk    *mux // for long calls, which would hold up the others
	replies *replyList
	tag     string // that IDs begin with in a Cluster, so that all lists are in the slot

	closing  chan struct{}
	running  sync.WaitGroup
	deleting sync.WaitGroup // of lists, at the end

	mu        sync.Mutex // guards what follows
	pending   map[string]*pendingCall
	polling   bool // poll runs
	isClosing bool
	troubled  error     // how a connection was lost last
	when      time.Time // it was

	// Of a slot, guarded by the mu of routes.
	slot  int
	users int // calls
	used  time.Time
}

// longMessage is from how many bytes on a message goes over a connection for long ones.
const longMessage = 32 << 10

func newSlotClient(c *Client, d *dialer, slot int, tag string) *slotClient {
	if !c.opt.NoExtensions {
		d.clock = newClock()
	}
	s := &slotClient{
		client: c, dialer: d, slot: slot, tag: tag, pushes: newMux(d, batchPushes), bulk: newMux(d, 1),
		closing: make(chan struct{}), pending: map[string]*pendingCall{},
	}
	s.replies = newReplyList(s, tag+c.id)
	if c.opt.NoExtensions {
		s.replies.current.Store(&listName{})
	}
	return s
}

// mux is what a call is pushed over.
func (s *slotClient) mux(c *pendingCall) *mux {
	if len(c.message) >= longMessage {
		return s.bulk
	}
	return s.pushes
}

// send sends a call and sees to it that it ends if there is an outcome. It does not wait.
func (s *slotClient) send(c *pendingCall) {
	s.mu.Lock()
	if s.isClosing {
		s.mu.Unlock()
		c.fail(ErrNotSent, redis.ErrClosed)
		return
	}
	s.pending[c.id] = c
	if c.list > 0 {
		s.watch(c)
	}
	s.mu.Unlock()
	if !s.client.opt.NoExtensions && !c.sendOnly {
		s.replies.need()
	}
	s.mux(c).push(c)
}

// wait waits for something that a new call needs, as long as its caller does.
func (s *slotClient) wait(ctx context.Context, c *pendingCall, timeout time.Duration, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(c.deadline))
	defer timer.Stop()
	select {
	case <-ready:
		return nil
	case <-timer.C:
		return timeUp(timeout)
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return redis.ErrClosed
	}
}

// finished is told that a caller waits no longer, and what it has.
func (s *slotClient) finished(c *pendingCall, got outcome) {
	if !got.delivered { // else it is done
		s.mu.Lock()
		delete(s.pending, c.id)
		s.mu.Unlock()
	}
	c.unreserve()
	if c.blocked.Load() {
		s.unblock(c)
	}
}

// waiting is how many calls wait for results on reply lists.
func (s *slotClient) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending)
}

// A delivery is a result and who waits for it.
type delivery struct {
	call    *pendingCall
	message []byte
	long    bool // the result is on the call's single-use list
}

// deliver hands over messages of reply lists. What nobody waits for is dropped. It works
// in the memory of all, which it returns.
func (s *slotClient) deliver(messages [][]byte, all []delivery) []delivery {
	s.mu.Lock()
	for _, m := range messages {
		id, ok := wire.ResultID(m)
		if c := s.pending[string(id)]; ok && c != nil {
			long := wire.IsNotice(m)
			if !long {
				delete(s.pending, c.id)
			}
			all = append(all, delivery{c, m, long})
		} else {
			s.client.spare.Put(m)
		}
	}
	s.mu.Unlock()
	for _, d := range all {
		d.call.function.answeredByNew()
		if d.long {
			s.fetchLong(d.call)
		} else {
			d.call.end(outcome{message: d.message, delivered: true})
		}
	}
	clear(all)
	return all
}

// trouble notes how a connection was lost, for calls that are not answered in time.
func (s *slotClient) trouble(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.troubled, s.when = err, time.Now()
}

// troubleSince is how a connection was lost last since a time, if one was.
func (s *slotClient) troubleSince(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.when.Before(t) {
		return nil
	}
	return s.troubled
}

// sendRedirected sends a call that Redis has refused as the slot is not there, or on its
// way.
func (s *slotClient) sendRedirected(c *pendingCall, why error) {
	if !isMigrating(why) {
		s.mux(c).push(c) // on the next connection
		return
	}
	s.start(func() {
		m, ok := c.begin()
		for again := (backoff{}); ok; m, ok = c.begin() {
			r := s.client.nodes.push(m)
			if r.pushOutcome == refused && isRedirect(r.err) || r.pushOutcome == notWritten {
				if c.unwrite() && again.pause(nil, s.closing) {
					continue
				}
				return
			}
			c.settle(r)
			return
		}
	})
}

func (s *slotClient) abandon() {
	s.mu.Lock()
	s.isClosing = true
	close(s.closing)
	calls := slices.Collect(maps.Values(s.pending))
	s.mu.Unlock()
	for _, c := range calls {
		c.abandon(redis.ErrClosed)
	}
}

// close returns when nothing of s runs any more. It has to be abandoned.
func (s *slotClient) close() {
	s.dialer.close()
	s.pushes.close()
	s.bulk.close()
	s.replies.stop()
	s.running.Wait()
	s.deleting.Wait()
}

// deleteLists deletes the reply lists, if that takes no time to speak of: else they expire.
func (s *slotClient) deleteLists() {
	keys := s.replies.keys()
	if len(keys) == 0 {
		return
	}
	runFor(time.Second, &s.deleting, func() { s.delete(keys) })
}

// commandArgs are a command and its keys as go-redis wants them.
func commandArgs(name string, keys []string) []any {
	args := append(make([]any, 0, 1+len(keys)), name)
	for _, k := range keys {
		args = append(args, k)
	}
	return args
}

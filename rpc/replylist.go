package rpc

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc/internal/resp"
	"redrpc/rpc/internal/wire"
)

// A replyList is the list in which the results of a client come, read by one goroutine
// over a connection of its own.
//
// Nothing is lost if that connection is: BLMOVE of the list onto itself waits for the
// first element and leaves it where it is, LRANGE reads the others, and LTRIM removes
// them when they have been handed over, in the same write as the next read. An LTRIM that
// a lost connection still has on its way might remove what was not read, so each
// connection has a list of its own: their names end in a number that grows. Lists of
// earlier connections are only read, as long as calls wait that named them, and then
// deleted.
type replyList struct {
	slot *slotClient
	base string // of the names

	current   atomic.Pointer[listName] // nil while it is not known whether lists can be used
	wake      chan struct{}            // of size 1: a call waits
	migrating atomic.Bool              // the slot is being migrated (ASK), so the list is polled like earlier ones
	start     sync.Once
	running   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	attempt *attempt   // to connect, the next; nil if no call waits for it
	number  int        // of the list that calls name now
	earlier []int      // numbers of lists of earlier connections
	up      bool       // there is a connection

	// Of the reading goroutine.
	out        []byte
	results    [][]byte
	deliveries []delivery
	handed     int  // elements at the head of the list that have been handed over
	stale      bool // there were results that nobody waits for
	noMove     bool // before Redis 6.2: BRPOPLPUSH in place of BLMOVE
}

// A listName is what calls say of where their results are to come.
type listName struct {
	number int    // 0 is nothing: each result comes on a list of its own
	field  []byte // of the message, with a comma before it
}

// An attempt is one at connecting, which calls wait for that don't know yet how their
// results will come.
type attempt struct {
	done chan struct{}
	err  error // set before done is closed
}

const (
	readResults  = 1000     // most that one read brings
	replyBuffer  = 64 << 10 // to read through
	refusalPause = 5 * time.Millisecond
	tryUnusable  = time.Minute // after which it is tried again whether lists can be used
)

func newReplyList(s *slotClient, base string) *replyList {
	return &replyList{slot: s, base: base, number: 1, wake: make(chan struct{}, 1)}
}

// id is the client ID that calls give for the list of a number.
func (r *replyList) id(number int) string { return r.base + "-" + strconv.Itoa(number) }

func (r *replyList) key(number int) string {
	return wire.RepliesKey(r.slot.client.opt.Prefix, r.id(number))
}

// name returns the list for a new call, and connects before the first.
func (r *replyList) name(ctx context.Context, c *pendingCall, timeout time.Duration) (*listName, error) {
	for {
		r.mu.Lock()
		if n := r.current.Load(); n != nil { // by now
			r.mu.Unlock()
			return n, nil
		}
		if r.attempt == nil {
			r.attempt = &attempt{done: make(chan struct{})}
		}
		a := r.attempt
		r.mu.Unlock()
		r.need()
		if err := r.slot.wait(ctx, c, timeout, a.done); err != nil {
			return nil, err
		}
		if a.err != nil {
			return nil, a.err
		}
	}
}

func (r *replyList) need() {
	r.start.Do(func() { r.running.Go(r.run) })
	poke(r.wake)
}

// stop waits until nothing runs any more. The slot has to be closing, and its dialer
// closed.
func (r *replyList) stop() {
	r.start.Do(func() {})
	r.running.Wait()
}

func (r *replyList) run() {
	var again backoff
	for r.await() {
		c, err := r.connect()
		if r.tell(err) {
			err = r.read(c)
			c.Close()
			r.handOver() // what was read before it was lost
			r.lost()
			if c.worked {
				again = backoff{}
			}
		}
		if err == errUnusable {
			if sleep(tryUnusable, r.slot.closing) {
				continue
			}
			return
		}
		r.slot.dialer.failed(err)
		r.slot.trouble(err)
		if !again.pause(nil, r.slot.closing) {
			return
		}
	}
}

// await waits until a call waits, and reports whether that was before the end.
func (r *replyList) await() bool {
	for !r.wanted() {
		select {
		case <-r.wake:
		case <-r.slot.closing:
			return false
		}
	}
	return true
}

// wanted reports whether a call waits, for a result or for the name of the list.
func (r *replyList) wanted() bool {
	if r.slot.waiting() > 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attempt != nil
}

// errUnusable says that Redis does not do or forbids what reading a reply list takes.
var errUnusable = errors.New("reply lists cannot be used")

// connect connects, and tries what reading takes: within a transaction, as nothing blocks
// in one.
func (r *replyList) connect() (*conn, error) {
	c, err := r.slot.dialer.connect(replyBuffer)
	if err != nil {
		return nil, err
	}
	for {
		no, err := r.probe(c)
		switch {
		case err == nil && isForbidden(no) && !r.noMove && strings.Contains(strings.ToLower(no.Error()), "blmove"):
			r.noMove = true
			continue
		case err == nil && isForbidden(no):
			r.slot.client.opt.Logger.Info("rpc: each result comes on a list of its own, and takes a connection, as reply lists cannot be used", "reason", no)
			err = errUnusable
		case err == nil && (no == nil || isTransient(no) && !needsReconnect(no)):
			return c, nil
		}
		c.Close()
		return nil, cmp.Or(err, no)
	}
}

// probe does what reading takes, and returns what Redis says to it.
func (r *replyList) probe(c *conn) (refused, broken error) {
	key := r.key(r.number)
	out := resp.AppendCommand(r.out[:0], "MULTI")
	out = resp.AppendCommand(out, "LTRIM", key, "0", "-1")
	out = resp.AppendCommand(out, "LRANGE", key, "0", "0")
	out = r.appendPeek(out, key, time.Millisecond)
	out = resp.AppendCommand(out, "EXEC")
	c.within(maxBlock) // without MULTI it blocks
	if _, err := c.Write(out); err != nil {
		return nil, err
	}
	for range 5 {
		no, err := c.Skip()
		if err != nil {
			return nil, err
		}
		refused = cmp.Or(refused, no)
	}
	return refused, nil
}

// appendPeek appends the command that waits for the first element and leaves it there.
func (r *replyList) appendPeek(out []byte, key string, d time.Duration) []byte {
	if r.noMove { // it moves the last element to the head
		return resp.AppendCommand(out, "BRPOPLPUSH", key, key, strconv.FormatInt(wholeSeconds(d), 10))
	}
	return resp.AppendCommand(out, "BLMOVE", key, key, "LEFT", "LEFT", blockFor(d))
}

// tell tells those who wait for a connection what came of the attempt, and reports
// whether there is one.
func (r *replyList) tell(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.up = true
		r.publish()
	case err == errUnusable:
		r.current.Store(&listName{})
		r.earlier = append(r.earlier, r.number) // which calls may have named
		r.number++
	}
	if a := r.attempt; a != nil {
		if err != errUnusable {
			a.err = err
		}
		close(a.done)
		r.attempt = nil
	}
	return err == nil
}

// publish lets new calls name the list. It is called under the lock.
func (r *replyList) publish() {
	r.current.Store(&listName{r.number, wire.AppendTextField(nil, "reply_to", r.id(r.number))})
}

// lost is told that the connection is lost: the next one has another list.
func (r *replyList) lost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up = false
	if key := r.key(r.number); r.slot.waiting() > 0 {
		r.earlier = append(r.earlier, r.number)
	} else { // what is left there is of no interest
		r.slot.start(func() { r.slot.delete([]string{key}) })
	}
	r.number++
	r.handed = 0
	r.publish()
}

// read reads results and hands them over until the connection is lost.
func (r *replyList) read(c *conn) error {
	key := r.key(r.number)
	for {
		n := r.slot.waiting()
		if n == 0 && r.handed == 0 {
			if !r.await() {
				return redis.ErrClosed
			}
			if c.isDead() {
				return net.ErrClosed
			}
			continue
		}
		refused, err := r.readOnce(c, key, n)
		r.migrating.Store(isMigrating(refused))
		switch {
		case err != nil:
			return err
		case refused == nil:
			c.worked = true
		case isMigrating(refused), isTransient(refused) && !needsReconnect(refused):
			if err := r.readRefused(c, key); err != nil {
				return err
			}
		default:
			return refused
		}
	}
}

// readOnce removes what was handed over before, waits for results, and hands them over. It
// does so once more when no call waits any longer: then the next result needs a step less.
func (r *replyList) readOnce(c *conn, key string, waiting int) (refused, broken error) {
	out, trim, most := r.out[:0], r.handed > 0, min(waiting, readResults)
	if r.stale {
		most = readResults
	}
	if trim {
		out = resp.AppendCommand(out, "LTRIM", key, strconv.Itoa(r.handed), "-1")
	}
	out = r.appendPeek(out, key, c.dialer.block())
	if most > 1 {
		out = resp.AppendCommand(out, "LRANGE", key, "1", strconv.Itoa(most-1))
	}
	r.out = out
	c.within(maxBlock)
	if _, err := c.Write(out); err != nil {
		return nil, err
	}
	if trim {
		if refused, broken = c.Skip(); broken != nil {
			return nil, broken
		}
		if refused == nil {
			r.handed = 0
		}
	}
	head, err := c.Bulk(r.slot.client.spare.Get())
	switch {
	case err == nil:
		r.results = append(r.results, head)
	case err == resp.ErrNull:
	case resp.IsError(err):
		refused = cmp.Or(refused, err)
	default:
		return nil, err
	}
	if most > 1 {
		if r.results, err = c.Strings(r.results, r.slot.client.spare.Get); err != nil && !resp.IsError(err) {
			return nil, err
		}
		refused = cmp.Or(refused, err)
	}
	if head != nil && refused == nil { // else they are read again: those of whom nobody waits are dropped
		r.handed = len(r.results)
	}
	r.handOver()
	return refused, nil
}

// readRefused is readOnce without waiting, as Redis refuses to write for a moment. What
// was read is removed in the same write, if Redis takes that.
func (r *replyList) readRefused(c *conn, key string) error {
	if !sleep(refusalPause, r.slot.closing) {
		return redis.ErrClosed
	}
	r.out = resp.AppendCommand(r.out[:0], "LRANGE", key, strconv.Itoa(r.handed), strconv.Itoa(r.handed+readResults-1))
	r.out = resp.AppendCommand(r.out, "LTRIM", key, strconv.Itoa(r.handed), "-1")
	c.within(0)
	if _, err := c.Write(r.out); err != nil {
		return err
	}
	var err error
	if r.results, err = c.Strings(r.results, r.slot.client.spare.Get); err != nil && !resp.IsError(err) {
		return err
	}
	refused, err := c.Skip()
	if err != nil {
		return err
	}
	if refused == nil {
		r.handed = 0
	}
	r.handed += len(r.results)
	r.handOver()
	return nil
}

func (r *replyList) handOver() {
	r.deliveries = r.slot.deliver(r.results, r.deliveries[:0])
	r.stale = len(r.deliveries) < len(r.results)
	clear(r.results)
	r.results = r.results[:0]
}

// toPoll returns the lists that are not read, but may have results for the calls that
// wait: of earlier connections, and the current one while its slot is being migrated.
// Those for which nobody waits are to be deleted. named has the numbers of the lists that
// calls which wait have named.
func (r *replyList) toPoll(named map[int]bool) (poll, done []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.earlier = slices.DeleteFunc(r.earlier, func(n int) bool {
		if named[n] {
			poll = append(poll, r.key(n))
			return false
		}
		done = append(done, r.key(n))
		return true
	})
	if r.migrating.Load() {
		poll = append(poll, r.key(r.number))
	}
	return poll, done
}

// keys are the lists that there may be, if Redis was there of late.
func (r *replyList) keys() (keys []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.up {
		return nil
	}
	for _, n := range append(r.earlier, r.number) {
		keys = append(keys, r.key(n))
	}
	return keys
}

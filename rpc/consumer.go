package rpc

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/keyslot"
	"redrpc/rpc/internal/resp"
	"redrpc/rpc/internal/wire"
)

// A consumer fetches calls whose queues lie together: those of all functions, or in a
// Cluster of those in one slot, as nobody can block in two.
type consumer struct {
	dialer   *dialer
	fetcher  fetcher
	replies  *mux
	bulk     *mux // for long results, which would hold up the others
	rotation *roundRobin
	byKey    map[string]*function // by the key of the queue
	wake     string               // a list in the same place: a push to it ends a wait
	slot     int                  // of a Cluster
	share

	calls []fetchedCall // of who fetches: those that it hands on

	mu    sync.Mutex           // guards lists
	lists map[string]knownList // by client ID, of late
}

// A knownList is a reply list.
type knownList struct {
	key   string    // empty if it cannot be used
	avoid time.Time // until when it is not, as Redis refused it
}

// keptLists is how many reply lists a consumer remembers.
const keptLists = 1000

// replyList returns the key of the reply list of a client, or nothing if the ID is none,
// or its list lies in another slot of a Cluster than the queue.
func (c *consumer) replyList(r *serverRun, client []byte) string {
	if len(client) == 0 {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if list, ok := c.lists[string(client)]; ok {
		if !list.avoid.IsZero() && time.Now().Before(list.avoid) {
			return ""
		}
		return list.key
	}
	key := wire.RepliesKey(r.opt.Prefix, string(client))
	if r.cluster != nil && keyslot.Of(key) != c.slot {
		key = ""
	}
	if len(c.lists) >= keptLists {
		clear(c.lists)
	}
	c.lists[string(client)] = knownList{key: key}
	return key
}

// avoid has no results sent for a while to a reply list that Redis refuses.
func (c *consumer) avoid(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for client, list := range c.lists {
		if list.key == key {
			c.lists[client] = knownList{key, time.Now().Add(suspension)}
		}
	}
}

// A fetchedCall is a message as it came off a queue.
type fetchedCall struct {
	*function
	message []byte
	at      time.Time
}

// Pauses of a consumer that found nothing, and could not wait in Redis as long as it may.
const (
	firstRest = 5 * time.Millisecond
	lastRest  = 100 * time.Millisecond
)

// Pauses after a failure of Redis.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// consume moves calls from queues to the workers until the server stops, or there have
// been enough. It fetches nothing after that, and loses nothing: what a command in
// progress still pops is handed on too.
func (r *serverRun) consume(c *consumer) {
	retry, rest := firstRetry, firstRest
	alone := len(r.consumers) == 1
	for r.scheduler.take(c, r.stop) {
		workers := 1
		if alone { // nobody else wants them while it waits
			workers += r.scheduler.more(c, math.MaxInt)
		}
		queues, most, wait := c.rotation.begin(workers)
		if len(queues) == 0 {
			r.scheduler.settle(c, workers, 0)
			sleepOr(c.rotation.room, suspension, r.stop) // until a function has room, or a queue may be tried again
			continue
		}
		mayWait := r.scheduler.mayWait(c)
		f, messages, away, err := r.fetch(c, queues, most, min(wait, c.dialer.block()), mayWait)
		disturbed := r.scheduler.awake(c)
		c.rotation.end(f != nil)
		if f != nil && !alone {
			if n := r.scheduler.more(c, f.room(math.MaxInt)-1); n > 0 {
				workers += n
				var more [][]byte
				more, err = r.nodes.pop(f.queue, n)
				messages = append(messages, more...)
			}
		}
		if f != nil {
			r.hand(f, messages)
		}
		r.scheduler.settle(c, workers, len(messages))
		switch {
		case err != nil:
			retry = r.pause(c.dialer, err, retry)
			continue
		case f == nil && away: // the slot is being migrated
			sleep(firstRest, r.stop)
		case f == nil && disturbed: // others want a worker, too
			sleep(rest, r.stop)
			rest = min(2*rest, lastRest)
		default:
			rest = firstRest
		}
		retry = firstRetry
	}
}

// fetch fetches up to n calls from the first queue that has any, and returns their
// function, or nil if there were none. It waits for one if it may. away reports whether
// the slot is being migrated.
func (r *serverRun) fetch(c *consumer, queues []string, n int, wait time.Duration, mayWait bool) (f *function, messages [][]byte, away bool, err error) {
	var key string
	if mayWait {
		key, messages, err = c.fetcher.fetch(queues, n, wait)
		away = isMigrating(err)
		if one := len(messages) == 1 && c.fetcher.how == blpop; one && n > 1 && key != c.wake {
			var more [][]byte
			if more, err = r.nodes.pop(key, n-1); isForbidden(err) {
				c.fetcher.how, err = blpopOnly, nil
			}
			messages = append(messages, more...)
		}
	}
	if !mayWait || away {
		key, messages, err = r.fetchAway(queues, n)
	}
	if isOfKey(err) {
		key, messages, err = r.fetchEach(c, queues, n, err)
	}
	if f = c.byKey[key]; f == nil {
		messages = nil // they are of the wake list
	}
	return f, messages, away, err
}

// fetchEach fetches from each queue by itself, as Redis refuses one of them. Those that it
// refuses are left out for a while.
func (r *serverRun) fetchEach(c *consumer, queues []string, n int, why error) (key string, messages [][]byte, err error) {
	anyRefused := false
	for _, queue := range queues {
		messages, err = r.nodes.pop(queue, n)
		switch {
		case isOfKey(err):
			anyRefused = true
			f := c.byKey[queue]
			f.suspended.Store(time.Now().Add(suspension).UnixNano())
			f.refused.add(r.log, "func", f.name, "key", queue, "last_reason", err)
		case err != nil, len(messages) > 0:
			return queue, messages, err
		}
	}
	if !anyRefused && c.fetcher.wake != "" {
		r.log.Warn("rpc: the list that wakes the server cannot be used: it takes up to a second to stop", "key", c.wake, "error", why)
		c.fetcher.wake = ""
		anyRefused = true
	}
	if !anyRefused {
		return "", nil, why
	}
	return "", nil, nil
}

// fetchAway pops up to n calls from the first queue that has any, without waiting,
// wherever each queue is: their slot may be being migrated.
func (r *serverRun) fetchAway(queues []string, n int) (key string, messages [][]byte, err error) {
	for _, key := range queues {
		if messages, err := r.nodes.pop(key, n); len(messages) > 0 || err != nil {
			return key, messages, err
		}
	}
	return "", nil, nil
}

func (r *serverRun) hand(f *function, messages [][]byte) {
	if f.limit > 0 {
		f.busy.Add(int64(len(messages)))
	}
	calls, now := f.consumer.calls[:0], time.Now()
	for _, m := range messages {
		calls = append(calls, fetchedCall{f, m, now})
	}
	r.runQueue.put(calls)
	clear(calls)
	f.consumer.calls = calls
}

// pause waits after an error of Redis, for about so long, and returns how long the next
// time.
func (r *serverRun) pause(d *dialer, err error, retry time.Duration) time.Duration {
	d.failed(err)
	pause := retry/2 + rand.N(retry/2)
	r.log.Warn("rpc: Redis does not give calls", "error", err, "again_in", pause)
	sleep(pause, r.stop)
	return min(2*retry, lastRetry)
}

// A fetcher pops calls over a connection of its own, as it blocks.
type fetcher struct {
	dialer *dialer
	wake   string // a list that comes before the queues; empty if it is forbidden
	spare  *wire.Buffers

	conn  *conn
	how   popping
	whole bool // times are whole seconds, before Redis 6.0
	out   []byte

	messages [][]byte // of the last fetch
}

// popping is what the fetcher's Redis can do.
type popping int

const (
	blmpop    popping = iota // from 7.0 on
	blpop                    // one call, which may be followed by LPOP
	blpopOnly                // LPOP is forbidden
)

const fetchBuffer = 64 << 10 // to read through

// hangUp closes the connection. The next may be to a Redis that can do more.
func (f *fetcher) hangUp() {
	f.how, f.whole = blmpop, false
	if f.conn != nil {
		f.conn.Close()
		f.conn = nil
	}
}

// fetch pops calls from the first queue that has any, waiting for one: up to n, or before
// Redis 7.0 one. With an error there may be calls, too. The list is used again by the next
// fetch.
func (f *fetcher) fetch(queues []string, n int, wait time.Duration) (key string, messages [][]byte, err error) {
	for {
		key, messages, err = f.ask(queues, n, wait)
		if !f.downgrade(err) {
			break
		}
	}
	switch {
	case err == resp.ErrNull:
		err = nil
	case err != nil && !isMigrating(err) && !isOfKey(err): // of which the connection knows nothing
		f.hangUp()
	}
	return key, messages, err
}

// downgrade reports whether err says that Redis cannot do what was asked, but
// may be able to do less.
func (f *fetcher) downgrade(err error) bool {
	switch {
	case !resp.IsError(err) || isOfKey(err):
		return false
	case redis.HasErrorPrefix(err, "timeout is not ") && !f.whole:
		f.whole = true
		return true
	case f.how == blmpop && isForbidden(err):
		f.how = blpop
		return true
	}
	return false
}

func (f *fetcher) ask(queues []string, n int, wait time.Duration) (key string, messages [][]byte, err error) {
	if f.conn == nil {
		if f.conn, err = f.dialer.connect(fetchBuffer); err != nil {
			return "", nil, err
		}
	}
	keys := queues
	if f.wake != "" {
		keys = append([]string{f.wake}, queues...)
	}
	if f.whole {
		wait = maxBlock
	}
	if f.how == blmpop {
		f.out = resp.AppendArray(f.out[:0], 6+len(keys))
		f.out = resp.AppendArg(f.out, "BLMPOP")
		f.out = resp.AppendArg(f.out, blockFor(wait))
		f.out = resp.AppendArg(f.out, strconv.Itoa(len(keys)))
		for _, k := range keys {
			f.out = resp.AppendArg(f.out, k)
		}
		f.out = resp.AppendArg(f.out, "LEFT")
		f.out = resp.AppendArg(f.out, "COUNT")
		f.out = resp.AppendArg(f.out, strconv.Itoa(n))
	} else {
		f.out = resp.AppendCommand(f.out[:0], append(append([]string{"BLPOP"}, keys...), blockFor(wait))...)
	}
	f.conn.within(maxBlock)
	if _, err := f.conn.Write(f.out); err != nil {
		return "", nil, err
	}
	return f.read()
}

func (f *fetcher) read() (string, [][]byte, error) {
	switch n, err := f.conn.Array(); {
	case err != nil:
		return "", nil, err
	case n != 2:
		return "", nil, fmt.Errorf("expected a key and elements of Redis, got %d values", n)
	}
	key, err := f.conn.Bulk(nil)
	if err != nil {
		return "", nil, err
	}
	if f.how == blmpop {
		f.messages, err = f.conn.Strings(f.messages[:0], f.spare.Get)
		return string(key), f.messages, err
	}
	one, err := f.conn.Bulk(f.spare.Get())
	if err != nil {
		return "", nil, err
	}
	f.messages = append(f.messages[:0], one)
	return string(key), f.messages, nil
}

package rpc

import (
	"context"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc/internal/resp"
	"redrpc/rpc/internal/wire"
)

// A serverRun is one run of a server. A consumer fetches calls, as many as there are free
// workers; workers run them and hand the replies to the consumer's mux; the upkeep keeps
// the heartbeat. In a Cluster there is a consumer for each slot.
type serverRun struct {
	*Server
	consumers []*consumer
	runQueue  *runQueue
	nodes     *nodePool // for what is rare
	log       *slog.Logger
	field     []byte // with the server's ID, for results
	alive     string
	stats     string
	started   time.Time
	impatient context.Context // ended if there is no time to wait for Redis
	stop      chan struct{}   // closed when no more calls are to be fetched

	slots       workerSlots
	scheduler   *scheduler     // in place of it, if there are several consumers
	replies     sync.WaitGroup // that are not delivered
	undelivered atomic.Int64   // bytes of these
	across      sync.WaitGroup // of those that go to another slot

	executions  sync.Pool // used ones
	sentReplies sync.Pool // used ones

	malformed, expired, lost summary
}

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
	if r.cluster != nil && keySlot(key) != c.slot {
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

// Pauses after a failure of Redis.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
)

func newServerRun(ctx context.Context, s *Server) *serverRun {
	r := &serverRun{
		Server:    s,
		runQueue:  newRunQueue(),
		nodes:     newNodePool(newDialer(s.node, nil), s.cluster, 2*mostBusy),
		log:       s.opt.Logger.With("server", s.opt.ID),
		field:     wire.AppendTextField(nil, "server", s.opt.ID),
		alive:     wire.AliveKey(s.opt.Prefix, s.opt.Kind, s.opt.ID),
		stats:     wire.StatsKey(s.opt.Prefix, s.opt.Kind, s.opt.ID),
		started:   time.Now(),
		impatient: ctx,
		stop:      make(chan struct{}),
		slots:     workerSlots{free: s.opt.Workers, freed: make(chan struct{}, 1)},
		malformed: summary{text: "malformed calls dropped"},
		expired:   summary{text: "calls dropped, their callers have given up"},
		lost:      summary{text: "results lost"},
	}
	bySlot := map[int][]*function{} // sorted by name
	var inOrder []int
	for _, name := range slices.Sorted(maps.Keys(s.functions)) {
		f, slot := s.functions[name], 0
		if s.cluster != nil {
			slot = keySlot(f.queue)
		}
		if len(bySlot[slot]) == 0 {
			inOrder = append(inOrder, slot)
		}
		bySlot[slot] = append(bySlot[slot], f)
	}
	for _, slot := range inOrder {
		r.consumers = append(r.consumers, r.newConsumer(slot, bySlot[slot]))
	}
	if len(r.consumers) > 1 {
		r.scheduler = &scheduler{consumers: r.consumers, free: s.opt.Workers, left: s.opt.MaxCalls, over: make(chan struct{})}
		if s.opt.MaxCalls == 0 {
			r.scheduler.left = math.MaxInt
		}
		r.scheduler.wake = r.wake
	}
	return r
}

// newConsumer returns the consumer of functions, which are sorted by name.
func (r *serverRun) newConsumer(slot int, functions []*function) *consumer {
	var address *slotAddress
	tag := ""
	if r.cluster != nil {
		address = &slotAddress{rdb: r.cluster, key: functions[0].queue}
		tag, _ = tagFor(r.opt.Prefix+":", slot) // which NewServer has made sure of
	}
	d := newDialer(r.node, address)
	if !r.opt.NoExtensions || !r.opt.IgnoreDeadlines {
		d.clock = newClock()
	}
	c := &consumer{
		dialer: d, replies: newMux(d, batchPushes), bulk: newMux(d, 1), rotation: newRoundRobin(functions),
		byKey: map[string]*function{}, lists: map[string]knownList{}, wake: wire.WakeKey(r.opt.Prefix, tag+r.opt.Kind, r.opt.ID), slot: slot,
	}
	c.fetcher = fetcher{dialer: d, wake: c.wake, spare: &r.spare}
	c.granted = make(chan struct{}, 1)
	for _, f := range functions {
		f.consumer = c
		c.byKey[f.queue] = f
		c.weight += f.weight
	}
	return c
}

// serve runs until ctx ends or the server is told to stop, and until all that it fetched
// is answered.
func (r *serverRun) serve(ctx context.Context) {
	finished := make(chan struct{})
	var workers, consumers, upkeep sync.WaitGroup
	upkeep.Go(func() {
		select {
		case <-ctx.Done():
		case <-r.stopping:
		case <-r.enough():
		case <-finished: // by itself
			return
		}
		close(r.stop)
		for _, c := range r.consumers {
			r.wake(c)
		}
	})
	upkeep.Go(func() { r.beat(finished) })
	for range r.opt.Workers {
		workers.Go(func() { r.work(ctx, &workers) })
	}
	for _, c := range r.consumers {
		consumers.Go(func() {
			defer c.fetcher.hangUp()
			if r.scheduler == nil {
				r.consume(c)
			} else {
				r.consumeInTurns(c)
			}
		})
	}
	consumers.Wait()
	r.runQueue.close()
	workers.Wait()
	for _, c := range r.consumers {
		poke(c.replies.hurry)
		poke(c.bulk.hurry)
	}
	r.replies.Wait()
	r.across.Wait()
	close(finished)
	r.deleteKeys(&upkeep)
	for _, c := range r.consumers {
		c.dialer.close()
		c.replies.close()
		c.bulk.close()
	}
	r.nodes.close()
	upkeep.Wait()
	r.flushSummaries()
}

// enough is closed when several consumers have fetched all calls that may be.
func (r *serverRun) enough() <-chan struct{} {
	if r.scheduler == nil {
		return nil
	}
	return r.scheduler.over
}

// give is told of workers that are free again.
func (r *serverRun) give(n int) {
	if r.scheduler != nil {
		r.scheduler.give(n)
	} else {
		r.slots.give(n)
	}
}

// delivered is told of a reply that was delivered, or cannot be.
func (r *serverRun) delivered(a *reply) {
	r.undelivered.Add(-a.size)
	if a.holds {
		r.give(1)
	}
	*a = reply{id: a.id}
	r.sentReplies.Put(a)
	r.replies.Done()
}

// consume moves calls from queues to the workers until the server stops, or there have
// been enough. It fetches nothing after that, and loses nothing: what a command in
// progress still pops is handed on too.
func (r *serverRun) consume(c *consumer) {
	retry := firstRetry
	for left := r.opt.MaxCalls; r.opt.MaxCalls == 0 || left > 0; {
		n := r.slots.takeAll(r.stop)
		if n == 0 {
			return
		}
		most := n
		if r.opt.MaxCalls > 0 {
			most = min(n, left)
		}
		queues, most, wait := c.rotation.begin(most)
		if len(queues) == 0 {
			r.give(n)
			r.awaitRoom(c)
			continue
		}
		f, messages, away, err := r.fetch(c, queues, most, min(wait, c.dialer.block()))
		c.rotation.end(f != nil)
		if f != nil {
			r.hand(f, messages)
			n -= len(messages)
			left -= len(messages)
		}
		r.give(n)
		switch {
		case err != nil:
			retry = r.pause(c.dialer, err, retry)
			continue
		case away && f == nil:
			sleep(firstRest, r.stop)
		}
		retry = firstRetry
	}
}

// awaitRoom waits until a function has room again, or a queue may be tried again.
func (r *serverRun) awaitRoom(c *consumer) {
	timer := time.NewTimer(suspension)
	defer timer.Stop()
	select {
	case <-c.rotation.room:
	case <-timer.C:
	case <-r.stop:
	}
}

// fetch fetches up to n calls from the first queue that has any, and returns their
// function, or nil if there were none. away reports whether the slot is being migrated.
func (r *serverRun) fetch(c *consumer, queues []string, n int, wait time.Duration) (f *function, messages [][]byte, away bool, err error) {
	key, messages, err := c.fetcher.fetch(queues, n, wait)
	switch {
	case isMigrating(err):
		key, messages, err = r.fetchAway(queues, n)
		return c.byKey[key], messages, true, err
	case isOfKey(err):
		key, messages, err = r.fetchEach(c, queues, n, err)
	}
	if f = c.byKey[key]; f == nil {
		messages = nil // they are of the wake list
	}
	return f, messages, false, err
}

// fetchEach fetches from each queue by itself, as Redis refuses one of them. Those that it
// refuses are left out for a while.
func (r *serverRun) fetchEach(c *consumer, queues []string, n int, why error) (key string, messages [][]byte, err error) {
	anyRefused := false
	for _, queue := range queues {
		messages, err = c.fetcher.fetchFrom(queue, n)
		switch {
		case isOfKey(err):
			anyRefused = true
			f := c.byKey[queue]
			f.suspend()
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
// wherever each queue is, as their slot is being migrated.
func (r *serverRun) fetchAway(queues []string, n int) (key string, messages [][]byte, err error) {
	for _, key := range queues {
		if messages, err := r.nodes.pop(key, n); len(messages) > 0 || err != nil {
			return key, messages, err
		}
	}
	return "", nil, nil
}

// hand gives calls to the workers.
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

// wake ends a consumer's wait. If it fails the wait ends by itself in a moment.
func (r *serverRun) wake(c *consumer) {
	r.nodes.push(queueMessage{key: c.wake, message: []byte("wake"), life: 2 * time.Second})
}

// beat sets heartbeat and report until finished is closed. They expire by themselves
// when the server is gone.
func (r *serverRun) beat(finished <-chan struct{}) {
	life := (2 * r.opt.Heartbeat).Milliseconds()
	tick := time.NewTicker(r.opt.Heartbeat)
	defer tick.Stop()
	for {
		r.keep("no heartbeat", redis.NewStatusCmd(r.nodes.dialer.life, "set", r.alive, "1", "px", life))
		if !r.opt.NoExtensions {
			r.keep("no report", redis.NewStatusCmd(r.nodes.dialer.life, "set", r.stats, r.report(), "px", life))
		}
		select {
		case <-tick.C:
		case <-finished:
			return
		}
		r.flushSummaries()
	}
}

func (r *serverRun) flushSummaries() {
	for _, s := range []*summary{&r.malformed, &r.expired, &r.lost} {
		s.flush(r.log)
	}
	for _, f := range r.functions {
		f.refused.flush(r.log)
	}
}

// keep has a command done about the key that is its second argument. A failure is logged.
func (r *serverRun) keep(failed string, cmd redis.Cmder) bool {
	r.nodes.do(cmd.Args()[1].(string), cmd)
	if err := cmd.Err(); err != nil && r.nodes.dialer.life.Err() == nil {
		r.log.Warn("rpc: "+failed, "error", err)
	}
	return cmd.Err() == nil || resp.IsError(cmd.Err())
}

// deletePatience is how long the end waits for Redis to delete what would expire.
const deletePatience = time.Second

// deleteKeys deletes what would expire by itself, unless Redis is away.
func (r *serverRun) deleteKeys(upkeep *sync.WaitGroup) {
	done := make(chan struct{})
	upkeep.Go(func() {
		defer close(done)
		keys := []string{r.alive, r.stats}
		for _, c := range r.consumers {
			keys = append(keys, c.wake)
		}
		for _, key := range keys {
			if !r.keep("key not deleted, it will expire: "+key, redis.NewIntCmd(r.nodes.dialer.life, "del", key)) {
				return
			}
		}
	})
	sleep(deletePatience, done)
}

// consumeInTurns is consume for one of several consumers.
func (r *serverRun) consumeInTurns(c *consumer) {
	retry, rest := firstRetry, firstRest
	for r.scheduler.take(c, r.stop) {
		queues, _, _ := c.rotation.begin(1)
		if len(queues) == 0 {
			r.scheduler.settle(c, 1, 0)
			r.awaitRoom(c)
			continue
		}
		var f *function
		var messages [][]byte
		var away bool
		var err error
		waited, disturbed := r.scheduler.mayWait(c), true
		if waited {
			f, messages, away, err = r.fetch(c, queues, 1, c.dialer.block())
			disturbed = r.scheduler.awake(c) || away
		} else {
			var key string
			key, messages, err = r.fetchAway(queues, 1)
			f = c.byKey[key]
		}
		c.rotation.end(f != nil)
		workers := 1
		if f != nil {
			if n := r.scheduler.more(c, f.room(math.MaxInt)-1); n > 0 {
				workers += n
				var more [][]byte
				more, err = r.nodes.pop(f.queue, n)
				messages = append(messages, more...)
			}
			r.hand(f, messages)
		}
		r.scheduler.settle(c, workers, len(messages))
		switch {
		case err != nil:
			retry = r.pause(c.dialer, err, retry)
			continue
		case f != nil || !disturbed:
			rest = firstRest
		default: // others want a worker, too, or the slot is being migrated
			sleep(rest, r.stop)
			rest = min(2*rest, lastRest)
		}
		retry = firstRetry
	}
}

// Pauses of a consumer that found nothing, and could not wait in Redis as long as it may.
const (
	firstRest = 5 * time.Millisecond
	lastRest  = 100 * time.Millisecond
)

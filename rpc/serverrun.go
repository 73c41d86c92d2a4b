package rpc

import (
	"context"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/keyslot"
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

	scheduler   *scheduler
	replies     sync.WaitGroup // that are not delivered
	undelivered atomic.Int64   // bytes of these
	across      sync.WaitGroup // of those that go to another slot

	executions  sync.Pool // used ones
	sentReplies sync.Pool // used ones

	malformed, expired, lost summary
}

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
		malformed: summary{text: "malformed calls dropped"},
		expired:   summary{text: "calls dropped, their callers have given up"},
		lost:      summary{text: "results lost"},
	}
	bySlot := map[int][]*function{} // sorted by name
	var inOrder []int
	for _, name := range slices.Sorted(maps.Keys(s.functions)) {
		f, slot := s.functions[name], 0
		if s.cluster != nil {
			slot = keyslot.Of(f.queue)
		}
		if len(bySlot[slot]) == 0 {
			inOrder = append(inOrder, slot)
		}
		bySlot[slot] = append(bySlot[slot], f)
	}
	for _, slot := range inOrder {
		r.consumers = append(r.consumers, r.newConsumer(slot, bySlot[slot]))
	}
	left := s.opt.MaxCalls
	if left == 0 {
		left = math.MaxInt
	}
	r.scheduler = &scheduler{consumers: r.consumers, wake: r.wake, free: s.opt.Workers, left: left, over: make(chan struct{})}
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
		case <-r.scheduler.over:
		case <-finished: // by itself
			return
		}
		close(r.stop)
		for _, c := range r.consumers {
			r.wake(c)
		}
	})
	beaten := make(chan struct{})
	upkeep.Go(func() {
		defer close(beaten)
		r.beat(finished)
	})
	for range r.opt.Workers {
		workers.Go(func() { r.work(ctx, &workers) })
	}
	for _, c := range r.consumers {
		consumers.Go(func() {
			defer c.fetcher.hangUp()
			r.consume(c)
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
	runFor(deletePatience, &upkeep, func() {
		<-beaten // else the last heartbeat could come after
		r.deleteKeys()
	})
	for _, c := range r.consumers {
		c.dialer.close()
		c.replies.close()
		c.bulk.close()
	}
	r.nodes.close()
	upkeep.Wait()
	r.flushSummaries()
}

// delivered is told of a reply that was delivered, or cannot be.
func (r *serverRun) delivered(a *reply) {
	r.undelivered.Add(-a.size)
	if a.holds {
		r.scheduler.give(1)
	}
	*a = reply{id: a.id}
	r.sentReplies.Put(a)
	r.replies.Done()
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
func (r *serverRun) deleteKeys() {
	keys := []string{r.alive, r.stats}
	for _, c := range r.consumers {
		keys = append(keys, c.wake)
	}
	for _, key := range keys {
		if !r.keep("key not deleted, it will expire: "+key, redis.NewIntCmd(r.nodes.dialer.life, "del", key)) {
			return
		}
	}
}

// A summary logs what may happen thousands of times a second once a second: the first at
// once, and how many there were since.
type summary struct {
	text string

	mu     sync.Mutex // guards what follows
	last   time.Time  // it was logged
	untold int
	attrs  []any // of the last one
}

// add notes one, which attrs describe.
func (s *summary) add(log *slog.Logger, attrs ...any) {
	s.mu.Lock()
	s.untold++
	s.attrs = attrs
	due := time.Since(s.last) >= time.Second
	s.mu.Unlock()
	if due {
		s.flush(log)
	}
}

// flush logs those that have not been.
func (s *summary) flush(log *slog.Logger) {
	s.mu.Lock()
	n, attrs := s.untold, s.attrs
	s.untold, s.attrs, s.last = 0, nil, time.Now()
	s.mu.Unlock()
	if n > 0 {
		log.Warn("rpc: "+s.text, append([]any{"count", n}, attrs...)...)
	}
}

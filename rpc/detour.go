package rpc

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// A detour takes the calls of a client whose slot is on its way from one master of a
// Cluster to another. What Redis answers then depends on where each key is just now:
// the old master has to be asked, and says ASK of the keys that it does not have, for
// which the new one is asked. So nobody can block, nor be told of changes: results are
// looked for again and again. When there is no ASK any more the slot has arrived, and
// the calls go back to the transport that they came from.
type detour struct {
	nodes *nodes
	life  time.Duration // of a queue
	back  func(*flight)

	asked atomic.Int64 // when the slot was last known to be on its way, in Unix nanoseconds

	mu      sync.Mutex // guards what follows
	flights []*flight
	running bool
	closed  bool
	closing chan struct{}
	runs    sync.WaitGroup
}

// inUse says whether new calls had better come at once.
func (d *detour) inUse() bool {
	return d != nil && time.Since(time.Unix(0, d.asked.Load())) < longestPause
}

// mostErrands is how many are sent together.
const mostErrands = 128

// newDetour returns a detour that gives flights back, which are written, by back.
func newDetour(nodes *nodes, life time.Duration, back func(*flight)) *detour {
	return &detour{nodes: nodes, life: life, back: back, closing: make(chan struct{})}
}

// take takes flights, whether they are written or not.
func (d *detour) take(flights ...*flight) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		for _, f := range flights {
			f.abandon(redis.ErrClosed)
		}
		return
	}
	d.asked.Store(time.Now().UnixNano())
	d.flights = append(d.flights, flights...)
	if !d.running && len(d.flights) > 0 {
		d.running = true
		d.runs.Go(d.run)
	}
}

func (d *detour) run() {
	var again backoff
	for {
		d.mu.Lock()
		d.flights = slices.DeleteFunc(d.flights, func(f *flight) bool { return f.is(ended) })
		flights := slices.Clone(d.flights)
		d.running = len(flights) > 0
		d.mu.Unlock()
		if len(flights) == 0 {
			return
		}
		arrived, err := true, error(nil)
		for some := range slices.Chunk(flights, mostErrands) {
			there, why := d.round(some)
			arrived, err = arrived && there, cmp.Or(err, why)
		}
		if arrived {
			d.asked.Store(0)
			d.giveBack(flights)
			continue
		}
		d.asked.Store(time.Now().UnixNano())
		if err == nil {
			again = backoff{}
		}
		if !again.pause(nil, d.closing) {
			return
		}
	}
}

// round pushes the flights that are not written, and looks for the results of the
// others. It reports whether their slot has arrived, and how a connection failed.
func (d *detour) round(flights []*flight) (arrived bool, err error) {
	errands := make([]*errand, len(flights))
	pushes := make([]*fate, len(flights)) // of those that are pushed
	for i, f := range flights {
		if f.write() {
			pushes[i] = new(fate)
			errands[i] = pushing(parcel{f.queue, [][]byte{f.message}, d.life}, pushes[i])
		} else {
			errands[i] = d.fetching(f)
		}
	}
	d.nodes.run(errands...)
	arrived = true
	for i, e := range errands {
		f, failed := flights[i], e.err != nil && !isReply(e.err)
		arrived = arrived && !e.asked && e.err == nil
		if failed {
			err = e.err
			f.lost(err)
		}
		switch fate := pushes[i]; {
		case fate == nil:
		case isElsewhere(e.err), failed && e.how == wroteNothing:
			f.unwrite()
		case failed && f.only:
			f.fail(ErrNoResult, e.err)
		case failed: // the result may come
		case fate.kind == refused:
			f.fail(ErrNotSent, fate.why)
		case f.only:
			f.end(outcome{})
		}
	}
	return arrived, err
}

// pushing is the errand to push a parcel. Its fate is known if there is no error.
func pushing(p parcel, to *fate) *errand {
	return &errand{key: p.key, commands: appendPushes(nil, []parcel{p}), read: func(r *reader) error {
		fates := []fate{{}}
		err := readPushes(r, fates)
		*to = fates[0]
		if err == nil && isElsewhere(to.why) {
			err = to.why
		}
		return err
	}}
}

// fetching is the errand to look for a result.
func (d *detour) fetching(f *flight) *errand {
	return &errand{key: f.reply, commands: appendCommand(nil, "LPOP", f.reply), read: func(r *reader) error {
		message, err := r.bulk(nil)
		switch {
		case err == nil:
			f.end(outcome{message: message})
		case err == errNull:
			err = nil
		case isReply(err) && !isPassing(err): // such as WRONGTYPE
			f.fail(ErrNoResult, err)
			err = nil
		}
		return err
	}}
}

// giveBack gives flights back that wait for their results.
func (d *detour) giveBack(flights []*flight) {
	d.mu.Lock()
	d.flights = slices.Delete(d.flights, 0, len(flights)) // which come first
	d.mu.Unlock()
	for _, f := range flights {
		if !f.is(ended) {
			d.back(f)
		}
	}
}

// abandon ends all flights.
func (d *detour) abandon() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	close(d.closing)
	for _, f := range d.flights {
		f.abandon(redis.ErrClosed)
	}
}

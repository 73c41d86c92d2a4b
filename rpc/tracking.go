package rpc

import (
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// trackTransport takes any number of calls over one connection. Before it pushes
// a call it reads the key of the result (EXISTS) with CLIENT TRACKING ON, so Redis
// says when that key changes: the result is there, and LPOP fetches it.
//
// What Redis says is taken for a hint to look. It also says so when the key
// changes in another database, or is forgotten because too many are tracked, and
// from then on says no more about the key. So if LPOP finds nothing the key is
// checked: EXISTS, which makes Redis track it again, then LPOP if it is there.
// All keys that are waited for are checked after a flush and on each new
// connection, and, as nothing tells of a SWAPDB, those that have not been for a
// second.
type trackTransport struct {
	link   *link
	line   *line
	expiry time.Duration
	spare  *buffers // for results
	detour *detour  // if it is a Cluster

	// unfit is called when tracking does not work here, with the flights that have
	// to be taken by other means, some of which are written.
	unfit func(why error, flights []*flight)
	fit   func() // is called when it does

	volleys sync.Pool // used ones

	noticed bool // of the reading goroutine: there is something to send since the last read

	mu      sync.Mutex // guards what follows
	closing bool
	pending map[string]*flight // by the key of the result
	sends   backlog            // not written yet
	pops    []*flight          // their results may be there
	checks  []*flight          // may have to be tracked again
	singly  []*flight          // the same, each by itself
	dels    []string           // keys with results that nobody waits for
}

const (
	checkEvery = time.Second
	mostSends  = 512       // calls in a batch
	mostBytes  = 256 << 10 // in a batch, before another call is added
	mostKeys   = 512       // in one EXISTS
	sharedSize = 64 << 10  // of the buffer to read through
)

func newTrackTransport(l *link, opt ClientOptions, spare *buffers, fit func(), unfit func(error, []*flight)) *trackTransport {
	t := &trackTransport{
		link: l, expiry: opt.Expiry, spare: spare, fit: fit, unfit: unfit,
		pending: map[string]*flight{},
	}
	t.line = newLine(l, t)
	return t
}

func (t *trackTransport) send(f *flight) {
	t.mu.Lock()
	if t.closing {
		t.mu.Unlock()
		f.fail(ErrNotSent, redis.ErrClosed)
		return
	}
	t.pending[f.reply] = f
	t.sends.push(f)
	t.mu.Unlock()
	t.line.signal()
}

// resume waits for the result of a flight that is written.
func (t *trackTransport) resume(f *flight) {
	t.mu.Lock()
	if t.closing {
		t.mu.Unlock()
		f.abandon(redis.ErrClosed)
		return
	}
	if !f.is(ended) { // else it is finished, or will be in a moment
		t.pending[f.reply] = f
		t.checks = append(t.checks, f)
	}
	t.mu.Unlock()
	t.line.signal()
}

func (t *trackTransport) finished(f *flight) {
	t.mu.Lock()
	delete(t.pending, f.reply)
	t.mu.Unlock()
}

// abandon ends all flights, those that are yet to be sent included.
func (t *trackTransport) abandon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closing = true
	for _, f := range t.pending {
		f.abandon(redis.ErrClosed)
	}
}

// connect makes a connection with tracking, and sees whether it works.
func (t *trackTransport) connect() (*conn, error) {
	c, err := t.link.connect(3, sharedSize)
	if err != nil {
		return nil, err
	}
	for {
		f := t.anyPending()
		if f == nil {
			c.Close()
			return nil, errNobody
		}
		err := startTracking(c, f.reply+":probe") // a key that the caller may use, if it may do the call at all
		switch {
		case err == nil:
			return c, nil
		case isKeyRefusal(err):
			f.abandon(err)
			t.finished(f)
		default:
			c.Close()
			return nil, err
		}
	}
}

// errNobody is why there is no connection if all callers have left.
var errNobody = errors.New("nobody waits any more")

func (t *trackTransport) anyPending() *flight {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.pending {
		if !f.is(ended) {
			return f
		}
	}
	return nil
}

func (t *trackTransport) up() {
	t.fit()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checkAll(func(*flight) bool { return true })
}

func (t *trackTransport) down(err error) {
	away := t.detour != nil && isAsk(err)
	if isElsewhere(err) && !away {
		return // all wait for the next connection
	}
	t.mu.Lock()
	flights := t.sends.take(nil, len(t.sends.waiting()))
	var unfit *unfitError
	if errors.As(err, &unfit) || away {
		flights = flights[:0]
		for _, f := range t.pending {
			flights = append(flights, f)
		}
		clear(t.pending)
	}
	for _, f := range t.pending {
		f.lost(err)
	}
	t.mu.Unlock()
	switch {
	case away:
		t.detour.take(flights...)
		return
	case unfit != nil:
		t.unfit(unfit, flights)
		return
	}
	for _, f := range flights {
		f.fail(ErrNotSent, err)
	}
}

func (t *trackTransport) lost(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.pending {
		f.lost(err)
	}
	t.pops, t.checks, t.singly, t.dels = nil, nil, nil, nil // all are checked on the next connection
}

func (t *trackTransport) waiting() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.pending) > 0
}

// tick checks what has not been for long.
func (t *trackTransport) tick() {
	now := time.Now()
	t.mu.Lock()
	more := t.checkAll(func(f *flight) bool { return now.Sub(f.checked) >= checkEvery })
	t.mu.Unlock()
	if more {
		t.line.signal()
	}
}

func (t *trackTransport) quiet() {
	if t.noticed {
		t.noticed = false
		t.line.signal()
	}
}

func (t *trackTransport) push(r *reader, elements int) error {
	return readInvalidation(r, elements, t.changed)
}

// changed is told of a key that has changed; nil is all of them.
func (t *trackTransport) changed(key []byte) {
	t.noticed = true
	t.mu.Lock()
	defer t.mu.Unlock()
	if key == nil {
		t.checkAll(func(*flight) bool { return true })
	} else if f := t.pending[string(key)]; f != nil {
		t.pops = append(t.pops, f)
	} else {
		t.dels = append(t.dels, string(key)) // the caller has left
	}
}

// checkAll has all flights checked that are written, and due. It is called under
// the lock, and reports whether there are any.
func (t *trackTransport) checkAll(due func(*flight) bool) bool {
	for _, f := range t.pending {
		if f.is(written) && due(f) {
			t.checks = append(t.checks, f)
		}
	}
	return len(t.checks) > 0
}

// later puts flights on a list of what to send next.
func (t *trackTransport) later(list *[]*flight, flights ...*flight) {
	t.noticed = true
	t.mu.Lock()
	defer t.mu.Unlock()
	*list = append(*list, flights...)
}

func (t *trackTransport) gather(out []byte) ([]byte, batch) {
	v, _ := t.volleys.Get().(*volley)
	if v == nil {
		v = newVolley(t)
	}
	now := time.Now()
	t.mu.Lock()
	n, size := 0, 0
	for _, f := range t.sends.waiting() {
		if n >= mostSends || size >= mostBytes {
			break
		}
		size += len(f.message)
		n++
	}
	v.sends = t.sends.take(v.sends, n)
	v.pops, t.pops = t.pops, v.pops
	v.checks, t.checks = t.checks, v.checks
	v.singly, t.singly = t.singly, v.singly
	v.dels, t.dels = t.dels, v.dels
	for _, f := range v.sends {
		f.checked = now
	}
	for _, f := range v.checks {
		f.checked = now
	}
	t.mu.Unlock()
	if t.link.clock.claim(askEvery) {
		v.asked = now
	}
	out = v.append(out)
	if len(out) == 0 {
		v.recycle()
		return out, nil
	}
	return out, v
}

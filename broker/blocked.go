package broker

import (
	"slices"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/transport"
)

// Clients that wait for a key stand in a queue of that key, and are served first
// come, first served. A write that makes a key out of nothing marks it as ready;
// ready keys are served once the command is done, or the transaction that it is
// part of. A client that waits for several keys stands in several queues.

// A waiter is a blocked client.
type waiter struct {
	session *session
	wait    *keyspace.Wait
	db      *keyspace.DB
	drop    Drop // when the client is answered, its connection is closed
	tickets []ticket
	since   int64 // nanoseconds since 1970
	took    int64 // how long the command has run, nanoseconds
}

// A ticket is a place in a queue, which is a doubly linked list.
type ticket struct {
	waiter     *waiter
	queue      *queue
	prev, next *ticket
}

// A queue holds the clients that wait for one key, in order.
type queue struct {
	key         string
	first, last *ticket
}

// A readyKey is one that clients may be waiting for and that has just been made.
type readyKey struct {
	db   *keyspace.DB
	key  string
	late bool // the command that made it is over, and its changes have been told
}

// block parks the client until it is served, timed out or gone.
func (s *session) block(d *keyspace.DB, w *keyspace.Wait) {
	b := s.broker
	p := &waiter{session: s, wait: w, db: d, since: b.keys.Now}
	p.tickets = make([]ticket, 0, len(w.Keys))
	blocked := b.blocked[d.Index]
	for i, key := range w.Keys {
		q := blocked[string(key)]
		if q == nil {
			q = &queue{key: string(key)}
			blocked[q.key] = q
		} else if q.last.waiter == p {
			continue // the same key twice in a row
		} else if i > 0 && p.holds(q) {
			continue
		}
		p.tickets = append(p.tickets, ticket{waiter: p, queue: q, prev: q.last})
		t := &p.tickets[len(p.tickets)-1]
		if q.last == nil {
			q.first = t
		} else {
			q.last.next = t
		}
		q.last = t
	}
	d.Awaited = len(blocked) > 0
	s.waiter, s.waits = p, true
	if p.wait.Left == nil {
		b.countBlocked(1)
	}
	if at := b.keys.Now + int64(w.Timeout); at > b.keys.Now { // beyond the year 2262 it overflows
		b.keys.Alarms.Set(&s.timeoutAlarm, s, at)
	}
}

func (p *waiter) holds(q *queue) bool {
	for i := range p.tickets {
		if p.tickets[i].queue == q {
			return true
		}
	}
	return false
}

// leave takes a client out of all its queues.
func (p *waiter) leave() {
	s := p.session
	b := s.broker
	blocked := b.blocked[p.db.Index]
	for i := range p.tickets {
		t := &p.tickets[i]
		if t.prev == nil {
			t.queue.first = t.next
		} else {
			t.prev.next = t.next
		}
		if t.next == nil {
			t.queue.last = t.prev
		} else {
			t.next.prev = t.prev
		}
		if t.queue.first == nil {
			delete(blocked, t.queue.key)
		}
	}
	p.db.Awaited = len(blocked) > 0
	s.waiter, s.waits = nil, false
	s.retryDeferred()
	b.keys.Alarms.Clear(&s.timeoutAlarm)
	if p.wait.Left == nil {
		b.countBlocked(-1)
	} else {
		p.wait.Left()
	}
}

// unblock answers a blocked client, at a place of its output, see call.place. What it sent meanwhile is looked at once the
// command that woke it is done.
func (s *session) unblock(place int, r resp.Reply) {
	drop, mark := s.waiter.drop, s.out.Len()
	if s.broker.observed {
		outcome, err := outcomeOf(&r)
		if drop != 0 {
			outcome, err = Dropped, ""
		}
		s.logUnblocked(outcome, err)
	}
	s.waiter.leave()
	s.replyAt(place, &r)
	s.replyMode.nextCommand()
	if drop != 0 {
		s.drop(mark, drop)
	}
	s.broker.resumed = append(s.broker.resumed, s)
}

// Due answers a client that has waited long enough.
func (s *session) Due() { s.unblock(0, s.waiter.wait.Late) }

// Ready marks a key as ready if clients wait for it.
func (h hooks) Ready(d *keyspace.DB, key string) {
	if h.blocked[d.Index][key] != nil {
		h.ready = append(h.ready, readyKey{db: d, key: key})
	}
}

// Removed marks a key as ready that has gone, if a client waits that wants to know.
func (h hooks) Removed(d *keyspace.DB, key string) {
	q := h.blocked[d.Index][key]
	if q == nil {
		return
	}
	for t := q.first; t != nil; t = t.next {
		if t.waiter.wait.Gone != nil {
			h.ready = append(h.ready, readyKey{db: d, key: key})
			return
		}
	}
}

// serveReadyKeys serves the clients that wait for the keys which became ready. To
// serve one may make other keys ready, which are served after those.
func (b *Broker) serveReadyKeys() {
	for i := 0; i < len(b.ready); i++ {
		b.serveKey(b.ready[i])
	}
	b.ready = emptied(b.ready)
}

// serveKey gives what a key has to the clients that wait for it, in order. A client that it
// has nothing for is passed by, and waits on. The key is only touched for a client that is
// still there: what has been popped for one that has gone would be lost. Where that is not
// sure, the key is served again when more of the client's input has been read.
func (b *Broker) serveKey(k readyKey) {
	q := b.blocked[k.db.Index][k.key]
	if q == nil {
		return
	}
	var s *session
	defer func() {
		if p := recover(); p != nil {
			s.fatal(p)
			b.ready = append(b.ready, k) // for the others
		}
	}()
	for t := q.first; t != nil; {
		w := t.waiter
		t = t.next
		e := k.db.Get(k.key)
		if e == nil && w.wait.Gone == nil {
			continue
		}
		s = w.session
		switch s.transport.Peer() {
		case transport.Gone:
			s.close()
			continue
		case transport.Unsure:
			k.late = true
			if !slices.Contains(s.deferredKeys, k) {
				s.deferredKeys = append(s.deferredKeys, k)
			}
			return
		}
		b.serveWaiter(w, k, e)
	}
}

// serveWaiter answers a client from a key that is ready, if that has something for it. The
// entry is nil if the key has gone.
func (b *Broker) serveWaiter(w *waiter, k readyKey, e *keyspace.Entry) {
	s := w.session
	c := b.begin(s, s.command)
	c.DB, c.Woken = w.db, !k.late
	began, served := b.measuredUntil, true
	var r resp.Reply
	b.guard(c, nil, func(c *keyspace.Call, _ [][]byte) (r resp.Reply) {
		if e == nil {
			return w.wait.Gone(c, k.key)
		}
		r, served = w.wait.Serve(c, e)
		return r
	}, &r)
	if !served {
		return
	}
	s.accountServed(began, &r)
	s.unblock(c.Place, r)
	b.tracking.deliverOwn()
}

// retryDeferred marks the keys as ready again that were not given to the client
// because it may have gone.
func (s *session) retryDeferred() {
	s.broker.ready = append(s.broker.ready, s.deferredKeys...)
	s.deferredKeys = nil
}

package broker

import (
	"slices"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/transport"
)

// Each key has a queue of the clients that are blocked on it, which are served in the
// order in which they blocked. A write that creates a key signals it as ready; ready keys
// are served after the command, or after the transaction that it is part of.

// A waiter is a blocked client.
type waiter struct {
	session *session
	wait    *keyspace.Wait
	db      *keyspace.DB
	drop    Drop // a fault: the connection is closed when the client is served
	tickets []ticket
	since   int64 // nanoseconds since 1970
	took    int64 // how long the command has run, nanoseconds
}

// A ticket is a waiter's entry in a queue, which is a doubly linked list.
type ticket struct {
	waiter     *waiter
	queue      *queue
	prev, next *ticket
}

// A queue has the clients that are blocked on one key, in order.
type queue struct {
	key         string
	first, last *ticket
}

// A readyKey is a key that may have something for the clients blocked on it.
type readyKey struct {
	db   *keyspace.DB
	key  string
	late bool // it is served again, after the command that signalled it
}

// block blocks the client until it is served, times out or disconnects.
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

// leave removes a client from all its queues.
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

// unblock answers a blocked client; for place see keyspace.Call. The commands that the
// client has pipelined are processed once the running command is done.
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

// Due answers a client that times out.
func (s *session) Due() { s.unblock(0, s.waiter.wait.Late) }

// Ready signals a key as ready if clients are blocked on it.
func (h hooks) Ready(d *keyspace.DB, key string) {
	if h.blocked[d.Index][key] != nil {
		h.ready = append(h.ready, readyKey{db: d, key: key})
	}
}

// Removed signals a deleted key as ready if a client blocked on it wants to know.
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

// serveReadyKeys serves the clients that are blocked on ready keys. Serving one may make
// other keys ready, which are served after those.
func (b *Broker) serveReadyKeys() {
	if b.isBusy() {
		return // they are served when the script has ended
	}
	for i := 0; i < len(b.ready); i++ {
		b.serveKey(b.ready[i])
	}
	b.ready = emptied(b.ready)
}

// serveKey serves the clients that are blocked on a key, in order. A client that the key
// has nothing for stays blocked. Nothing is popped for a client that has disconnected, as
// it would be lost. Where that is not known for sure, the key is served again when more of
// the client's input has been read.
func (b *Broker) serveKey(k readyKey) {
	q := b.blocked[k.db.Index][k.key]
	if q == nil {
		return
	}
	var s *session
	defer func() {
		if p := recover(); p != nil {
			s.fatal(p)
			b.ready = append(b.ready, k) // for the other clients
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

// serveWaiter serves a client from a ready key, if that has something for it. The entry is
// nil if the key was deleted.
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

// retryDeferred signals the keys again from which the client was not served because it
// might have disconnected.
func (s *session) retryDeferred() {
	if len(s.deferredKeys) == 0 {
		return
	}
	s.broker.ready = append(s.broker.ready, s.deferredKeys...)
	s.deferredKeys = nil
}

package broker

import (
	"slices"
	"time"

	"redrpc/broker/internal/resp"
)

// Clients that wait for a key stand in a queue of that key, and are served first
// come, first served. A write that makes a key out of nothing marks it as ready;
// ready keys are served once the command is done, or the transaction that it is
// part of. A client that waits for several keys stands in several queues.

// A wait is a handler's wish to be asked again when one of keys is ready.
type wait struct {
	keys    [][]byte
	timeout time.Duration // 0: for ever
	refused resp.Reply    // the answer where waiting is not possible: in a transaction
	late    resp.Reply    // the answer when the time is up

	// serve answers the client from a key that holds a list. Like a handler it
	// runs under the lock, but later: it must not refer to the arguments.
	serve func(c *call, e *entry, l *list) resp.Reply

	// left is called when the client waits no more, whatever the reason, if it waits
	// for something else than keys. Then it does not count as blocked.
	left func()
}

// A waiter is a blocked client.
type waiter struct {
	session *session
	serve   func(c *call, e *entry, l *list) resp.Reply
	db      *database
	late    resp.Reply
	left    func()
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
	db   *database
	key  string
	late bool // the command that made it is over, and its changes have been told
}

// block parks the client until it is served, timed out or gone.
func (s *session) block(d *database, w *wait) {
	b := s.broker
	p := &waiter{session: s, serve: w.serve, db: d, late: w.late, left: w.left, since: b.now}
	p.tickets = make([]ticket, 0, len(w.keys))
	for i, key := range w.keys {
		q := d.blocked[string(key)]
		if q == nil {
			q = &queue{key: string(key)}
			d.blocked[q.key] = q
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
	s.waiter, s.waits = p, true
	if p.left == nil {
		b.countBlocked(1)
	}
	if at := b.now + int64(w.timeout); at > b.now { // beyond the year 2262 it overflows
		b.alarms.Set(&s.timeoutAlarm, s, at)
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
			delete(p.db.blocked, t.queue.key)
		}
	}
	s := p.session
	b := s.broker
	s.waiter, s.waits = nil, false
	s.serveDelayed()
	b.alarms.Clear(&s.timeoutAlarm)
	if p.left == nil {
		b.countBlocked(-1)
	} else {
		p.left()
	}
}

// unblock answers a blocked client, at a place of its output, see call.place. What it sent meanwhile is looked at once the
// command that woke it is done.
func (s *session) unblock(place int, r resp.Reply) {
	drop, mark := s.waiter.drop, len(s.out)
	if s.broker.observed {
		outcome, err := outcomeOf(&r)
		if drop != 0 {
			outcome, err = Dropped, ""
		}
		s.noteEnd(outcome, err)
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
func (s *session) Due() { s.unblock(0, s.waiter.late) }

// signalReady marks a key as ready if clients wait for it.
func (b *Broker) signalReady(d *database, key string) {
	if len(d.blocked) > 0 && d.blocked[key] != nil {
		b.ready = append(b.ready, readyKey{db: d, key: key})
	}
}

// serveReadyKeys serves the clients that wait for the keys which became ready. To
// serve one may make other keys ready, which are served after those.
func (b *Broker) serveReadyKeys() {
	for i := 0; i < len(b.ready); i++ {
		b.serveKey(b.ready[i])
	}
	b.ready = b.ready[:0]
}

// serveKey gives what a key has to the clients that wait for it, in order. The list
// is only touched for a client that is still there: what has been popped for one
// that has gone would be lost. Where that is not sure, the key is served again
// when more of the client's input has been read.
func (b *Broker) serveKey(k readyKey) {
	q := k.db.blocked[k.key]
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
		e := k.db.entries[k.key]
		if e == nil {
			return
		}
		l, isList := e.value.(*list)
		if !isList {
			return
		}
		w := t.waiter
		t = t.next
		s = w.session
		switch s.transport.peer() {
		case gone:
			s.close()
			continue
		case unsure:
			k.late = true
			if !slices.Contains(s.delayed, k) {
				s.delayed = append(s.delayed, k)
			}
			return
		}
		c := &b.running
		*c = call{Broker: b, session: s, db: w.db, command: s.command, woken: !k.late}
		began := b.lap
		r := b.guard(c, nil, func(c *call, _ [][]byte) resp.Reply { return w.serve(c, e, l) })
		s.served(began, &r)
		s.unblock(c.place, r)
		b.tracking.deliverOwn()
	}
}

// serveDelayed marks the keys as ready again that were not given to the client
// because it may have gone.
func (s *session) serveDelayed() {
	s.broker.ready = append(s.broker.ready, s.delayed...)
	s.delayed = nil
}

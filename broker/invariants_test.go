package broker

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// violation returns what of a broker's state does not agree with the rest of it, or
// "". It is called while nothing runs, with the lock held.
func (b *Broker) violation() string {
	for _, check := range []func(*Broker) string{
		(*Broker).wrongData, (*Broker).wrongQueues, (*Broker).wrongSessions, (*Broker).wrongSubscriptions, (*Broker).wrongTracking, (*Broker).wrongAlarms, (*Broker).wrongUsers,
	} {
		if v := check(b); v != "" {
			return v
		}
	}
	return ""
}

// wrongData looks at keys, values and the count of their memory.
func (b *Broker) wrongData() string {
	used := 0
	for _, d := range b.dbs {
		if len(d.order) != len(d.entries) {
			return fmt.Sprintf("db %d has %d keys, and %d in order", d.index, len(d.entries), len(d.order))
		}
		expiring := 0
		for i, e := range d.order {
			used += e.bytes
			switch {
			case int(e.place) != i || d.entries[e.key] != e || e.db != d:
				return fmt.Sprintf("the key %q of db %d is not where it belongs", e.key, d.index)
			case e.at != 0 && b.stall.until == 0 && e.at <= b.milliseconds():
				return fmt.Sprintf("the key %q should have expired", e.key)
			case e.at == 0 && e.alarm.IsSet(), e.at != 0 && e.at <= math.MaxInt64/int64(time.Millisecond) && e.alarm.At != e.at*int64(time.Millisecond):
				return fmt.Sprintf("the key %q expires at %d ms, its alarm is set for %d ns", e.key, e.at, e.alarm.At)
			case b.options.MaxMemory > 0 && e.bytes != e.footprint():
				return fmt.Sprintf("the key %q counts %d bytes, and takes %d", e.key, e.bytes, e.footprint())
			}
			if e.at != 0 {
				expiring++
			}
			if l, isList := e.value.(*list); isList {
				if v := l.wrong(); v != "" {
					return fmt.Sprintf("the list %q %s", e.key, v)
				}
			}
		}
		if expiring != d.expiring {
			return fmt.Sprintf("%d keys of db %d expire, %d are counted", expiring, d.index, d.expiring)
		}
	}
	if b.options.MaxMemory > 0 && used != b.used {
		return fmt.Sprintf("the data take %d bytes, %d are counted", used, b.used)
	}
	return ""
}

// wrong looks at a list's chunks and counts.
func (l *list) wrong() string {
	length, packed := 0, 0
	for _, p := range l.walk(left) {
		length++
		packed += packedSize(len(p.value()))
	}
	if length == 0 || length != l.length || packed != l.packed {
		return fmt.Sprintf("has %d elements of %d bytes, and counts %d of %d", length, packed, l.length, l.packed)
	}
	for _, p := range l.walk(right) {
		length--
		packed -= packedSize(len(p.value()))
	}
	if length != 0 || packed != 0 {
		return "is another when it is walked from its end"
	}
	return ""
}

// wrongQueues looks at who waits for what.
func (b *Broker) wrongQueues() string {
	tickets := 0
	waiting := map[*session]struct{}{} // of whom all is known
	for _, s := range b.sessions {
		waiting[s] = struct{}{}
	}
	for _, d := range b.dbs {
		for key, q := range d.blocked {
			if q.key != key || q.first == nil || q.first.prev != nil || q.last.next != nil {
				return fmt.Sprintf("the queue of %q is empty, or does not begin and end as it should", key)
			}
			for t := q.first; t != nil; t = t.next {
				tickets++
				if t.waiter.session.gone { // what it has sent may still be under way
					waiting[t.waiter.session] = struct{}{}
				}
				switch s := t.waiter.session; {
				case s.closed:
					return fmt.Sprintf("the closed client %d waits for %q", s.id, key)
				case s.waiter != t.waiter || t.queue != q || t.waiter.db != d:
					return fmt.Sprintf("client %d stands in the queue of %q, but does not know", s.id, key)
				case t.next != nil && t.next.prev != t, t.next == nil && q.last != t:
					return fmt.Sprintf("the queue of %q is not well linked", key)
				}
			}
		}
	}
	blocked := 0
	for s := range waiting {
		if s.waiter != nil {
			tickets -= len(s.waiter.tickets)
			if s.waiter.left == nil {
				blocked++
			}
		}
	}
	for h := range b.postponements.all {
		if h.why == paused {
			blocked++
		}
	}
	switch {
	case tickets != 0:
		return fmt.Sprintf("the queues hold %d tickets more than the clients have", tickets)
	case blocked != b.stats.blocked:
		return fmt.Sprintf("%d clients are blocked, %d are counted", blocked, b.stats.blocked)
	case len(b.ready)+len(b.resumed)+len(b.pendingWrites)+len(b.tracking.own) > 0:
		return "something has been left for later"
	}
	return ""
}

// wrongSessions looks at the clients, and at what they watch.
func (b *Broker) wrongSessions() string {
	watches := 0
	for id, s := range b.sessions {
		watches += len(s.transaction.watched)
		switch {
		case s.id != id || s.closed:
			return fmt.Sprintf("client %d is closed, or has another number", id)
		case s.waits != (s.waiter != nil || s.postponed != nil):
			return fmt.Sprintf("client %d waits: %t, but is in no queue, or in one", id, s.waits)
		case s.waiter != nil && s.postponed != nil:
			return fmt.Sprintf("client %d is blocked and held", id)
		case s.transaction.running:
			return fmt.Sprintf("the transaction of client %d has not ended", id)
		}
	}
	for _, d := range b.dbs {
		for key, watchers := range d.watched {
			if len(watchers) == 0 {
				return fmt.Sprintf("nobody watches %q any more", key)
			}
			for s, w := range watchers {
				if s.closed && !s.gone || w.db != d || w.key != key || !slices.Contains(s.transaction.watched, w) {
					return fmt.Sprintf("client %d watches %q, but does not know, or is closed", s.id, key)
				}
				if b.sessions[s.id] == s {
					watches--
				}
			}
		}
	}
	for h := range b.postponements.all {
		if h.session.postponed != h || h.session.closed {
			return fmt.Sprintf("a command of client %d is kept, which is closed or does not know", h.session.id)
		}
	}
	if watches != 0 {
		return fmt.Sprintf("the clients watch %d keys more than are watched", watches)
	}
	return ""
}

// wrongSubscriptions looks at who listens to what.
func (b *Broker) wrongSubscriptions() string {
	for kind := range subscriptionKinds {
		n := 0
		for name, subscribers := range b.pubsub[kind] {
			n += len(subscribers)
			for i, s := range subscribers {
				if _, known := s.subscriptions[kind][name]; !known || b.sessions[s.id] != s || slices.Contains(subscribers[:i], s) {
					return fmt.Sprintf("client %d is subscribed to %q, but does not know, or is closed, or is so twice", s.id, name)
				}
			}
			if len(subscribers) == 0 {
				return fmt.Sprintf("nobody is subscribed to %q any more", name)
			}
		}
		for _, s := range b.sessions {
			n -= len(s.subscriptions[kind])
		}
		if n != 0 {
			return fmt.Sprintf("there are %d subscriptions more than the clients have", n)
		}
	}
	return ""
}

// wrongTracking looks at who is told of which changes.
func (b *Broker) wrongTracking() string {
	t, clients := &b.tracking, 0
	for _, s := range b.sessions {
		if s.tracking.on {
			clients++
		}
		for _, name := range s.tracking.prefixes {
			if p := t.prefixes[name]; s.tracking.on && p == nil {
				return fmt.Sprintf("client %d tracks the prefix %q, which nobody knows", s.id, name)
			}
		}
	}
	for name, p := range t.prefixes {
		if len(p.changed) > 0 || len(p.clients) == 0 {
			return fmt.Sprintf("changes with the prefix %q are kept, or nobody tracks it", name)
		}
		for s := range p.clients {
			if b.sessions[s.id] != s || !s.tracking.on || !s.tracking.broadcast {
				return fmt.Sprintf("client %d does not track the prefix %q", s.id, name)
			}
		}
	}
	switch {
	case clients != t.clients:
		return fmt.Sprintf("%d clients track, %d are counted", clients, t.clients)
	case t.active != (clients > 0 || len(t.readers) > 0):
		return fmt.Sprintf("tracking is active: %t, with %d clients and %d keys", t.active, clients, len(t.readers))
	case b.options.MaxTracked > 0 && len(t.readers) > b.options.MaxTracked:
		return fmt.Sprintf("%d keys are tracked, which is more than %d", len(t.readers), b.options.MaxTracked)
	}
	return ""
}

// wrongAlarms looks at the heap of alarms.
func (b *Broker) wrongAlarms() string {
	for a := range b.alarms.All() {
		switch {
		case a.At <= b.now && b.stall.until == 0:
			return fmt.Sprintf("an alarm that was due %d ns ago has not been heard", b.now-a.At)
		}
		var s *session
		switch owner := a.Owner.(type) {
		case *session:
			s = owner
		case *idleTimeout:
			s = (*session)(owner)
		case *softLimit:
			s = (*session)(owner)
		}
		if s != nil && s.closed {
			return fmt.Sprintf("the closed client %d has an alarm set", s.id)
		}
	}
	return ""
}

// leftovers returns what a broker keeps although it has no clients any more, or "".
func (b *Broker) leftovers() string {
	watched, blocked := 0, 0
	for _, d := range b.dbs {
		watched += len(d.watched)
		blocked += len(d.blocked)
	}
	if n := len(b.sessions) + len(b.postponements.all) + watched + blocked + b.stats.blocked + b.tracking.clients + len(b.tracking.prefixes) + len(b.tracking.readers); n > 0 {
		return fmt.Sprintf("%d clients, %d kept commands, %d watched keys, %d queues with %d clients, %d that track %d prefixes and %d keys",
			len(b.sessions), len(b.postponements.all), watched, blocked, b.stats.blocked, b.tracking.clients, len(b.tracking.prefixes), len(b.tracking.readers))
	}
	return ""
}

// wrongUsers looks at users and their clients.
func (b *Broker) wrongUsers() string {
	for name, u := range b.acl.users {
		own := &u.rights[0]
		if everything := own.future && own.commands == everyCommand && own.anyKey && own.anyChannel; u.name != name || u.unlimited != everything {
			return fmt.Sprintf("the user %q may do everything: %t, which is %t, or has another name", name, everything, u.unlimited)
		}
	}
	for _, s := range b.sessions {
		if b.acl.users[s.user.name] != s.user && !s.closing {
			return fmt.Sprintf("client %d is a user that there is none of: %q", s.id, s.user.name)
		}
	}
	if n := len(b.acl.log); n > b.options.access.logLength {
		return fmt.Sprintf("the log of denials has %d entries, which is more than %d", n, b.options.access.logLength)
	}
	return ""
}

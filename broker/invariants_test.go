package broker

import (
	"fmt"
	"slices"
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
	for _, d := range b.keys.DBs {
		for e := range d.All() {
			if e.ExpiresAt != 0 && b.stall.until == 0 && e.ExpiresAt <= b.keys.Milliseconds() {
				return fmt.Sprintf("the key %q should have expired", e.Key)
			}
		}
		if awaits := len(b.blocked[d.Index]) > 0; d.Awaited != awaits {
			return fmt.Sprintf("db %d: clients wait for keys: %t, which the keyspace takes for %t", d.Index, awaits, d.Awaited)
		}
		if watches := b.tracking.active || len(b.watched[d.Index]) > 0; d.Watched != watches {
			return fmt.Sprintf("db %d: clients depend on keys: %t, which the keyspace takes for %t", d.Index, watches, d.Watched)
		}
	}
	if err := b.keys.Check(); err != nil {
		return err.Error()
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
	for _, d := range b.keys.DBs {
		for key, q := range b.blocked[d.Index] {
			if q.key != key || q.first == nil || q.first.prev != nil || q.last.next != nil {
				return fmt.Sprintf("the queue of %q is empty, or does not begin and end as it should", key)
			}
			for t := q.first; t != nil; t = t.next {
				tickets++
				if t.waiter.session.disconnected { // what it has sent may still be under way
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
			if s.waiter.wait.Left == nil {
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
	for _, d := range b.keys.DBs {
		for key, watchers := range b.watched[d.Index] {
			if len(watchers) == 0 {
				return fmt.Sprintf("nobody watches %q any more", key)
			}
			for s, w := range watchers {
				if s.closed && !s.disconnected || w.db != d || w.key != key || !slices.Contains(s.transaction.watched, w) {
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
	for s := range t.trackers {
		if s.closed {
			return fmt.Sprintf("the closed client %d is kept as one that has tracked", s.id)
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
	for a := range b.keys.Alarms.All() {
		switch {
		case a.At <= b.keys.Now && b.stall.until == 0:
			return fmt.Sprintf("an alarm that was due %d ns ago has not been heard", b.keys.Now-a.At)
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
	for _, d := range b.keys.DBs {
		watched += len(b.watched[d.Index])
		blocked += len(b.blocked[d.Index])
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
		sealed := *u
		if sealed.Seal(); u.Name != name || u.Unlimited != sealed.Unlimited {
			return fmt.Sprintf("the user %q may do everything: %t, which is %t, or has another name", name, u.Unlimited, sealed.Unlimited)
		}
	}
	for _, s := range b.sessions {
		if b.acl.users[s.user.Name] != s.user && !s.closing {
			return fmt.Sprintf("client %d is a user that there is none of: %q", s.id, s.user.Name)
		}
	}
	if n := len(b.acl.log); n > b.options.access.logLength {
		return fmt.Sprintf("the log of denials has %d entries, which is more than %d", n, b.options.access.logLength)
	}
	return ""
}

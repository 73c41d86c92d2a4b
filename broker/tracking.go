package broker

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// Client tracking: the broker remembers which keys a client has read, or which
// prefixes it named, and tells it when one of them changes.

// invalidateChannel is where a RESP2 client that others redirect to is told.
const invalidateChannel = "__redis__:invalidate"

// trackingState is what one client has asked for with CLIENT TRACKING.
type trackingState struct {
	on, broadcast, optIn, optOut, noLoop bool

	redirect int64    // the client to tell instead; 0: itself. It stays when tracking ends, for what is still to be told
	broken   bool     // that client has gone
	prefixes []string // broadcast: what it wants to hear of; "" is everything
	caching  bool     // CLIENT CACHING was called for the next command
}

// items is how many times a key was read by a client.
func (t *tracking) items() int {
	n := 0
	for _, ids := range t.readers {
		n += len(ids)
	}
	return n
}

// redirection is what CLIENT GETREDIR answers.
func (t *trackingState) redirection() int64 {
	if !t.on {
		return -1
	}
	return t.redirect
}

// tracking is the broker's side of it.
type tracking struct {
	broker   *Broker
	active   bool                          // some client tracks, or did so, and keys that it read have not changed or it is still to be told
	clients  int                           // how many
	trackers map[*session]struct{}         // clients that track, or did: readers may name them
	readers  map[string]map[int64]struct{} // clients that have read a key
	prefixes map[string]*prefix            // broadcast
	own      []ownChange                   // what the running client has to be told of its own changes
}

// An ownChange is an invalidation for the client that caused it. It is told when
// its command has been answered.
type ownChange struct {
	session *session
	keys    [][]byte // nil: all of them
}

// A prefix collects the changes to tell its clients of when the batch of commands
// is done, each with the client that made it.
type prefix struct {
	clients map[*session]struct{}
	changed map[string]*session
}

func (t *tracking) init(b *Broker) {
	t.broker = b
	t.readers = map[string]map[int64]struct{}{}
	t.trackers = map[*session]struct{}{}
	t.prefixes = map[string]*prefix{}
}

// setActive tells the keyspace, too.
func (t *tracking) setActive(active bool) {
	if t.active != active {
		t.active = active
		t.broker.updateWatched()
	}
}

// track remembers the keys that a command has read.
func (s *session) track(cmd *command.Command, args [][]byte) {
	t := &s.tracking
	if cmd.Flags&command.ReadOnly == 0 || cmd.Flags&command.RunsScript != 0 || t.broadcast || t.optIn && !t.caching || t.optOut && t.caching {
		return
	}
	keys := [][]byte(nil)
	if s.isInScript() {
		keys = s.broker.scripting.running.keys // as in Redis, whichever the script reads
	} else {
		for _, i := range cmd.Tracked(args) {
			keys = append(keys, args[i])
		}
	}
	readers := s.broker.tracking.readers
	for _, key := range keys {
		ids := readers[string(key)]
		if ids == nil {
			ids = map[int64]struct{}{}
			readers[string(key)] = ids
		}
		ids[s.id] = struct{}{}
		s.broker.dropDisconnected(ids)
	}
}

// dropDisconnected drops clients that have gone, once they are the most. So a key that is read
// by one client after the other, and does not change, remembers no more than twice as
// many as there are.
func (b *Broker) dropDisconnected(ids map[int64]struct{}) {
	if len(ids) > 2*len(b.sessions)+keptDisconnected {
		maps.DeleteFunc(ids, func(id int64, _ struct{}) bool { return b.sessions[id] == nil })
	}
}

// keptDisconnected is how many readers of a key may have gone in any case.
const keptDisconnected = 16

// afterCommand ends a command: it tells the client that ran it of its own changes, and if
// more keys are remembered to have been read than may be, forgets some, and tells
// their readers as if they had changed.
func (t *tracking) afterCommand() {
	t.deliverOwn()
	most := t.broker.options.MaxTracked
	for key := range t.readers {
		if most <= 0 || len(t.readers) <= most {
			return
		}
		t.changedForReaders(nil, key)
	}
}

// endCaching ends what CLIENT CACHING said, which holds for one command, or one
// transaction. CLIENT commands do not count.
func (s *session) endCaching(cmd *command.Command) {
	isClient := cmd != nil && strings.HasPrefix(cmd.FullName, "client|")
	if !isClient && !s.transaction.open {
		s.tracking.caching = false
	}
}

// changed notes that a key changed. By is the client that did it, or nil.
func (t *tracking) changed(by *session, key string) {
	author := by
	if t.broker.isBusy() {
		author = nil // as in Redis, which takes the client that runs a script for another one
	}
	for name, p := range t.prefixes {
		if strings.HasPrefix(key, name) {
			p.changed[key] = author
		}
	}
	t.changedForReaders(by, key)
}

// changedForReaders tells the clients that have read a key.
func (t *tracking) changedForReaders(by *session, key string) {
	ids := t.readers[key]
	if ids == nil {
		return
	}
	delete(t.readers, key)
	keys := [][]byte{[]byte(key)}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		s := t.broker.sessions[id]
		if s == nil || !s.tracking.on || s.tracking.broadcast || s == by && s.tracking.noLoop {
			continue
		}
		t.tell(s, by, keys)
	}
	t.updateActive()
}

// updateActive notes whether there is still something to do for anybody.
func (t *tracking) updateActive() { t.setActive(t.clients > 0 || len(t.readers) > 0 || len(t.own) > 0) }

// flushed notes that all keys may have changed.
func (t *tracking) flushed(by *session) {
	clear(t.readers)
	for _, id := range slices.Sorted(maps.Keys(t.broker.sessions)) {
		if s := t.broker.sessions[id]; s.tracking.on {
			t.tell(s, by, nil)
		}
	}
	t.updateActive()
}

// tell sends an invalidation, after the reply to the running command if it is for
// the client that gave it.
func (t *tracking) tell(s, by *session, keys [][]byte) {
	if s == by {
		t.own = append(t.own, ownChange{s, keys})
	} else {
		s.invalidate(keys)
	}
}

// deliverOwn tells the running client of its own changes, unless its script is running.
func (t *tracking) deliverOwn() {
	if len(t.own) == 0 || t.broker.isBusy() {
		return
	}
	for _, o := range t.own {
		if !o.session.closed {
			o.session.invalidate(o.keys)
		}
	}
	t.own = emptied(t.own)
	t.updateActive()
}

// broadcast tells the clients of each prefix what changed since the last time.
func (t *tracking) broadcast() {
	defer t.broker.recoverPanic()
	for _, name := range slices.Sorted(maps.Keys(t.prefixes)) {
		p := t.prefixes[name]
		if len(p.changed) == 0 {
			continue
		}
		changed := slices.Sorted(maps.Keys(p.changed))
		for _, s := range sortedSessions(p.clients) {
			var keys [][]byte
			for _, key := range changed {
				if !s.tracking.noLoop || p.changed[key] != s {
					keys = append(keys, []byte(key))
				}
			}
			if len(keys) > 0 {
				s.invalidate(keys)
			}
		}
		clear(p.changed)
	}
}

func sortedSessions(m map[*session]struct{}) []*session {
	return slices.SortedFunc(maps.Keys(m), func(a, b *session) int { return cmp.Compare(a.id, b.id) })
}

// invalidate tells a client, or the one it redirects to, that keys changed; nil
// means all keys.
func (s *session) invalidate(keys [][]byte) {
	to := s
	if s.tracking.redirect != 0 {
		to = s.broker.sessions[s.tracking.redirect]
		if to == nil {
			s.tracking.broken = true
			if s.protocol == 3 {
				r := resp.Push(resp.BulkString("tracking-redir-broken"), resp.Integer(s.tracking.redirect))
				s.reply(&r)
			}
			return
		}
	}
	what := resp.Null
	if keys != nil {
		items := make([]resp.Reply, len(keys))
		for i, key := range keys {
			items[i] = resp.Bulk(key)
		}
		what = resp.Array(items...)
	}
	var r resp.Reply
	switch {
	case to.protocol == 3:
		r = resp.Push(resp.BulkString("invalidate"), what)
	case s.tracking.redirect != 0 && to.subscriptions.any():
		r = resp.Push(resp.BulkString("message"), resp.BulkString(invalidateChannel), what)
	default:
		return // there is no way to tell it
	}
	to.reply(&r)
}

// stopTracking ends what CLIENT TRACKING ON began. Keys the client has read are
// forgotten when they change next.
func (s *session) stopTracking() {
	if !s.tracking.on {
		return
	}
	t := &s.broker.tracking
	for _, name := range s.tracking.prefixes {
		p := t.prefixes[name]
		delete(p.clients, s)
		if len(p.clients) == 0 {
			delete(t.prefixes, name)
		}
	}
	s.tracking = trackingState{redirect: s.tracking.redirect}
	t.clients--
	t.updateActive()
}

// forget drops a client that is closed, and with the last that has ever tracked the
// keys that have been read.
func (t *tracking) forget(s *session) {
	s.stopTracking()
	if _, was := t.trackers[s]; !was {
		return
	}
	if delete(t.trackers, s); len(t.trackers) == 0 {
		t.readers = map[string]map[int64]struct{}{}
		t.setActive(false)
	}
}

// startTracking begins, or changes, what a client is told. The options have been
// checked.
func (s *session) startTracking(o trackingState) {
	t := &s.broker.tracking
	if !s.tracking.on {
		t.clients++
		t.setActive(true)
		t.trackers[s] = struct{}{}
	}
	prefixes := s.tracking.prefixes
	if o.broadcast {
		if len(o.prefixes) == 0 {
			o.prefixes = []string{""}
		}
		for _, name := range o.prefixes {
			p := t.prefixes[name]
			if p == nil {
				p = &prefix{clients: map[*session]struct{}{}, changed: map[string]*session{}}
				t.prefixes[name] = p
			}
			if _, known := p.clients[s]; !known {
				p.clients[s] = struct{}{}
				prefixes = append(prefixes, name)
			}
		}
	}
	slices.Sort(prefixes)
	o.prefixes = prefixes
	o.on = true
	o.caching = s.tracking.caching
	s.tracking = o
}

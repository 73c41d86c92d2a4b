package broker

import (
	"iter"
	"math"
	"time"

	"redrpc/broker/internal/alarm"
)

// A value is what a key holds.
type value interface {
	typeName() string // as TYPE reports it
	clone() value     // a copy that shares nothing with it
	size() int        // bytes of memory, about
	encoding() string // as OBJECT ENCODING reports it

	// recipe is the command that makes the value, from parts of which so many are
	// an element.
	recipe() (command string, size int, parts iter.Seq[[]byte])
}

// A stringValue is the value of a string key.
type stringValue struct {
	bytes []byte
	form  stringForm
}

func (*stringValue) typeName() string { return "string" }

// An entry is a key with its value.
type entry struct {
	key   string
	value value
	db    *database
	at    int64 // when it expires, in milliseconds since 1970; 0: never
	alarm alarm.Alarm
	place uint32 // in database.order
	used  uint32 // when it was used last, by Broker.second
	bytes int    // by which it counts in broker.used
}

// A database is one numbered keyspace.
type database struct {
	broker  *Broker
	index   int
	entries map[string]*entry

	// order has every entry once. A SCAN walks it from the back, and a deleted
	// entry's place is taken by the last one: so what a SCAN has not passed yet
	// always stands before it, and no key that stays is missed.
	order []*entry

	expiring int                            // how many entries have an expiry
	blocked  map[string]*queue              // clients waiting for a key
	watched  map[string]map[*session]*watch // clients watching a key
}

func newDatabase(b *Broker, index int) *database {
	return &database{
		broker:  b,
		index:   index,
		entries: map[string]*entry{},
		blocked: map[string]*queue{},
		watched: map[string]map[*session]*watch{},
	}
}

// find returns the entry of a key, or nil.
func (d *database) find(key []byte) *entry { return d.entries[string(key)] }

// add makes an entry for a key that has none. Clients waiting for the key are
// served once the command, or its transaction, is done.
func (b *Broker) add(d *database, key []byte, v value) *entry {
	e := &entry{key: string(key), value: v, db: d, place: uint32(len(d.order)), used: b.second}
	d.entries[e.key] = e
	d.order = append(d.order, e)
	b.signalReady(d, e.key)
	b.notify(d, key, newEvent, "new")
	return e
}

// remove takes an entry out of its database.
func (b *Broker) remove(e *entry) {
	d := e.db
	b.persist(e)
	b.used -= e.bytes
	delete(d.entries, e.key)
	last := len(d.order) - 1
	d.order[e.place] = d.order[last]
	d.order[e.place].place = e.place
	d.order[last] = nil
	d.order = d.order[:last]
	if cap(d.order) > 64 && last < cap(d.order)/4 {
		d.order = append(make([]*entry, 0, 2*last), d.order...)
	}
}

// expireAt sets when an entry expires, in milliseconds since 1970.
func (b *Broker) expireAt(e *entry, at int64) {
	if e.at == 0 {
		e.db.expiring++
	}
	e.at = at
	if at <= math.MaxInt64/int64(time.Millisecond) {
		b.alarms.Set(&e.alarm, e, at*int64(time.Millisecond))
	} else { // some time after the year 2262
		b.alarms.Clear(&e.alarm)
	}
}

// persist makes an entry stay. It reports whether it had an expiry.
func (b *Broker) persist(e *entry) bool {
	if e.at == 0 {
		return false
	}
	e.at = 0
	e.db.expiring--
	b.alarms.Clear(&e.alarm)
	return true
}

// Due deletes an entry whose time has come.
func (e *entry) Due() {
	b := e.db.broker
	b.remove(e)
	if b.pause.mode == notPaused {
		b.tellExpired(e.db, []byte(e.key))
	} else {
		b.pause.expired = append(b.pause.expired, readyKey{db: e.db, key: e.key})
	}
	if len(e.db.watched) > 0 {
		e.db.touchWatched([]byte(e.key))
	}
}

// tellExpired tells everyone who wants to know that a key has expired.
func (b *Broker) tellExpired(d *database, key []byte) {
	b.stats.expired++
	b.notify(d, key, expiredEvent, "expired")
	if b.tracking.active {
		b.tracking.changed(nil, key)
	}
}

// signalModified tells everyone who depends on its value that a key was written or
// deleted, by a client or, if by is nil, by the broker itself.
func (b *Broker) signalModified(by *session, d *database, key []byte) {
	if b.options.MaxMemory > 0 {
		if e := d.find(key); e != nil {
			b.measure(e)
		}
	}
	if len(d.watched) > 0 {
		d.touchWatched(key)
	}
	if b.tracking.active {
		b.tracking.changed(by, key)
	}
}

// flush deletes all keys of a database.
func (b *Broker) flush(d *database) {
	for _, e := range d.order {
		b.alarms.Clear(&e.alarm)
		b.used -= e.bytes
	}
	for key := range d.watched {
		if d.entries[key] != nil {
			d.touchWatched([]byte(key))
		}
	}
	d.entries = map[string]*entry{}
	d.order = nil
	d.expiring = 0
}

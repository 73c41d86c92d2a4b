// Package keyspace has the databases: keys with their values, expiry and memory. It does not
// know clients; it signals events to Hooks. All of it is guarded by the lock of its user.
package keyspace

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"redrpc/broker/internal/alarm"
	"redrpc/broker/internal/dict"
)

// A Keyspace is the databases. The fields that its user sets may change at any time.
type Keyspace struct {
	DBs    []*DB
	Types  Types
	Alarms alarm.Queue // in which keys expire; its user may have others in it

	Now    int64  // set by the user: time of the running command, nanoseconds since 1970
	Second uint32 // set by the user: Now in seconds

	MaxBulk   int        // set by the user: the most bytes of a string
	MaxMemory int        // set by the user: memory is counted all the time if it is not 0
	Events    EventClass // set by the user: what is to be published

	Thresholds // set by the user

	Hits, Misses int64 // of keys that were read
	Expired      int64 // keys
	Changes      int64 // of keys, by commands
	Evicted      int64 // keys

	eviction eviction
	hooks    Hooks
	used     int   // bytes of the data, while they are counted all the time
	peak     int   // the most that was counted, and EmptyBytes
	measured int64 // Changes when all keys were measured last
}

// Hooks receive events. They are not called for databases in which no key is watched or
// waited for, nor for classes of notifications that are off.
type Hooks interface {
	// Modified is called when a key was written or deleted, by the caller's command or, if
	// by is nil, without one.
	Modified(by Caller, d *DB, key string)

	// Expired is called when a key has expired and was deleted.
	Expired(d *DB, key string)

	// Ready is called when a key was created, or signalled as ready, in a database where
	// clients are blocked.
	Ready(d *DB, key string)

	// Removed is called when clients wait for keys of the database, and what this one held
	// has gone. It may hold something else.
	Removed(d *DB, key string)

	// Notify is called with the events of the classes in Keyspace.Events.
	Notify(d *DB, key, event string)
}

// New returns a number of empty databases.
func New(databases int, types Types, hooks Hooks) *Keyspace {
	k := &Keyspace{DBs: make([]*DB, databases), Types: types, hooks: hooks}
	for i := range k.DBs {
		k.DBs[i] = &DB{Index: i, keyspace: k}
	}
	k.Seed(0)
	k.SetEviction(DefaultEviction)
	return k
}

// A DB is one numbered database.
type DB struct {
	Index    int
	Watched  bool // set by the user: Hooks.Modified wants to hear of it
	Awaited  bool // set by the user: clients wait for keys
	keyspace *Keyspace
	entries  dict.Dict[*Entry]
	expiring int // how many entries have an expiry
}

// An Entry is a key with its value.
type Entry struct {
	Key       string
	Value     Value
	DB        *DB
	ExpiresAt int64  // milliseconds since 1970; 0: never
	Used      uint32 // when it was used last, by Keyspace.Second
	frequency uint8  // how often it was used, under a policy of LFU, see Keyspace.Frequency
	decayed   uint16 // by when frequency has decayed, by Keyspace.minutes
	alarm     alarm.Alarm
	bytes     int // by which it counts in Keyspace.used
}

// Name is the key.
func (e *Entry) Name() string { return e.Key }

// Find returns the entry of a key, or nil.
func (d *DB) Find(key []byte) *Entry {
	if e := d.entries.Find(key); e != nil {
		return *e
	}
	return nil
}

// Get is Find for a string.
func (d *DB) Get(key string) *Entry { return d.Find(dict.Bytes(key)) }

// Len is how many keys there are, and Expiring how many of them expire.
func (d *DB) Len() int      { return d.entries.Len() }
func (d *DB) Expiring() int { return d.expiring }

// Slots is how many places for entries there are.
func (d *DB) Slots() int { return d.entries.Slots() }

// Random returns any entry, of which there must be one.
func (d *DB) Random() *Entry { return d.entries.Random() }

// All lists the entries in the order of their hashes, which is the same in every process.
// The database must not change meanwhile.
func (d *DB) All() iter.Seq[*Entry] { return d.entries.All() }

// Scan passes a page of the entries to visit, see dict.Dict.Scan.
func (d *DB) Scan(cursor uint64, count int64, visit func(*Entry)) (next uint64) {
	return d.entries.Scan(cursor, count, visit)
}

// Add makes an entry for a key that has none.
func (k *Keyspace) Add(d *DB, key []byte, v Value) *Entry {
	e := &Entry{Key: string(key), Value: v, DB: d, Used: k.Second}
	if k.eviction.countsUses {
		k.SetFrequency(e, firstFrequency)
	}
	place, _ := d.entries.Place(key)
	*place = e
	k.SignalReady(d, e.Key)
	k.Notify(d, key, NewEvent, "new")
	return e
}

// SignalReady signals that a key may have something for the clients blocked on it, which are
// served after the command or its transaction.
func (k *Keyspace) SignalReady(d *DB, key string) {
	if d.Awaited {
		k.hooks.Ready(d, key)
	}
}

// Remove takes an entry out of its database.
func (k *Keyspace) Remove(e *Entry) {
	d := e.DB
	k.Persist(e)
	k.used -= e.bytes
	d.entries.Remove(dict.Bytes(e.Key))
	k.signalRemoved(d, e.Key)
}

// Assign makes an entry hold another value, in the place of the one that it has.
func (k *Keyspace) Assign(e *Entry, v Value) {
	e.Value = v
	k.signalRemoved(e.DB, e.Key)
}

// signalRemoved tells that what a key held has gone.
func (k *Keyspace) signalRemoved(d *DB, key string) {
	if d.Awaited {
		k.hooks.Removed(d, key)
	}
}

// SetExpiry sets when an entry expires, in milliseconds since 1970.
func (k *Keyspace) SetExpiry(e *Entry, at int64) {
	if e.ExpiresAt == 0 {
		e.DB.expiring++
	}
	e.ExpiresAt = at
	k.Alarms.Set(&e.alarm, e, e.alarmTime())
}

// alarmTime is when an entry expires, in nanoseconds since 1970, as far as that can be told.
func (e *Entry) alarmTime() int64 {
	if e.ExpiresAt > math.MaxInt64/int64(time.Millisecond) {
		return alarm.Never
	}
	return e.ExpiresAt * int64(time.Millisecond)
}

// Persist removes an entry's expiry. It reports whether it had one.
func (k *Keyspace) Persist(e *Entry) bool {
	if e.ExpiresAt == 0 {
		return false
	}
	e.ExpiresAt = 0
	e.DB.expiring--
	k.Alarms.Clear(&e.alarm)
	return true
}

// Due deletes an entry that expires.
func (e *Entry) Due() {
	k := e.DB.keyspace
	k.Remove(e)
	k.hooks.Expired(e.DB, e.Key)
}

// SignalModified signals that a key was written or deleted, see Hooks.Modified.
func (k *Keyspace) SignalModified(by Caller, d *DB, key []byte) {
	k.Changes++
	if k.MaxMemory > 0 {
		if e := d.Find(key); e != nil {
			k.Measure(e)
		}
	}
	if d.Watched {
		k.hooks.Modified(by, d, string(key))
	}
}

// Flush deletes all keys of a database, of which nobody is told but who waits for them.
func (k *Keyspace) Flush(d *DB) {
	for e := range d.All() {
		k.Alarms.Clear(&e.alarm)
		k.used -= e.bytes
		k.signalRemoved(d, e.Key)
	}
	k.Changes += int64(d.Len())
	d.entries = dict.Dict[*Entry]{}
	d.expiring = 0
}

// Swap exchanges what two databases hold, of which nobody is told but who waits for a key
// that has gone.
func (k *Keyspace) Swap(x, y *DB) {
	x.entries, y.entries = y.entries, x.entries
	x.expiring, y.expiring = y.expiring, x.expiring
	for _, moved := range []struct{ from, to *DB }{{x, y}, {y, x}} {
		for e := range moved.to.All() {
			e.DB = moved.to
			k.signalRemoved(moved.from, e.Key)
		}
	}
}

// EmptyBytes is what a keyspace without keys counts for: about as much as Redis. So a
// limit of a few bytes refuses every write, in both.
const EmptyBytes = 1 << 20

// entryBytes is what a key takes besides its name and its value: the entry, its place in
// the table, and what the allocator rounds up.
const entryBytes = 160

// Footprint is the memory of a key and its value in bytes, about.
func (e *Entry) Footprint() int { return entryBytes + len(e.Key) + e.Value.Size() }

// Measure brings the count of used memory up to date after an entry changed.
func (k *Keyspace) Measure(e *Entry) {
	n := e.Footprint()
	k.used += n - e.bytes
	e.bytes = n
	k.peak = max(k.peak, EmptyBytes+k.used)
}

// Resized counts an entry whose value has another size, but is to be taken for the same.
func (k *Keyspace) Resized(e *Entry) {
	if k.MaxMemory > 0 {
		k.Measure(e)
	}
}

// fewToMeasure is how many keys are measured in less than a millisecond.
const fewToMeasure = 10_000

// keyCount is how many keys there are.
func (k *Keyspace) keyCount() (n int) {
	for _, d := range k.DBs {
		n += d.Len()
	}
	return n
}

// MeasureAll counts anew.
func (k *Keyspace) MeasureAll() {
	k.measured = k.Changes
	for _, d := range k.DBs {
		for e := range d.All() {
			k.Measure(e)
		}
	}
}

// UsedMemory is the memory of the data in bytes, EmptyBytes included. Without a limit it is computed
// on request: each time for few keys, for many only after one in 16 has changed, so that a client that
// polls it does not slow down the others.
func (k *Keyspace) UsedMemory() int {
	if keys := k.keyCount(); k.MaxMemory == 0 && (keys <= fewToMeasure || k.Changes-k.measured > int64(keys/16)) {
		k.MeasureAll()
	}
	k.peak = max(k.peak, EmptyBytes+k.used)
	return EmptyBytes + k.used
}

// PeakMemory is the most that UsedMemory has been.
func (k *Keyspace) PeakMemory() int { return k.peak }

// IsFull reports whether the data take more than they may. There has to be a limit.
func (k *Keyspace) IsFull() bool { return EmptyBytes+k.used > k.MaxMemory }

// LRUClockMask are the bits of Redis's clock of seconds that keys are last used by.
const LRUClockMask = 1<<24 - 1

// Milliseconds is the time of the running command in milliseconds since 1970, the unit of
// Redis's expiry.
func (k *Keyspace) Milliseconds() int64 { return k.Now / int64(time.Millisecond) }

// Check returns what is not as it has to be of places, expiries and counts, or nil. Values
// that have a Check of their own are asked, too.
func (k *Keyspace) Check() error {
	used := 0
	for _, d := range k.DBs {
		if err := d.entries.Check(); err != nil {
			return fmt.Errorf("db %d: %w", d.Index, err)
		}
		expiring := 0
		for e := range d.All() {
			if err := k.checkEntry(d, e); err != nil {
				return fmt.Errorf("the key %q of db %d: %w", e.Key, d.Index, err)
			}
			used += e.bytes
			if e.ExpiresAt != 0 {
				expiring++
			}
		}
		if expiring != d.expiring {
			return fmt.Errorf("%d keys of db %d expire, %d are counted", expiring, d.Index, d.expiring)
		}
	}
	if k.MaxMemory > 0 && used != k.used {
		return fmt.Errorf("the data take %d bytes, %d are counted", used, k.used)
	}
	return nil
}

func (k *Keyspace) checkEntry(d *DB, e *Entry) error {
	switch {
	case d.Get(e.Key) != e || e.DB != d:
		return errors.New("it is not where it belongs")
	case e.alarm.IsSet() != (e.ExpiresAt != 0), e.alarm.IsSet() && e.alarm.At != e.alarmTime():
		return fmt.Errorf("it expires at %d ms, its alarm is set for %d ns", e.ExpiresAt, e.alarm.At)
	case k.MaxMemory > 0 && e.bytes != e.Footprint():
		return fmt.Errorf("it counts %d bytes, and takes %d", e.bytes, e.Footprint())
	}
	if v, checks := e.Value.(interface{ Check() error }); checks {
		return v.Check()
	}
	return nil
}

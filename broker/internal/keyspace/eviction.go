package keyspace

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Keys are evicted while the data take more memory than they may. As in Redis those that the
// policy takes first are found among samples, but where there are few keys all are looked at.

// A Policy says which keys are evicted: Redis's maxmemory-policy.
type Policy uint8

const (
	NoEviction Policy = iota
	VolatileLRU
	VolatileLFU
	VolatileRandom
	VolatileTTL
	AllKeysLRU
	AllKeysLFU
	AllKeysRandom
)

// Policies are the names of the policies, in their order.
var Policies = []string{"noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru", "allkeys-lfu", "allkeys-random"}

func (p Policy) String() string { return Policies[p] }

// ParsePolicy reads the name of a policy, in lower case.
func ParsePolicy(name string) (p Policy, valid bool) {
	at := slices.Index(Policies, name)
	return Policy(max(at, 0)), at >= 0
}

// IsLFU reports whether a policy evicts what is least frequently used.
func (p Policy) IsLFU() bool { return p == VolatileLFU || p == AllKeysLFU }

// isVolatile reports whether a policy evicts only what expires.
func (p Policy) isVolatile() bool { return p >= VolatileLRU && p <= VolatileTTL }

// SharesIntegers reports whether keys share small integers in Redis: they do not if the policy goes by
// the use of each.
func (k *Keyspace) SharesIntegers() bool {
	p := k.eviction.Policy
	return k.MaxMemory == 0 || !p.IsLFU() && p != VolatileLRU && p != AllKeysLRU
}

// Eviction is what Redis's settings say of it.
type Eviction struct {
	Policy    Policy
	Samples   int // maxmemory-samples
	LogFactor int // lfu-log-factor
	DecayTime int // lfu-decay-time, minutes; 0: never
}

// DefaultEviction is Redis's.
var DefaultEviction = Eviction{Samples: 5, LogFactor: 10, DecayTime: 1}

const (
	fewKeys        = 64 // of which all are looked at
	poolSize       = 16 // of the best candidates, which are kept for the next time
	firstFrequency = 5  // of a new key
)

// A candidate is a key that may be evicted. It may have gone since.
type candidate struct {
	db  *DB
	key string
}

// eviction is the state of it.
type eviction struct {
	Eviction
	countsUses bool // the policy is one of LFU
	random     *rand.Rand
	pool       []candidate
}

// Seed begins the random numbers of eviction anew.
func (k *Keyspace) Seed(seed uint64) { k.eviction.random = rand.New(rand.NewPCG(seed, 0)) }

// SetEviction sets how keys are evicted. When a policy of LFU comes into force all keys have
// been used as often as new ones.
func (k *Keyspace) SetEviction(o Eviction) {
	begins := o.Policy.IsLFU() && !k.eviction.countsUses
	k.eviction.Eviction, k.eviction.countsUses = o, o.Policy.IsLFU()
	if !begins {
		return
	}
	for _, d := range k.DBs {
		for e := range d.All() {
			k.SetFrequency(e, firstFrequency)
		}
	}
}

// Policy is the one in force.
func (k *Keyspace) Policy() Policy { return k.eviction.Policy }

// touch notes that a key is used.
func (k *Keyspace) touch(e *Entry) {
	e.Used = k.Second
	if k.eviction.countsUses {
		k.countUse(e)
	}
}

// countUse adds to the counter of a key, the less likely the greater that is.
func (k *Keyspace) countUse(e *Entry) {
	n := k.Frequency(e)
	above := float64(max(int(n)-firstFrequency, 0))
	if n < math.MaxUint8 && k.eviction.random.Float64() < 1/(above*float64(k.eviction.LogFactor)+1) {
		n++
	}
	k.SetFrequency(e, n)
}

// minutes is the clock that counters decay by.
func (k *Keyspace) minutes() uint16 { return uint16(k.Second / 60) }

// Frequency is the counter of a key's uses under a policy of LFU, which is logarithmic and
// decays with time.
func (k *Keyspace) Frequency(e *Entry) uint8 {
	if k.eviction.DecayTime == 0 {
		return e.frequency
	}
	decay := int(k.minutes()-e.decayed) / k.eviction.DecayTime
	return uint8(max(int(e.frequency)-decay, 0))
}

// SetFrequency sets the counter of a key's uses.
func (k *Keyspace) SetFrequency(e *Entry, n uint8) { e.frequency, e.decayed = n, k.minutes() }

// Inherit makes a key count as used as often as another one whose value it takes over.
func (e *Entry) Inherit(from *Entry) { e.frequency, e.decayed = from.frequency, from.decayed }

// Evict evicts keys until the data take no more than they may. It reports whether they do.
// There has to be a limit.
func (k *Keyspace) Evict() bool {
	for k.IsFull() {
		e := k.victim()
		if e == nil {
			return false
		}
		key := []byte(e.Key)
		k.Remove(e)
		k.Evicted++
		k.SignalModified(nil, e.DB, key)
		k.Notify(e.DB, key, EvictedEvent, "evicted")
	}
	return true
}

// victim returns the key to evict next, or nil.
func (k *Keyspace) victim() *Entry {
	switch v := &k.eviction; {
	case v.Policy == NoEviction:
		return nil
	case v.Policy == AllKeysRandom:
		return k.randomEntry()
	case v.Policy == VolatileRandom:
		return k.randomExpiring()
	}
	return k.best()
}

// best returns the key that the policy takes first, of those in the pool and new samples.
func (k *Keyspace) best() *Entry {
	v := &k.eviction
	var entries []*Entry
	add := func(e *Entry) {
		if !slices.Contains(entries, e) {
			entries = append(entries, e)
		}
	}
	for _, c := range v.pool {
		if e := c.db.Get(c.key); e != nil && (e.ExpiresAt != 0 || !v.Policy.isVolatile()) {
			add(e)
		}
	}
	k.sample(add)
	if len(entries) == 0 {
		return nil
	}
	slices.SortStableFunc(entries, func(a, b *Entry) int { return cmp.Compare(k.rank(b), k.rank(a)) })
	v.pool = v.pool[:0]
	for _, e := range entries[1:min(len(entries), 1+poolSize)] {
		v.pool = append(v.pool, candidate{e.DB, e.Key})
	}
	return entries[0]
}

// rank is the greater the sooner the policy takes a key.
func (k *Keyspace) rank(e *Entry) int64 {
	switch {
	case k.eviction.countsUses:
		return math.MaxUint8 - int64(k.Frequency(e))
	case k.eviction.Policy == VolatileTTL:
		return math.MaxInt64 - e.ExpiresAt
	}
	return int64(k.Second - e.Used)
}

// sample passes on samples of the keys that the policy may evict, of each database as Redis
// does, or of all that expire together.
func (k *Keyspace) sample(visit func(*Entry)) {
	n := k.eviction.Samples
	if !k.eviction.Policy.isVolatile() {
		for _, d := range k.DBs {
			d.sample(n, k.eviction.random, visit)
		}
		return
	}
	if k.Alarms.Len() <= fewKeys {
		for a := range k.Alarms.All() {
			if e, is := a.Owner.(*Entry); is {
				visit(e)
			}
		}
		return
	}
	for range n {
		if e := k.randomExpiring(); e != nil {
			visit(e)
		}
	}
}

// sample passes on n entries of a database that stand together from any place on, or all if
// they are few.
func (d *DB) sample(n int, random *rand.Rand, visit func(*Entry)) {
	if d.Len() <= fewKeys {
		n = d.Len()
	}
	start := random.Uint32()
	for _, e := range d.entries.From(start) {
		if n == 0 {
			return
		}
		n--
		visit(e)
	}
	for hash, e := range d.entries.From(0) {
		if n == 0 || hash >= start {
			return
		}
		n--
		visit(e)
	}
}

// randomEntry returns any key, each as likely as the others, or nil.
func (k *Keyspace) randomEntry() *Entry {
	total := k.keyCount()
	if total == 0 {
		return nil
	}
	at := k.eviction.random.IntN(total)
	for _, d := range k.DBs {
		if at < d.Len() {
			return d.entries.Draw(k.eviction.random)
		}
		at -= d.Len()
	}
	return nil
}

// randomExpiring returns any key that expires, each as likely as the others, or nil. Nobody
// counts those that expire after the year 2262.
func (k *Keyspace) randomExpiring() *Entry {
	const tries = 32
	for range tries {
		if k.Alarms.Len() == 0 {
			return nil
		}
		if e, is := k.Alarms.At(k.eviction.random.IntN(k.Alarms.Len())).Owner.(*Entry); is {
			return e
		}
	}
	var chosen *Entry // most alarms are others'
	n := 0
	for a := range k.Alarms.All() {
		if e, is := a.Owner.(*Entry); is {
			if n++; k.eviction.random.IntN(n) == 0 {
				chosen = e
			}
		}
	}
	return chosen
}

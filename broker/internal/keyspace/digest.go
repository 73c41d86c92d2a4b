package keyspace

import (
	"bytes"
	"crypto/sha1" // #nosec G505 -- the digest is Redis's
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// A Digest tells whether data are the same, whatever the order of what has none: that of
// Redis's DEBUG DIGEST. The zero Digest is that of nothing.
type Digest [sha1.Size]byte

func (d *Digest) String() string { return hex.EncodeToString(d[:]) }

// xor adds what has no order.
func (d *Digest) xor(b []byte) {
	for i, x := range sha1.Sum(b) { // #nosec G401 -- as above
		d[i] ^= x
	}
}

// mix adds what has its place in an order.
func (d *Digest) mix(b []byte) {
	d.xor(b)
	*d = sha1.Sum(d[:]) // #nosec G401 -- as above
}

func (d *Digest) mixNumber(n int) { d.mix(binary.BigEndian.AppendUint32(nil, uint32(n))) }

// digestForms say how Redis digests the values that commands make, see Value.Recipe: by the number
// of their type, and whether elements have an order. Parts of an element are mixed in the order
// that is given.
var digestForms = map[string]struct {
	number  int
	ordered bool
	parts   []int
}{
	"SET":   {0, true, []int{0}},
	"RPUSH": {1, true, []int{0}},
	"SADD":  {2, false, []int{0}},
	"ZADD":  {3, false, []int{1, 0}}, // member, score
	"HSET":  {4, false, []int{0, 1}},
}

// AddTo adds the value of a key, and whether it expires.
func (e *Entry) AddTo(d *Digest) {
	if v, is := e.Value.(Digested); is {
		number, parts := v.Digest()
		d.mixNumber(number)
		for part := range parts {
			d.mix(part)
		}
	} else {
		d.addRecipe(e.Value)
	}
	if e.ExpiresAt != 0 {
		d.xor([]byte("!!expire!!"))
	}
}

// addRecipe adds a value by the command that makes it.
func (d *Digest) addRecipe(v Value) {
	r := v.Recipe()
	form, known := digestForms[r.Command]
	if !known { // of a type that Redis does not have
		d.mix(v.AppendRDB(nil))
		return
	}
	d.mixNumber(form.number)
	parts := make([][]byte, 0, r.Group)
	for part := range r.Parts {
		if parts = append(parts, bytes.Clone(part)); len(parts) < r.Group {
			continue
		}
		switch {
		case form.ordered:
			d.mix(parts[0])
		case len(parts) == 1:
			d.xor(parts[0])
		default:
			var element Digest
			for _, i := range form.parts {
				element.mix(parts[i])
			}
			d.xor(element[:])
		}
		parts = parts[:0]
	}
}

// Digest is that of all keys of all databases.
func (k *Keyspace) Digest() *Digest {
	all := new(Digest)
	for _, db := range k.DBs {
		if db.Len() == 0 {
			continue
		}
		all.mixNumber(db.Index)
		for e := range db.All() {
			var d Digest
			d.mix([]byte(e.Key))
			e.AddTo(&d)
			all.xor(d[:])
		}
	}
	return all
}

// Reload replaces all values by what they become when they are written in the form of RDB, and
// read.
func (k *Keyspace) Reload() error {
	for _, d := range k.DBs {
		for e := range d.All() {
			v := k.Types.Load(e.Value.AppendRDB(nil), k.MaxBulk, k.Thresholds)
			if v == nil {
				return fmt.Errorf("the %s at the key %q of db %d cannot be read", e.Value.Type().Name, e.Key, d.Index)
			}
			e.Value, e.Used = v, k.Second
			if k.MaxMemory > 0 {
				k.Measure(e)
			}
		}
	}
	return nil
}

package keyspace

import (
	"iter"
	"slices"

	"redrpc/broker/internal/rdb"
)

// A Value is what a key holds.
type Value interface {
	Type() *Type
	Clone() Value     // a copy that shares nothing with it
	Size() int        // bytes of memory, about
	Encoding() string // as OBJECT ENCODING reports it

	// Recipe is the command that makes the value.
	Recipe() Recipe

	// AppendRDB appends the value in the form of DUMP: the byte for its type, and what
	// stands behind it.
	AppendRDB([]byte) []byte
}

// A Recipe is a command that makes a value, or part of it: its name, the key, and parts,
// of which so many are an element.
type Recipe struct {
	Command  string
	Group    int // how many parts are an element
	Parts    iter.Seq[[]byte]
	TakesTTL bool // the command takes PX with a time to live, and all parts at once
}

// Elements is a Value that SORT can sort.
type Elements interface {
	// Elements are valid until the value changes.
	Elements() (elements iter.Seq[[]byte], n int)
}

// Unordered are Elements whose order means nothing, as those of a set.
type Unordered interface{ IsUnordered() bool }

// Fields is a Value with fields, which SORT takes for weights, or GETs.
type Fields interface {
	// Field is valid until the value changes.
	Field(name []byte) (value []byte, found bool)
}

// Reformed is a Value that SORT changes: Redis holds it in another way from then on.
type Reformed interface{ BeforeSort() }

// Members is a Value that is a set, which may be combined with sorted sets.
type Members interface {
	Elements
	Has(member []byte) bool
}

// Text is a Value that is a text, which SORT takes for a weight, or GETs.
type Text interface{ Text() []byte }

// Digested is a Value that DEBUG DIGEST does not know by the command of its Recipe.
type Digested interface {
	// Digest is the number that Redis has for the type, and what is in the value, in order, each
	// part valid until the next.
	Digest() (number int, parts iter.Seq[[]byte])
}

// Shared is a Value that keys share in Redis, as far as OBJECT REFCOUNT shows it.
type Shared interface {
	IsShared() bool

	// Unshare gives a key a value of its own.
	Unshare()
}

// A Type is what values of one kind have in common.
type Type struct {
	Name string // as TYPE reports it

	// RDB are the bytes that the type has in the form of DUMP, in this version and
	// earlier ones. Decode reads a value behind one of them, which gets the encoding that the
	// thresholds say; nil is not in order.
	RDB    []byte
	Decode func(form byte, d *rdb.Decoder, t Thresholds) Value

	// Collect makes a value of elements, for SORT with STORE; nil: it is not for that.
	Collect func(elements iter.Seq[[]byte]) Value
}

// Types are those that there are.
type Types []*Type

// Collecting returns the type that is made of elements in order.
func (t Types) Collecting() *Type {
	return t[slices.IndexFunc(t, func(t *Type) bool { return t.Collect != nil })]
}

// String returns a string. The types have to have one.
func (t Types) String(text []byte) Value {
	return t.Load(rdb.AppendString([]byte{rdb.TypeString}, text), len(text), DefaultThresholds)
}

// Dump returns a value in the form of DUMP.
func Dump(v Value) []byte { return rdb.Dump(v.AppendRDB(nil)) }

// Load reads a value of which rdb.Undump has returned the body. Most is how many bytes
// what is compressed may become. It returns nil for what is of no type that there is, or
// not in order.
func (t Types) Load(body []byte, most int, limits Thresholds) Value {
	if len(body) == 0 {
		return nil
	}
	for _, one := range t {
		if slices.Contains(one.RDB, body[0]) {
			d := rdb.NewDecoder(body[1:], most)
			if v := one.Decode(body[0], d, limits); !d.Broken() {
				return v
			}
			return nil
		}
	}
	return nil
}

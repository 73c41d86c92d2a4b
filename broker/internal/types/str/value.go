// Package str has strings: their values, and the commands for them, their parts and bits.
package str

import (
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
	"redrpc/broker/internal/resp"
)

// A stringValue is the value of a string key.
type stringValue struct {
	bytes    []byte
	encoding encoding
}

// An encoding is what the bytes of a string do not tell of how Redis would hold it.
type encoding uint8

const (
	compact  encoding = iota // as compactly as the bytes allow
	unshared                 // likewise, but a small integer is not shared with other keys
	spelled                  // likewise, but not as an integer
	grown                    // as it came to be when it was changed in place
)

// sharedIntegers is how many integers, from 0 on, all keys share in Redis, and
// longestEmbedded the length of the longest string held in one piece with its
// object.
const (
	sharedIntegers  = 10_000
	longestEmbedded = 44
)

// integer returns the integer that a string is held as, if it is.
func (t *stringValue) integer() (n int64, isInt bool) {
	if t.encoding > unshared {
		return 0, false
	}
	return resp.ParseInt(t.bytes)
}

func (t *stringValue) Encoding() string {
	if _, isInt := t.integer(); isInt {
		return "int"
	}
	if t.encoding == grown || len(t.bytes) > longestEmbedded {
		return "raw"
	}
	return "embstr"
}

func (t *stringValue) Type() *keyspace.Type { return Type }

func (t *stringValue) Clone() keyspace.Value {
	copied := &stringValue{append([]byte(nil), t.bytes...), t.encoding}
	copied.Unshare()
	return copied
}

func (t *stringValue) Size() int { return 32 + cap(t.bytes) }

// Text is the string.
func (t *stringValue) Text() []byte { return t.bytes }

// IsShared reports whether the string is an integer that Redis would share.
func (t *stringValue) IsShared() bool {
	n, isInt := t.integer()
	return t.encoding == compact && isInt && 0 <= n && n < sharedIntegers
}

// Unshare gives a key an integer of its own.
func (t *stringValue) Unshare() {
	if t.encoding == compact {
		t.encoding = unshared
	}
}

func (t *stringValue) Recipe() keyspace.Recipe {
	return keyspace.Recipe{Command: "SET", Group: 1, TakesTTL: true, Parts: func(yield func([]byte) bool) { yield(t.bytes) }}
}

func (t *stringValue) AppendRDB(b []byte) []byte {
	return rdb.AppendString(append(b, rdb.TypeString), t.bytes)
}

var Type = &keyspace.Type{Name: "string", RDB: []byte{rdb.TypeString}, Decode: func(_ byte, d *rdb.Decoder, _ keyspace.Thresholds) keyspace.Value {
	return &stringValue{bytes: append([]byte(nil), d.String()...)}
}}

package keyspace

// Thresholds say up to which size Redis holds collections in one piece of memory, a
// listpack or a set of integers: OBJECT ENCODING, the form of DUMP, the order of elements
// and what a SCAN of them returns at once depend on it.
type Thresholds struct {
	HashEntries int // hash-max-listpack-entries
	HashValue   int // hash-max-listpack-value: bytes of the longest field or value
	SetIntegers int // set-max-intset-entries
	ZSetEntries int // zset-max-listpack-entries
	ZSetValue   int // zset-max-listpack-value: bytes of the longest member
	HLLBytes    int // hll-sparse-max-bytes: of a HyperLogLog that is sparse

	// Those of streams are for each piece of one; 0: there is none.
	StreamBytes   int // stream-node-max-bytes
	StreamEntries int // stream-node-max-entries
}

// DefaultThresholds are Redis's.
var DefaultThresholds = Thresholds{HashEntries: 512, HashValue: 64, SetIntegers: 512, ZSetEntries: 128, ZSetValue: 64, HLLBytes: 3000,
	StreamBytes: 4096, StreamEntries: 100}

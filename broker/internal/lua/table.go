package lua

import (
	"math"
	"math/bits"
	"unsafe"
)

// A Table maps keys to values. Scripts can see the order of its keys and which border the
// operator # finds, so it works as Lua 5.1's: an array for the keys from 1 on, and nodes
// for the others, whose collisions take free nodes from the end. Both get new sizes when
// no node is free, such that more than half of the array is in use.
type Table struct {
	array    []Value
	nodes    []node // a power of two of them, or none
	lastFree int    // all nodes from here on are in use
	meta     *Table
	id       identity
	absent   uint8 // a bit for each early event that the table is known not to have as a key
	readOnly bool
}

// A node is a pair of a table. Those of keys with one main position are a list.
type node struct {
	key, value Value
	next       int32 // the place of the next node, and 1; 0 for none
}

const (
	maxTableBits = 26 // of the size of an array, and of the nodes
	maxArray     = 1 << maxTableBits
)

// NewTable makes a table with room for values of the keys from 1 on, and for others.
func NewTable(array, others int) *Table {
	t := &Table{}
	if array > 0 {
		t.array = make([]Value, array)
	}
	t.makeNodes(others)
	return t
}

// Meta is the table's metatable, or nil.
func (t *Table) Meta() *Table { return t.meta }

// SetMeta gives the table a metatable, or none. It does not ask whether the table is
// read-only.
func (t *Table) SetMeta(meta *Table) { t.meta = meta }

// SetReadOnly makes the table one that scripts cannot change, or lets them again.
func (t *Table) SetReadOnly(on bool) { t.readOnly = on }

// ReadOnly reports whether scripts cannot change the table.
func (t *Table) ReadOnly() bool { return t.readOnly }

// Get is the value of a key, without metamethods.
func (t *Table) Get(key Value) Value {
	if v := t.find(key); v != nil {
		return *v
	}
	return Nil
}

// GetString is the value of a string key.
func (t *Table) GetString(key string) Value {
	if v := t.findString(String(key)); v != nil {
		return *v
	}
	return Nil
}

// GetInt is the value of an integer key.
func (t *Table) GetInt(key int) Value {
	if v := t.findInt(key); v != nil {
		return *v
	}
	return Nil
}

// Set gives a key a value, without metamethods, even if the table is read-only. The key
// must be neither nil nor NaN.
func (t *Table) Set(key, value Value) { *t.slot(key) = value }

// SetString gives a string key a value.
func (t *Table) SetString(key string, value Value) { *t.slot(String(key)) = value }

// SetInt gives an integer key a value.
func (t *Table) SetInt(key int, value Value) { *t.slotInt(key) = value }

// find returns where the value of a key is, or nil.
func (t *Table) find(key Value) *Value {
	switch {
	case key.isNumber():
		f := key.float()
		if n := int(int32(toInteger(f))); float64(n) == f {
			return t.findInt(n)
		}
	case key.is(TypeString):
		return t.findString(key)
	case key.p == nil:
		return nil
	}
	if len(t.nodes) == 0 {
		return nil
	}
	for i := t.mainPosition(key); ; {
		n := &t.nodes[i]
		if equal(n.key, key) {
			return &n.value
		}
		if n.next == 0 {
			return nil
		}
		i = int(n.next - 1)
	}
}

func (t *Table) findString(key Value) *Value {
	if len(t.nodes) == 0 {
		return nil
	}
	for i := int(key.hash()) & (len(t.nodes) - 1); ; {
		n := &t.nodes[i]
		if n.key.n == key.n && (n.key.p == key.p || n.key.is(TypeString) && n.key.str() == key.str()) {
			return &n.value
		}
		if n.next == 0 {
			return nil
		}
		i = int(n.next - 1)
	}
}

func (t *Table) findInt(key int) *Value {
	if uint(key-1) < uint(len(t.array)) {
		return &t.array[key-1]
	}
	if len(t.nodes) == 0 {
		return nil
	}
	f := float64(key)
	for i := t.numberPosition(f); ; {
		n := &t.nodes[i]
		if n.key.isNumber() && n.key.float() == f {
			return &n.value
		}
		if n.next == 0 {
			return nil
		}
		i = int(n.next - 1)
	}
}

// slot returns where the value of a key is to be written. A key that is not there is
// added.
func (t *Table) slot(key Value) *Value {
	t.absent = 0
	if v := t.find(key); v != nil {
		return v
	}
	return t.add(key)
}

func (t *Table) slotInt(key int) *Value {
	if v := t.findInt(key); v != nil {
		return v
	}
	return t.add(Int(key))
}

// add puts in a key that is not there. The node where it belongs may be in use: by a key
// that does not belong there, which moves to a free node, or by one that does, and then
// the new key takes the free node.
func (t *Table) add(key Value) *Value {
	if len(t.nodes) == 0 {
		t.rehash(key)
		return t.slot(key)
	}
	at := t.mainPosition(key)
	if n := &t.nodes[at]; !n.value.IsNil() {
		free := t.freeNode()
		if free < 0 {
			t.rehash(key)
			return t.slot(key)
		}
		if other := t.mainPosition(n.key); other != at {
			for int(t.nodes[other].next-1) != at {
				other = int(t.nodes[other].next - 1)
			}
			t.nodes[other].next = int32(free + 1)
			t.nodes[free] = *n
			n.next, n.value = 0, Nil
		} else {
			t.nodes[free].next = n.next
			n.next = int32(free + 1)
			at = free
		}
	}
	t.nodes[at].key = key
	return &t.nodes[at].value
}

// freeNode is a node that never had a key, or -1.
func (t *Table) freeNode() int {
	for t.lastFree > 0 {
		t.lastFree--
		if t.nodes[t.lastFree].key.IsNil() {
			return t.lastFree
		}
	}
	return -1
}

// mainPosition is the node where a key belongs.
func (t *Table) mainPosition(key Value) int {
	switch key.Type() {
	case TypeNumber:
		return t.numberPosition(key.float())
	case TypeString:
		return int(key.hash()) & (len(t.nodes) - 1)
	case TypeBoolean:
		return int(key.n&1) & (len(t.nodes) - 1)
	}
	return t.modulo(key.identity())
}

func (t *Table) numberPosition(f float64) int {
	if f == 0 {
		return 0
	}
	b := math.Float64bits(f)
	return t.modulo(uint32(b) + uint32(b>>32))
}

func (t *Table) modulo(n uint32) int {
	return int(n % uint32((len(t.nodes)-1)|1))
}

// rehash gives the array and the nodes the sizes that fit what is there, and one more key.
func (t *Table) rehash(extra Value) {
	var counts [maxTableBits + 1]int // counts[i]: integer keys above 1<<(i-1), up to 1<<i
	inArray := t.countArray(&counts)
	total := inArray + 1
	for i := range t.nodes {
		if n := &t.nodes[i]; !n.value.IsNil() {
			inArray += countKey(n.key, &counts)
			total++
		}
	}
	inArray += countKey(extra, &counts)
	size, used := arraySize(&counts, inArray)
	t.resize(size, total-used)
}

func (t *Table) countArray(counts *[maxTableBits + 1]int) (total int) {
	i := 1
	for power := 0; power <= maxTableBits; power++ {
		limit := 1 << power
		if limit > len(t.array) {
			limit = len(t.array)
			if i > limit {
				break
			}
		}
		for ; i <= limit; i++ {
			if !t.array[i-1].IsNil() {
				counts[power]++
				total++
			}
		}
	}
	return total
}

// countKey counts a key that could be in an array.
func countKey(key Value, counts *[maxTableBits + 1]int) int {
	if f, ok := key.AsNumber(); ok && f >= 1 && f <= maxArray && f == math.Trunc(f) {
		counts[ceilLog2(int(f))]++
		return 1
	}
	return 0
}

// arraySize is the largest size of which more than half is in use, and how many of its
// places are.
func arraySize(counts *[maxTableBits + 1]int, keys int) (size, used int) {
	sum := 0
	for i, power := 0, 1; power/2 < keys && i < len(counts); i, power = i+1, power*2 {
		if counts[i] > 0 {
			sum += counts[i]
			if sum > power/2 {
				size, used = power, sum
			}
		}
		if sum == keys {
			break
		}
	}
	return size, used
}

// ceilLog2 is the least power of two that n, at least 1, does not exceed.
func ceilLog2(n int) int { return bits.Len(uint(n - 1)) }

// resize moves all pairs to an array and nodes of new sizes.
func (t *Table) resize(array, others int) {
	old, oldNodes := t.array, t.nodes
	if array > len(old) {
		t.array = make([]Value, array)
		copy(t.array, old)
	}
	t.makeNodes(others)
	if array < len(old) {
		t.array = append([]Value(nil), old[:array]...)
		for i, v := range old[array:] {
			if !v.IsNil() {
				*t.slotInt(array + i + 1) = v
			}
		}
	}
	for i := len(oldNodes) - 1; i >= 0; i-- {
		if n := &oldNodes[i]; !n.value.IsNil() {
			*t.slot(n.key) = n.value
		}
	}
}

// resizeArray changes the size of the array only.
func (t *Table) resizeArray(array int) {
	t.resize(array, len(t.nodes))
}

func (t *Table) makeNodes(n int) {
	t.nodes, t.lastFree = nil, 0
	if n == 0 {
		return
	}
	power := ceilLog2(n)
	if power > maxTableBits {
		panic(&thrown{value: String("table overflow")})
	}
	t.nodes = make([]node, 1<<power)
	t.lastFree = len(t.nodes)
}

// Len is a border of the table, as the operator # finds it: 0, or an integer key whose
// successor is not there.
func (t *Table) Len() int {
	if n := len(t.array); n > 0 && t.array[n-1].IsNil() {
		low, high := 0, n
		for high-low > 1 {
			if middle := (low + high) / 2; t.array[middle-1].IsNil() {
				high = middle
			} else {
				low = middle
			}
		}
		return low
	}
	if len(t.nodes) == 0 {
		return len(t.array)
	}
	return t.searchBorder(len(t.array))
}

// searchBorder looks for a border in the nodes: by doubling, then by halving.
func (t *Table) searchBorder(low int) int {
	high := low + 1
	for !t.GetInt(high).IsNil() {
		low = high
		if high > math.MaxInt32/2 {
			for low = 1; !t.GetInt(low).IsNil(); low++ {
			}
			return low - 1
		}
		high *= 2
	}
	for high-low > 1 {
		if middle := (low + high) / 2; t.GetInt(middle).IsNil() {
			high = middle
		} else {
			low = middle
		}
	}
	return low
}

// Next is the pair after that of a key, which is nil to begin with. Key is nil after the
// last one. Ok is false if the key is not one of the table.
func (t *Table) Next(key Value) (next, value Value, ok bool) {
	i, ok := t.index(key)
	if !ok {
		return Nil, Nil, false
	}
	for ; i < len(t.array); i++ {
		if !t.array[i].IsNil() {
			return Int(i + 1), t.array[i], true
		}
	}
	for i -= len(t.array); i < len(t.nodes); i++ {
		if n := &t.nodes[i]; !n.value.IsNil() {
			return n.key, n.value, true
		}
	}
	return Nil, Nil, true
}

// index is the place behind that of a key, where the nodes follow the array.
func (t *Table) index(key Value) (i int, ok bool) {
	if key.IsNil() {
		return 0, true
	}
	v := t.find(key)
	if v == nil {
		return 0, false
	}
	if len(t.array) > 0 && key.isNumber() {
		if i := toInteger(key.float()); 0 < i && i <= int64(len(t.array)) && float64(i) == key.float() {
			return int(i), true
		}
	}
	first := unsafe.Pointer(&t.nodes[0])
	return len(t.array) + int((uintptr(unsafe.Pointer(v))-uintptr(first))/unsafe.Sizeof(node{})) + 1, true
}

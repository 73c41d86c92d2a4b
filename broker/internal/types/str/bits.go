package str

import (
	"encoding/binary"
	"math/bits"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands for strings as rows of bits, where the highest bit of a byte is the
// first.

var bitCommands = []command.Command{
	{Name: "getbit", Arity: 3, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: getbit, ACL: "bitmap",
		Group: "bitmap", Since: "2.2.0", Complexity: "O(1)", Summary: "Returns a bit of the string that a key holds."},
	{Name: "setbit", Arity: 4, Flags: command.Write | command.DenyOOM, Keys: command.OneKey("RW access update"), Run: setbit, ACL: "bitmap",
		Group: "bitmap", Since: "2.2.0", Complexity: "O(1)", Summary: "Sets a bit of the string that a key holds."},
	{Name: "bitcount", Arity: -2, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: bitcount, ACL: "bitmap",
		Group: "bitmap", Since: "2.6.0", Complexity: "O(N) where N is the length of the range", Summary: "Counts the ones in the string that a key holds."},
	{Name: "bitpos", Arity: -3, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: bitpos, ACL: "bitmap",
		Group: "bitmap", Since: "2.8.7", Complexity: "O(N) where N is the length of the range", Summary: "Finds the first 0 or 1 in the string that a key holds."},
	{Name: "bitop", Arity: -4, Flags: command.Write | command.DenyOOM, Keys: []command.KeySpec{{Flags: "OW update", First: 2, Step: 1}, {Flags: "RO access", First: 3, Last: -1, Step: 1}}, Run: bitop, ACL: "bitmap",
		Group: "bitmap", Since: "2.6.0", Complexity: "O(N*M) where N is the length of the longest string and M their number", Summary: "Combines the bits of strings, and stores the result."},
}

var (
	badBit    = resp.ErrorReply("ERR bit is not an integer or out of range")
	badOffset = resp.ErrorReply("ERR bit offset is not an integer or out of range")
)

// parseOffset reads the place of a bit. It has to be in a string of the greatest
// length there may be.
func parseOffset(c *keyspace.Call, arg []byte) (offset int64, err *resp.Reply) {
	offset, isInt := resp.ParseInt(arg)
	if !isInt || !isOffset(c, offset) {
		return 0, &badOffset
	}
	return offset, nil
}

func isOffset(c *keyspace.Call, n int64) bool { return n >= 0 && n>>3 < int64(c.MaxBulk) }

// bit returns a bit of a string, 0 behind its end.
func bit(p []byte, offset int64) byte {
	if offset>>3 >= int64(len(p)) {
		return 0
	}
	return p[offset>>3] >> (7 - offset&7) & 1
}

// setBit sets a bit that the string has to 0 or 1.
func setBit(p []byte, offset int64, to byte) {
	shift := 7 - offset&7
	p[offset>>3] = p[offset>>3]&^(1<<shift) | to<<shift
}

// extend makes a string n bytes long, if it is shorter, by adding zeros.
func (t *stringValue) extend(n int) (extended bool) {
	if n <= len(t.bytes) {
		return false
	}
	t.bytes = append(t.bytes, make([]byte, n-len(t.bytes))...)
	return true
}

// bitsOf returns the string that a key holds with so many bits at least, for a
// command that writes some of them. It reports whether the string is longer than it
// was, or new; and false if the key holds something else.
func bitsOf(c *keyspace.Call, key []byte, n int64) (t *stringValue, extended, isText bool) {
	t, isText = asString(c.Find(key))
	if !isText {
		return nil, false, false
	}
	if t == nil {
		t = &stringValue{}
		c.Create(key, t)
	}
	extended = t.extend(int((n + 7) / 8))
	t.encoding = grown
	return t, extended, true
}

func getbit(c *keyspace.Call, args [][]byte) resp.Reply {
	offset, err := parseOffset(c, args[2])
	if err != nil {
		return *err
	}
	t, isText := asString(c.Lookup(args[1]))
	if !isText {
		return resp.WrongType
	}
	return resp.Integer(int64(bit(t.content(), offset)))
}

func setbit(c *keyspace.Call, args [][]byte) resp.Reply {
	offset, err := parseOffset(c, args[2])
	if err != nil {
		return *err
	}
	to, isInt := resp.ParseInt(args[3])
	if !isInt || to != 0 && to != 1 {
		return badBit
	}
	t, extended, isText := bitsOf(c, args[1], offset+1)
	if !isText {
		return resp.WrongType
	}
	old := bit(t.bytes, offset)
	setBit(t.bytes, offset, byte(to))
	if extended || int64(old) != to {
		c.Changed(args[1], keyspace.StringEvent, "setbit")
	}
	return resp.Integer(int64(old))
}

// A bitRange is given by two indexes of bytes or bits, both of which it includes;
// negative ones count from the end.
type bitRange struct {
	first, last int64
	inBits      bool
}

// parseUnit reads what the indexes count.
func (r *bitRange) parseUnit(arg []byte) bool {
	r.inBits = resp.Is(arg, "BIT")
	return r.inBits || resp.Is(arg, "BYTE")
}

// resolve turns a range into the bits of a string of some bytes, from one to before
// another.
func (r *bitRange) resolve(size int) (from, to int64) {
	length, unit := int64(size), int64(8)
	if r.inBits {
		length, unit = 8*length, 1
	}
	first, last := r.first, r.last
	if first < 0 {
		first = max(0, first+length)
	}
	if last < 0 {
		last = max(0, last+length)
	}
	last = min(last, length-1)
	if first > last {
		return 0, 0
	}
	return first * unit, (last + 1) * unit
}

func bitcount(c *keyspace.Call, args [][]byte) resp.Reply {
	t, isText := asString(c.Lookup(args[1]))
	switch {
	case !isText:
		return resp.WrongType
	case t == nil:
		return resp.Zero
	}
	r := bitRange{last: -1}
	switch len(args) {
	case 2:
	case 4, 5:
		var isInt bool
		if r.first, r.last, isInt = resp.ParseRange(args[2:]); !isInt {
			return resp.NotAnInteger
		}
		if r.first < 0 && r.last < 0 && r.first > r.last {
			return resp.Zero
		}
		if len(args) == 5 && !r.parseUnit(args[4]) {
			return resp.SyntaxError
		}
	default:
		return resp.SyntaxError
	}
	return resp.Integer(countOnes(t.bytes, r))
}

// countOnes counts the ones in a range of a string.
func countOnes(p []byte, r bitRange) int64 {
	from, to := r.resolve(len(p))
	n := int64(0)
	for ; from < to && from&7 != 0; from++ {
		n += int64(bit(p, from))
	}
	for ; from < to && to&7 != 0; to-- {
		n += int64(bit(p, to-1))
	}
	p = p[from>>3 : max(from, to)>>3]
	for ; len(p) >= 8; p = p[8:] {
		n += int64(bits.OnesCount64(binary.LittleEndian.Uint64(p)))
	}
	for _, b := range p {
		n += int64(bits.OnesCount8(b))
	}
	return n
}

func bitpos(c *keyspace.Call, args [][]byte) resp.Reply {
	want, isInt := resp.ParseInt(args[2])
	switch {
	case !isInt:
		return resp.NotAnInteger
	case want != 0 && want != 1:
		return resp.ErrorReply("ERR The bit argument must be 1 or 0.")
	}
	t, isText := asString(c.Lookup(args[1]))
	switch {
	case !isText:
		return resp.WrongType
	case t == nil:
		return resp.Integer(-want)
	case len(args) > 6:
		return resp.SyntaxError
	}
	r := bitRange{last: -1}
	if len(args) > 3 {
		if r.first, isInt = resp.ParseInt(args[3]); !isInt {
			return resp.NotAnInteger
		}
	}
	if len(args) > 5 && !r.parseUnit(args[5]) {
		return resp.SyntaxError
	}
	if len(args) > 4 {
		if r.last, isInt = resp.ParseInt(args[4]); !isInt {
			return resp.NotAnInteger
		}
	}
	from, to := r.resolve(len(t.bytes))
	at := findBit(t.bytes, byte(want), from, to)
	switch {
	case at < to:
		return resp.Integer(at)
	case want == 0 && from < to && len(args) < 5: // there are zeros behind the end
		return resp.Integer(to)
	}
	return resp.Integer(-1)
}

// findBit returns the place of the first 0 or 1 from a place to before another, or
// that.
func findBit(p []byte, want byte, from, to int64) int64 {
	others := want - 1 // eight bits that are not wanted
	for from < to {
		if from&7 == 0 && p[from>>3] == others {
			from += 8
			continue
		}
		if bit(p, from) == want {
			return from
		}
		from++
	}
	return to
}

// BITOP.

// bitOperations combine the bytes of two strings.
var bitOperations = map[string]func(x, y byte) byte{
	"and": func(x, y byte) byte { return x & y },
	"or":  func(x, y byte) byte { return x | y },
	"xor": func(x, y byte) byte { return x ^ y },
}

func bitop(c *keyspace.Call, args [][]byte) resp.Reply {
	var buf [3]byte
	name := string(resp.Lower(buf[:], args[1]))
	combine := bitOperations[name]
	switch {
	case name == "not" && len(args) != 4:
		return resp.ErrorReply("ERR BITOP NOT must be called with a single source key.")
	case name != "not" && combine == nil:
		return resp.SyntaxError
	}
	sources := make([][]byte, len(args)-3)
	longest := 0
	for i, key := range args[3:] {
		t, isText := asString(c.Lookup(key))
		if !isText {
			return resp.WrongType
		}
		sources[i] = t.content()
		longest = max(longest, len(sources[i]))
	}
	target := args[2]
	if longest == 0 {
		if e := c.Find(target); e != nil {
			c.Remove(e)
			c.Changed(target, keyspace.GenericEvent, "del")
		}
		return resp.Zero
	}
	result := make([]byte, longest)
	copy(result, sources[0])
	if name == "not" {
		for i := range result {
			result[i] = ^result[i]
		}
	}
	for _, s := range sources[1:] {
		for i := range result {
			b := byte(0) // behind the end of a shorter string
			if i < len(s) {
				b = s[i]
			}
			result[i] = combine(result[i], b)
		}
	}
	c.Replace(target, &stringValue{result, grown})
	c.Changed(target, keyspace.StringEvent, "set")
	return resp.Int(longest)
}

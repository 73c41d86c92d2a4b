package str

import (
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// BITFIELD and BITFIELD_RO.

var bitfieldCommands = []command.Command{
	{Name: "bitfield", Arity: -2, Flags: command.Write | command.DenyOOM, Keys: []command.KeySpec{{Flags: "RW access update variable_flags", First: 1, Step: 1, Use: useByBitfield}}, Run: bitfield, ACL: "bitmap",
		Group: "bitmap", Since: "3.2.0", Complexity: "O(1) for each step", Summary: "Reads and writes integers of any width in the string that a key holds."},
	{Name: "bitfield_ro", Arity: -2, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: bitfieldReadOnly, ACL: "bitmap",
		Group: "bitmap", Since: "6.0.0", Complexity: "O(1) for each step", Summary: "Reads integers of any width in the string that a key holds."},
}

// A bitField is an integer in a string: bits wide, from offset on.
type bitField struct {
	signed bool
	bits   int64 // 1 to 64, or 63 if it is not signed
	offset int64
}

// limits are the least and the greatest number that a field can hold.
func (f *bitField) limits() (least, greatest int64) {
	if f.signed {
		return -1 << (f.bits - 1), 1<<(f.bits-1) - 1
	}
	return 0, 1<<f.bits - 1
}

// wrap cuts a number down to the field.
func (f *bitField) wrap(n int64) int64 {
	if f.signed {
		return n << (64 - f.bits) >> (64 - f.bits)
	}
	return n & (1<<f.bits - 1)
}

// get reads the field; behind the end of the string there are zeros.
func (f *bitField) get(p []byte) int64 {
	n := int64(0)
	for i := range f.bits {
		n = n<<1 | int64(bit(p, f.offset+i))
	}
	return f.wrap(n)
}

// set writes a number into the field of a string that is long enough.
func (f *bitField) set(p []byte, n int64) {
	for i := range f.bits {
		setBit(p, f.offset+i, byte(n>>(f.bits-1-i)&1))
	}
}

// An overflow is what to do with a number that does not fit.
type overflow int

const (
	overflowWrap overflow = iota
	overflowSaturate
	overflowFail
)

// fit returns the number to write for n + by, where n is a number of the field if by
// is not 0. It reports false if there is none.
func (f *bitField) fit(n, by int64, o overflow) (int64, bool) {
	least, greatest := f.limits()
	limit := int64(0)
	switch {
	case n > greatest, n < 0 && !f.signed, by > 0 && uint64(by) > uint64(greatest)-uint64(n),
		f.signed && f.bits != 64 && by > greatest-n: // which wraps round if n is next to the least int64, as in Redis
		limit = greatest
	case n < least, by < 0 && -uint64(by) > uint64(n)-uint64(least):
		limit = least
	default:
		return n + by, true
	}
	switch o {
	case overflowWrap:
		return f.wrap(n + by), true
	case overflowSaturate:
		return limit, true
	}
	return 0, false
}

// A bitOperation is one step of BITFIELD.
type bitOperation struct {
	field    bitField
	write    bool
	add      bool // value to what is there, and answer the sum; else answer what was there
	value    int64
	overflow overflow
}

// parseField reads a type, such as u8 or i16, and an offset, which behind # counts
// fields of the type.
func parseField(c *keyspace.Call, kind, at []byte) (f bitField, err *resp.Reply) {
	isInt := false
	if len(kind) > 0 && (kind[0] == 'i' || kind[0] == 'u') {
		f.signed = kind[0] == 'i'
		f.bits, isInt = resp.ParseInt(kind[1:])
	}
	if !isInt || f.bits < 1 || f.bits > 64 || f.bits == 64 && !f.signed {
		r := resp.ErrorReply("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")
		return f, &r
	}
	scale := int64(1)
	if len(at) > 0 && at[0] == '#' {
		at, scale = at[1:], f.bits
	}
	if f.offset, isInt = resp.ParseInt(at); !isInt {
		return f, &badOffset
	}
	if f.offset *= scale; !isOffset(c, f.offset) {
		return f, &badOffset
	}
	return f, nil
}

// parseBitOperations reads the steps of BITFIELD.
func parseBitOperations(c *keyspace.Call, args [][]byte) (steps []bitOperation, err *resp.Reply) {
	o := overflowWrap
	for len(args) > 0 {
		rest := args[1:]
		step := bitOperation{overflow: o}
		switch {
		case resp.Is(args[0], "GET") && len(rest) >= 2:
		case resp.Is(args[0], "SET") && len(rest) >= 3:
			step.write = true
		case resp.Is(args[0], "INCRBY") && len(rest) >= 3:
			step.write, step.add = true, true
		case resp.Is(args[0], "OVERFLOW") && len(rest) >= 1:
			switch {
			case resp.Is(rest[0], "WRAP"):
				o = overflowWrap
			case resp.Is(rest[0], "SAT"):
				o = overflowSaturate
			case resp.Is(rest[0], "FAIL"):
				o = overflowFail
			default:
				r := resp.ErrorReply("ERR Invalid OVERFLOW type specified")
				return nil, &r
			}
			args = rest[1:]
			continue
		default:
			return nil, &resp.SyntaxError
		}
		if step.field, err = parseField(c, rest[0], rest[1]); err != nil {
			return nil, err
		}
		args = rest[2:]
		if step.write {
			var isInt bool
			if step.value, isInt = resp.ParseInt(args[0]); !isInt {
				return nil, &resp.NotAnInteger
			}
			args = args[1:]
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// useByBitfield is what BITFIELD does to its key.
func useByBitfield(args [][]byte) string {
	for i := 2; i < len(args); i++ {
		switch rest := len(args) - i - 1; {
		case resp.Is(args[i], "GET") && rest >= 2:
			i += 2
		case resp.Is(args[i], "OVERFLOW") && rest >= 1:
			i++
		default:
			return "RW access update"
		}
	}
	return "RO access"
}

func bitfield(c *keyspace.Call, args [][]byte) resp.Reply { return bitfieldGeneric(c, args, true) }
func bitfieldReadOnly(c *keyspace.Call, args [][]byte) resp.Reply {
	return bitfieldGeneric(c, args, false)
}

func bitfieldGeneric(c *keyspace.Call, args [][]byte, mayWrite bool) resp.Reply {
	steps, err := parseBitOperations(c, args[2:])
	if err != nil {
		return *err
	}
	size := int64(0) // bits that are needed to write
	for _, s := range steps {
		if s.write {
			size = max(size, s.field.offset+s.field.bits)
		}
	}
	if size == 0 {
		t, isText := asString(c.Lookup(args[1]))
		if !isText {
			return resp.WrongType
		}
		values := make([]resp.Reply, len(steps))
		for i, s := range steps {
			values[i] = resp.Integer(s.field.get(t.content()))
		}
		return resp.Array(values...)
	}
	if !mayWrite {
		return resp.ErrorReply("ERR BITFIELD_RO only supports the GET subcommand")
	}
	t, extended, isText := bitsOf(c, args[1], size)
	if !isText {
		return resp.WrongType
	}
	values := make([]resp.Reply, len(steps))
	changed := false
	for i, s := range steps {
		answer, wrote, differs := s.run(t.bytes)
		values[i] = answer
		changed = changed || differs || wrote && extended
	}
	switch {
	case changed:
		c.AnswerFirst()
		c.Changed(args[1], keyspace.StringEvent, "setbit")
	case extended && c.MaxMemory > 0:
		c.Measure(c.DB.Find(args[1]))
	}
	return resp.Array(values...)
}

// run does a step. It reports whether it wrote a number, and one that was not there.
func (s *bitOperation) run(p []byte) (answer resp.Reply, wrote, differs bool) {
	old := s.field.get(p)
	if !s.write {
		return resp.Integer(old), false, false
	}
	n, by := s.value, int64(0)
	if s.add {
		n, by = old, s.value
	}
	n, fits := s.field.fit(n, by, s.overflow)
	if !fits {
		return resp.Null, false, false
	}
	s.field.set(p, n)
	if s.add {
		return resp.Integer(n), true, n != old
	}
	return resp.Integer(old), true, n != old
}

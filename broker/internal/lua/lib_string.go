package lua

import (
	"bytes"
	"strings"
)

func (s *State) openString() {
	library := s.NewLibrary(Library{
		{"byte", stringByte},
		{"char", stringChar},
		{"dump", stringDump},
		{"find", stringFind},
		{"format", stringFormat},
		{"gfind", stringGmatch},
		{"gmatch", stringGmatch},
		{"gsub", stringGsub},
		{"len", stringLen},
		{"lower", stringLower},
		{"match", stringMatch},
		{"rep", stringRep},
		{"reverse", stringReverse},
		{"sub", stringSub},
		{"upper", stringUpper},
	})
	library.SetString("gfind", library.GetString("gmatch"))
	s.globals.SetString("string", library.Value())
	s.strings = NewTable(0, 1)
	s.strings.SetString("__index", library.Value())
}

// position makes one from the start of a string of one that may count from its end.
func position(n int64, length int) int64 {
	if n < 0 {
		n += int64(length) + 1
	}
	return max(n, 0)
}

func stringLen(t *Thread) int { return t.Return(Int(len(t.CheckString(1)))) }

func stringSub(t *Thread) int {
	s := t.CheckString(1)
	first := max(position(t.CheckInteger(2), len(s)), 1)
	last := min(position(t.OptInteger(3, -1), len(s)), int64(len(s)))
	if first > last {
		return t.Return(String(""))
	}
	return t.Return(String(s[first-1 : last]))
}

func stringByte(t *Thread) int {
	s := t.CheckString(1)
	first := position(t.OptInteger(2, 1), len(s))
	last := min(position(t.OptInteger(3, first), len(s)), int64(len(s)))
	first = max(first, 1)
	if first > last {
		return 0
	}
	n := int(last - first + 1)
	t.CheckStack(n, "string slice too long")
	for _, c := range []byte(s[first-1 : last]) {
		t.push(Int(int(c)))
	}
	return n
}

func stringChar(t *Thread) int {
	buffer := make([]byte, t.NArgs())
	for i := range buffer {
		c := t.CheckInt(i + 1)
		if c < 0 || c > 255 {
			t.ArgError(i+1, "invalid value")
		}
		buffer[i] = byte(c)
	}
	return t.Return(t.madeString(buffer))
}

func stringRep(t *Thread) int {
	s := t.CheckString(1)
	n := max(t.CheckInt(2), 0)
	if len(s) > 0 && n > MaxString/len(s) {
		t.fail(notEnoughMemory)
	}
	t.checkLength(n * len(s))
	t.Count(n * len(s) >> countedBytes)
	t.allocate(n * len(s))
	return t.Return(String(strings.Repeat(s, n)))
}

func stringReverse(t *Thread) int {
	s := t.CheckString(1)
	t.Count(len(s) >> countedBytes)
	buffer := make([]byte, len(s))
	for i := range len(s) {
		buffer[len(s)-1-i] = s[i]
	}
	return t.Return(t.madeString(buffer))
}

func stringLower(t *Thread) int {
	return t.mapBytes(func(c byte) byte {
		if isUpper(c) {
			c |= 0x20
		}
		return c
	})
}

func stringUpper(t *Thread) int {
	return t.mapBytes(func(c byte) byte {
		if isLower(c) {
			c &^= 0x20
		}
		return c
	})
}

func (t *Thread) mapBytes(f func(byte) byte) int {
	buffer := []byte(t.CheckString(1))
	t.Count(len(buffer) >> countedBytes)
	for i, c := range buffer {
		buffer[i] = f(c)
	}
	return t.Return(t.madeString(buffer))
}

func stringFind(t *Thread) int { return t.find(true) }

func stringMatch(t *Thread) int { return t.find(false) }

// specials are what makes a pattern of a text.
const specials = "^$*+?.([%-"

// find is string.find, or string.match.
func (t *Thread) find(positions bool) int {
	s, p := t.CheckString(1), t.CheckString(2)
	start := position(t.OptInteger(3, 1), len(s)) - 1
	start = min(max(start, 0), int64(len(s)))
	if positions && (t.Arg(4).Truth() || isPlain(p)) {
		i := strings.Index(s[start:], p)
		t.Count(len(s) >> countedBytes)
		if i < 0 {
			return t.Return(Nil)
		}
		i += int(start)
		return t.Return(Int(i+1), Int(i+len(p)))
	}
	m := newMatcher(t, s, p)
	from, to := m.search(int(start))
	switch {
	case from < 0:
		return t.Return(Nil)
	case positions:
		t.Return(Int(from+1), Int(to))
		return 2 + m.pushCaptures(-1, 0)
	}
	return m.pushCaptures(from, to)
}

// isPlain reports whether a pattern has no specials, up to a zero byte.
func isPlain(p string) bool {
	p, _, _ = strings.Cut(p, "\x00")
	return !strings.ContainsAny(p, specials)
}

func stringGmatch(t *Thread) int {
	s, p := t.CheckString(1), t.CheckString(2)
	at := 0
	return t.Return(t.state.NewFunction(func(t *Thread) int {
		m := newMatcher(t, s, p)
		m.anchored = false // here ^ is a byte as others
		m.pattern = cString(p)
		from, to := m.search(at)
		if from < 0 {
			at = len(s) + 1
			return 0
		}
		at = to
		if from == to {
			at++
		}
		return m.pushCaptures(from, to)
	}).Value())
}

// cString is a string up to its first zero byte.
func cString(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

func stringGsub(t *Thread) int {
	s, p := t.CheckString(1), t.CheckString(2)
	replacement := t.Arg(3)
	limit := t.OptInt(4, len(s)+1)
	switch replacement.Type() {
	case TypeNumber, TypeString, TypeTable, TypeFunction:
	default:
		t.ArgError(3, "string/function/table expected")
	}
	m := newMatcher(t, s, p)
	var out bytes.Buffer
	at, n := 0, 0
	for n < limit {
		m.captures = 0
		end := m.match(at, 0)
		if end >= 0 {
			n++
			m.replace(&out, replacement, at, end)
		}
		switch {
		case end > at:
			at = end
		case at < len(s):
			out.WriteByte(s[at])
			at++
		default:
			limit = 0
		}
		if m.anchored {
			break
		}
	}
	out.WriteString(s[at:])
	return t.Return(t.madeString(out.Bytes()), Int(n))
}

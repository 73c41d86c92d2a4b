package lua

import (
	"bytes"
	"strings"
)

const (
	maxCaptures = 32

	// maxMatchDepth bounds how deep matches go into each other. Lua's only bound is the
	// stack of C, which some 200,000 exhaust.
	maxMatchDepth = 200_000
)

// Lengths of captures that have none.
const (
	captureUnfinished = -1
	capturePosition   = -2
)

type capture struct{ start, length int }

// A matcher matches a pattern with a string.
type matcher struct {
	t        *Thread
	s        string
	pattern  string
	anchored bool
	captures int
	depth    int
	capture  [maxCaptures]capture
}

// newMatcher makes one. As in C, a zero byte ends the pattern.
func newMatcher(t *Thread, s, pattern string) *matcher {
	m := &matcher{t: t, s: s, pattern: cString(pattern)}
	if strings.HasPrefix(m.pattern, "^") {
		m.anchored, m.pattern = true, m.pattern[1:]
	}
	return m
}

// search finds the first match from a place on. From is -1 if there is none.
func (m *matcher) search(start int) (from, to int) {
	for at := start; at <= len(m.s); at++ {
		m.captures = 0
		if to := m.match(at, 0); to >= 0 {
			return at, to
		}
		if m.anchored {
			break
		}
	}
	return -1, -1
}

// p is a byte of the pattern, or 0 at its end.
func (m *matcher) p(i int) byte {
	if i < len(m.pattern) {
		return m.pattern[i]
	}
	return 0
}

// byteAt is a byte of the string, or 0 at its end.
func (m *matcher) byteAt(i int) byte {
	if i < len(m.s) {
		return m.s[i]
	}
	return 0
}

// match matches the pattern from p on with the string from at on. It returns where the
// match ends, or -1.
func (m *matcher) match(at, p int) int {
	if m.depth++; m.depth > maxMatchDepth {
		m.t.Errorf("pattern too complex")
	}
	at = m.matchItems(at, p)
	m.depth--
	return at
}

func (m *matcher) matchItems(at, p int) int {
	for {
		m.t.Count(1)
		switch c := m.p(p); {
		case p >= len(m.pattern):
			return at
		case c == '(':
			if m.p(p+1) == ')' {
				return m.startCapture(at, p+2, capturePosition)
			}
			return m.startCapture(at, p+1, captureUnfinished)
		case c == ')':
			return m.endCapture(at, p+1)
		case c == '$' && p+1 == len(m.pattern):
			if at == len(m.s) {
				return at
			}
			return -1
		case c == '%' && m.p(p+1) == 'b':
			if at = m.matchBalance(at, p+2); at < 0 {
				return -1
			}
			p += 4
			continue
		case c == '%' && m.p(p+1) == 'f':
			p += 2
			if m.p(p) != '[' {
				m.t.Errorf("missing '[' after '%%f' in pattern")
			}
			end := m.classEnd(p)
			var previous byte
			if at > 0 {
				previous = m.s[at-1]
			}
			if m.inSet(previous, p, end-1) || !m.inSet(m.byteAt(at), p, end-1) {
				return -1
			}
			p = end
			continue
		case c == '%' && isDigit(m.p(p+1)):
			if at = m.matchCapture(at, m.p(p+1)); at < 0 {
				return -1
			}
			p += 2
			continue
		}
		end := m.classEnd(p)
		matches := m.matchOne(at, p, end)
		switch m.p(end) {
		case '?':
			if matches {
				if e := m.match(at+1, end+1); e >= 0 {
					return e
				}
			}
			p = end + 1
		case '*':
			return m.expandMost(at, p, end)
		case '+':
			if !matches {
				return -1
			}
			return m.expandMost(at+1, p, end)
		case '-':
			return m.expandLeast(at, p, end)
		default:
			if !matches {
				return -1
			}
			at++
			p = end
		}
	}
}

// classEnd is where the item that begins at p ends, without its ?, *, + or -.
func (m *matcher) classEnd(p int) int {
	switch m.p(p) {
	case '%':
		if p+1 >= len(m.pattern) {
			m.t.Errorf("malformed pattern (ends with '%%')")
		}
		return p + 2
	case '[':
		p++
		if m.p(p) == '^' {
			p++
		}
		for first := true; first || m.p(p) != ']'; first = false {
			if p >= len(m.pattern) {
				m.t.Errorf("malformed pattern (missing ']')")
			}
			p++
			if m.pattern[p-1] == '%' && p < len(m.pattern) {
				p++
			}
		}
	}
	return p + 1
}

// matchOne matches one byte with the item from p up to end.
func (m *matcher) matchOne(at, p, end int) bool {
	if at >= len(m.s) {
		return false
	}
	switch c := m.s[at]; m.pattern[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.pattern[p+1])
	case '[':
		return m.inSet(c, p, end-1)
	default:
		return m.pattern[p] == c
	}
}

// inSet matches a byte with the set whose [ is at p and whose ] is at end.
func (m *matcher) inSet(c byte, p, end int) bool {
	is := true
	if m.p(p+1) == '^' {
		is = false
		p++
	}
	for p++; p < end; p++ {
		switch x := m.pattern[p]; {
		case x == '%':
			p++
			if inClass(c, m.p(p)) {
				return is
			}
		case m.p(p+1) == '-' && p+2 < end:
			p += 2
			if x <= c && c <= m.pattern[p] {
				return is
			}
		case x == c:
			return is
		}
	}
	return !is
}

// inClass matches a byte with a class such as %a, or with %. and the like.
func inClass(c, class byte) bool {
	var is bool
	switch class | 0x20 {
	case 'a':
		is = isAlpha(c)
	case 'c':
		is = isControl(c)
	case 'd':
		is = isDigit(c)
	case 'l':
		is = isLower(c)
	case 'p':
		is = isPunctuation(c)
	case 's':
		is = isSpace(c)
	case 'u':
		is = isUpper(c)
	case 'w':
		is = isAlphanumeric(c)
	case 'x':
		is = isHexDigit(c)
	case 'z':
		is = c == 0
	default:
		return class == c
	}
	if !isAlpha(class) {
		return class == c
	}
	return is != isUpper(class)
}

// matchBalance matches %b with its two bytes at p.
func (m *matcher) matchBalance(at, p int) int {
	if p+1 >= len(m.pattern) {
		m.t.Errorf("unbalanced pattern")
	}
	if at >= len(m.s) || m.s[at] != m.pattern[p] {
		return -1
	}
	open, shut := m.pattern[p], m.pattern[p+1]
	depth := 1
	for at++; at < len(m.s); at++ {
		m.t.Count(1)
		switch m.s[at] {
		case shut:
			if depth--; depth == 0 {
				return at + 1
			}
		case open:
			depth++
		}
	}
	return -1
}

func (m *matcher) expandMost(at, p, end int) int {
	n := 0
	for m.matchOne(at+n, p, end) {
		n++
	}
	m.t.Count(n >> 2)
	for ; n >= 0; n-- {
		if e := m.match(at+n, end+1); e >= 0 {
			return e
		}
	}
	return -1
}

func (m *matcher) expandLeast(at, p, end int) int {
	for {
		if e := m.match(at, end+1); e >= 0 {
			return e
		}
		if !m.matchOne(at, p, end) {
			return -1
		}
		at++
	}
}

func (m *matcher) startCapture(at, p, length int) int {
	if m.captures >= maxCaptures {
		m.t.Errorf("too many captures")
	}
	m.capture[m.captures] = capture{at, length}
	m.captures++
	end := m.match(at, p)
	if end < 0 {
		m.captures--
	}
	return end
}

func (m *matcher) endCapture(at, p int) int {
	n := m.captures - 1
	for n >= 0 && m.capture[n].length != captureUnfinished {
		n--
	}
	if n < 0 {
		m.t.Errorf("invalid pattern capture")
	}
	c := &m.capture[n]
	c.length = at - c.start
	end := m.match(at, p)
	if end < 0 {
		c.length = captureUnfinished
	}
	return end
}

// matchCapture matches what an earlier capture has, which a digit names.
func (m *matcher) matchCapture(at int, digit byte) int {
	n := int(digit) - '1'
	if n < 0 || n >= m.captures || m.capture[n].length == captureUnfinished {
		m.t.Errorf("invalid capture index")
	}
	c := m.capture[n]
	if c.length < 0 || !strings.HasPrefix(m.s[at:], m.s[c.start:c.start+c.length]) {
		return -1
	}
	return at + c.length
}

// captured is the value of a capture. The first one is the whole match if there is none.
func (m *matcher) captured(n, from, to int) Value {
	if n >= m.captures {
		if n != 0 {
			m.t.Errorf("invalid capture index")
		}
		return String(m.s[from:to])
	}
	switch c := m.capture[n]; c.length {
	case captureUnfinished:
		m.t.Errorf("unfinished capture")
		return Nil
	case capturePosition:
		return Int(c.start + 1)
	default:
		return String(m.s[c.start : c.start+c.length])
	}
}

// pushCaptures pushes all captures, or the whole match if there is none and from is not
// -1. It returns their number.
func (m *matcher) pushCaptures(from, to int) int {
	n := m.captures
	if n == 0 && from >= 0 {
		n = 1
	}
	m.t.CheckStack(n, "too many captures")
	for i := range n {
		m.t.push(m.captured(i, from, to))
	}
	return n
}

// replace writes what takes the place of a match.
func (m *matcher) replace(out *bytes.Buffer, replacement Value, from, to int) {
	t := m.t
	t.checkLength(out.Len())
	var v Value
	switch replacement.Type() {
	case TypeTable:
		v = t.Index(replacement, m.captured(0, from, to))
	case TypeFunction:
		at := t.top
		t.push(replacement)
		m.pushCaptures(from, to)
		t.call(at, 1)
		v = t.pop()
	default:
		text, _ := replacement.ToString()
		m.expand(out, text, from, to)
		return
	}
	if !v.Truth() {
		out.WriteString(m.s[from:to])
		return
	}
	text, ok := v.ToString()
	if !ok {
		t.Errorf("invalid replacement value (a %s)", v.Type())
	}
	out.WriteString(text)
	t.Count(len(text) >> countedBytes)
}

// expand writes a replacement, in which %1 and the like are captures.
func (m *matcher) expand(out *bytes.Buffer, text string, from, to int) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != '%' {
			out.WriteByte(c)
			continue
		}
		i++
		switch {
		case i == len(text):
			out.WriteByte(0)
		case text[i] == '0':
			out.WriteString(m.s[from:to])
		case isDigit(text[i]):
			s, _ := m.captured(int(text[i]-'1'), from, to).ToString()
			out.WriteString(s)
		default:
			out.WriteByte(text[i])
		}
	}
	m.t.Count(len(text) >> countedBytes)
}

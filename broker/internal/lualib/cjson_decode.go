package lualib

import (
	"strings"
	"unicode/utf8"

	"redrpc/broker/internal/lua"
)

// decode makes a value of JSON.
func (l *jsonLibrary) decode(t *lua.Thread) int {
	if t.NArgs() != 1 {
		t.ArgError(1, "expected 1 argument")
	}
	d := jsonDecoder{jsonLibrary: l, thread: t, text: t.CheckString(1)}
	if len(d.text) >= 2 && (d.text[0] == 0 || d.text[1] == 0) {
		t.Errorf("JSON parser does not support UTF-16 or UTF-32")
	}
	d.next()
	v := d.value(1)
	if d.next(); d.token != jsonEnd {
		d.refuse("the end")
	}
	return t.Return(v)
}

// A jsonDecoder reads a text token by token. A zero byte ends the text, even if more
// follows.
type jsonDecoder struct {
	*jsonLibrary
	thread   *lua.Thread
	text     string
	position int // of what is read next
	depth    int // of nested arrays and objects

	token   jsonToken
	start   int       // of the token, or where its error is
	content lua.Value // of a token that is a value
	problem string    // of jsonError
	scratch []byte    // for strings with escapes
}

// A jsonToken is a token by its first byte.
type jsonToken byte

const (
	jsonEnd         jsonToken = 0
	jsonObjectBegin jsonToken = '{'
	jsonObjectEnd   jsonToken = '}'
	jsonArrayBegin  jsonToken = '['
	jsonArrayEnd    jsonToken = ']'
	jsonColon       jsonToken = ':'
	jsonComma       jsonToken = ','
	jsonString      jsonToken = '"'
	jsonNumber      jsonToken = '0'
	jsonBoolean     jsonToken = 't'
	jsonNil         jsonToken = 'n'
	jsonError       jsonToken = 'e'
)

// String is how errors name the token.
func (t jsonToken) String() string {
	switch t {
	case jsonEnd:
		return "T_END"
	case jsonObjectBegin:
		return "T_OBJ_BEGIN"
	case jsonObjectEnd:
		return "T_OBJ_END"
	case jsonArrayBegin:
		return "T_ARR_BEGIN"
	case jsonArrayEnd:
		return "T_ARR_END"
	case jsonColon:
		return "T_COLON"
	case jsonComma:
		return "T_COMMA"
	case jsonString:
		return "T_STRING"
	case jsonNumber:
		return "T_NUMBER"
	case jsonBoolean:
		return "T_BOOLEAN"
	case jsonNil:
		return "T_NULL"
	}
	return "T_ERROR"
}

// refuse raises the error that something else was expected than the token.
func (d *jsonDecoder) refuse(expected string) {
	found := d.problem
	if d.token != jsonError {
		found = d.token.String()
	}
	d.thread.Errorf("Expected %s but found %s at character %d", expected, found, d.start+1)
}

// value reads the value that begins with the token. Slots are the values on the stack of
// Redis's library.
func (d *jsonDecoder) value(slots int) lua.Value {
	switch d.token {
	case jsonString, jsonNumber, jsonBoolean, jsonNil:
		return d.content
	case jsonObjectBegin:
		return d.object(slots)
	case jsonArrayBegin:
		return d.array(slots)
	}
	d.refuse("value")
	return lua.Nil
}

// descend enters an array or an object, which need so many places on the stack.
func (d *jsonDecoder) descend(slots int) {
	if d.depth++; d.depth > d.decodeDepth || slots > maxSlots {
		d.thread.Errorf("Found too many nested data structures (%d) at character %d", d.depth, d.position)
	}
}

func (d *jsonDecoder) object(slots int) lua.Value {
	d.descend(slots + 3)
	table := newTable(d.thread)
	d.next()
	for d.token != jsonObjectEnd {
		if d.token != jsonString {
			d.refuse("object key string")
		}
		key := d.content
		if d.next(); d.token != jsonColon {
			d.refuse("colon")
		}
		d.next()
		d.thread.RawSet(table, key, d.value(slots+2))
		if d.next(); d.token == jsonObjectEnd {
			break
		}
		if d.token != jsonComma {
			d.refuse("comma or object end")
		}
		if d.next(); d.token == jsonObjectEnd {
			d.refuse("object key string")
		}
	}
	d.depth--
	return table.Value()
}

func (d *jsonDecoder) array(slots int) lua.Value {
	d.descend(slots + 2)
	table := newTable(d.thread)
	d.next()
	for i := 1; d.token != jsonArrayEnd; i++ {
		d.thread.RawSet(table, lua.Int(i), d.value(slots+1))
		if d.next(); d.token == jsonArrayEnd {
			break
		}
		if d.token != jsonComma {
			d.refuse("comma or array end")
		}
		if d.next(); d.token == jsonArrayEnd {
			d.refuse("value")
		}
	}
	d.depth--
	return table.Value()
}

// at is a byte of the text, which ends with zero.
func (d *jsonDecoder) at(i int) byte {
	if i < len(d.text) {
		return d.text[i]
	}
	return 0
}

// next reads the next token. At the end, or at an error, it stays there.
func (d *jsonDecoder) next() {
	d.thread.Count(1)
	begin := d.position
	for isJSONSpace(d.at(d.position)) {
		d.position++
	}
	countBytes(d.thread, d.position-begin)
	d.start = d.position
	switch c := d.at(d.position); {
	case c == 0:
		d.token = jsonEnd
	case strings.IndexByte("{}[]:,", c) >= 0:
		d.token = jsonToken(c)
		d.position++
	case c == '"':
		d.string()
	case c == '-' || isDigit(c):
		if d.decodeInvalid == jsonOff && d.isInvalidNumber() {
			d.fail("invalid number")
			return
		}
		d.number()
	default:
		d.word()
	}
}

func isJSONSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// fail makes an error the token.
func (d *jsonDecoder) fail(problem string) {
	d.token, d.start, d.problem = jsonError, d.position, problem
}

func (d *jsonDecoder) found(token jsonToken, content lua.Value, length int) {
	d.token, d.content = token, content
	d.position += length
}

// word reads true, false, null, and the numbers that JSON does not have.
func (d *jsonDecoder) word() {
	rest := d.text[d.position:]
	switch {
	case strings.HasPrefix(rest, "true"):
		d.found(jsonBoolean, lua.Bool(true), len("true"))
	case strings.HasPrefix(rest, "false"):
		d.found(jsonBoolean, lua.Bool(false), len("false"))
	case strings.HasPrefix(rest, "null"):
		d.found(jsonNil, lua.LightUserdata(0), len("null"))
	case d.decodeInvalid == jsonOn && d.isInvalidNumber():
		d.number()
	default:
		d.fail("invalid token")
	}
}

// isInvalidNumber reports whether a number looks like one that strtod reads, but JSON does
// not have.
func (d *jsonDecoder) isInvalidNumber() bool {
	i := d.position
	switch d.at(i) {
	case '+':
		return true
	case '-':
		i++
	}
	if d.at(i) == '0' {
		second := d.at(i + 1)
		return second|0x20 == 'x' || isDigit(second)
	}
	word := strings.ToLower(d.text[i:min(i+3, len(d.text))])
	return word == "inf" || word == "nan"
}

func (d *jsonDecoder) number() {
	f, length := lua.ScanNumber(d.text[d.position:])
	if length == 0 {
		d.fail("invalid number")
		return
	}
	countBytes(d.thread, length)
	d.found(jsonNumber, lua.Number(f), length)
}

// string reads a string. Most have no escapes, and are a part of the text.
func (d *jsonDecoder) string() {
	begin := d.position + 1
	length := strings.IndexAny(d.text[begin:], "\"\\\x00")
	if length >= 0 && d.text[begin+length] == '"' {
		d.found(jsonString, newString(d.thread, d.text[begin:begin+length]), length+2)
		return
	}
	d.position = begin
	d.scratch = d.scratch[:0]
	for {
		switch c := d.at(d.position); c {
		case '"':
			d.found(jsonString, newString(d.thread, string(d.scratch)), 1)
			return
		case 0:
			d.fail("unexpected end of string")
			return
		case '\\':
			if problem := d.escape(); problem != "" {
				d.fail(problem)
				return
			}
		default:
			d.scratch = append(d.scratch, c)
			d.position++
		}
	}
}

// escape reads a backslash and what follows, or says what is wrong with it.
func (d *jsonDecoder) escape() (problem string) {
	c := d.at(d.position + 1)
	if c == 'u' {
		return d.unicodeEscape()
	}
	plain := jsonUnescapes[c]
	if plain == 0 {
		return "invalid escape code"
	}
	d.scratch = append(d.scratch, plain)
	d.position += 2
	return ""
}

// jsonUnescapes are the bytes that letters behind a backslash stand for.
var jsonUnescapes = makeJSONUnescapes()

func makeJSONUnescapes() (plain [256]byte) {
	for c, letter := range jsonLetters {
		plain[letter] = c
	}
	return plain
}

// unicodeEscape reads \u with four hexadecimal digits, or two of them that are a surrogate
// pair.
func (d *jsonDecoder) unicodeEscape() (problem string) {
	const invalid = "invalid unicode escape code"
	unit, ok := d.hex4(d.position + 2)
	if !ok {
		return invalid
	}
	length := len(`\u0000`)
	if unit&0xf800 == 0xd800 {
		low, ok := d.hex4(d.position + length + 2)
		if !ok || unit&0x400 != 0 || low&0xfc00 != 0xdc00 ||
			d.at(d.position+length) != '\\' || d.at(d.position+length+1) != 'u' {
			return invalid
		}
		unit = (unit&0x3ff<<10 | low&0x3ff) + 0x10000
		length *= 2
	}
	d.scratch = utf8.AppendRune(d.scratch, unit)
	d.position += length
	return ""
}

// hex4 reads four hexadecimal digits.
func (d *jsonDecoder) hex4(position int) (n rune, ok bool) {
	for i := range 4 {
		switch c := d.at(position + i); {
		case isDigit(c):
			n = n<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

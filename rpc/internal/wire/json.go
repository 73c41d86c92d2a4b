package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"reflect"
	"strconv"
	"unicode/utf8"
)

// encoding/json alone does not fit the envelopes: it matches the names of
// fields without regard to case, so that "ID" would pass for "id". Here an
// envelope is checked once as a whole and then walked, its values left raw.

// CheckObject says whether data is one JSON object in UTF-8, and nothing else.
func CheckObject(data []byte) error { return walk(data, func(name, value []byte) bool { return true }) }

// walk checks, as CheckObject does, and calls visit for each member on the way: what it
// has visited counts only if there is no error. A name is unescaped.
func walk(data []byte, visit func(name, value []byte) bool) error {
	if !utf8.Valid(data) {
		return errors.New("expected JSON in UTF-8, got bytes that are not UTF-8")
	}
	start := skipSpace(data, 0)
	if start < len(data) && data[start] == '{' {
		if end := scanMembers(data, start, 1, '}', visit); end >= 0 && skipSpace(data, end) == len(data) {
			return nil
		}
	}
	if end := scanValue(data, start, 0); end < 0 || skipSpace(data, end) < len(data) {
		var raw json.RawMessage
		return fmt.Errorf("expected JSON: %w", json.Unmarshal(data, &raw))
	}
	return fmt.Errorf("expected a JSON object, got %s", article(KindOf(data[start:])))
}

// KindOf names the JSON type of a valid value that starts at its first byte.
func KindOf(value []byte) string {
	switch value[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

func article(kind string) string {
	switch kind {
	case "object", "array":
		return "an " + kind
	case "null":
		return kind
	}
	return "a " + kind
}

// Members yields the names, unescaped, and the raw values of an object that
// CheckObject has passed. Names may repeat; the last one counts, as in Python.
func Members(object []byte) iter.Seq2[[]byte, json.RawMessage] {
	return func(yield func([]byte, json.RawMessage) bool) {
		scanMembers(object, skipSpace(object, 0), 1, '}', func(name, value []byte) bool { return yield(name, value) })
	}
}

// elements yields the raw values of an array that is valid JSON.
func elements(array []byte) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		for i := skipSpace(array, 1); array[i] != ']'; i = skipSpace(array, i) {
			if array[i] == ',' {
				i = skipSpace(array, i+1)
			}
			end := scanValue(array, i, 1)
			if !yield(array[i:end:end]) {
				return
			}
			i = end
		}
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// Unquote returns the text of a valid JSON string.
func Unquote(raw []byte) string {
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		panic("wire: a string that passed json.Valid does not decode: " + err.Error())
	}
	return s
}

// DecodeValue decodes a valid JSON value into the pointer v. A number that
// lands in an interface becomes a json.Number, so that it keeps every digit.
func DecodeValue(raw []byte, v any) error {
	switch v := v.(type) { // what is common and simple, without encoding/json
	case *string:
		if raw[0] == '"' {
			*v = Unquote(raw)
			return nil
		}
	case *json.RawMessage:
		*v = append((*v)[:0], raw...)
		return nil
	case *int:
		if n, err := strconv.Atoi(string(raw)); err == nil {
			*v = n
			return nil
		}
	case *float64:
		if n, err := strconv.ParseFloat(string(raw), 64); err == nil {
			*v = n
			return nil
		}
	}
	if t := reflect.TypeOf(v).Elem(); !mayHoldAny(t) {
		return json.Unmarshal(raw, v)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(v)
}

// mayHoldAny says whether a value of type t may hold an interface; true if
// finding out would take a walk through the type.
func mayHoldAny(t reflect.Type) bool {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map || t.Kind() == reflect.Pointer {
		if t.Name() != "" { // a named type may refer to itself
			return true
		}
		t = t.Elem()
	}
	return t.Kind() == reflect.Interface || t.Kind() == reflect.Struct
}

// Explain turns a decoding error into words that need no knowledge of Go.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	var mismatch *json.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return err
	}
	where := ""
	if mismatch.Field != "" {
		where = fmt.Sprintf(" in %q", mismatch.Field)
	}
	return fmt.Errorf("expected %v, got %s%s", mismatch.Type, mismatch.Value, where)
}

// maxDepth is how deep arrays and objects may be nested, as in encoding/json.
const maxDepth = 10_000

// scanValue returns the index after the JSON value that starts at b[i], or -1 if
// none does. It takes what json.Valid takes, in a quarter of the time.
func scanValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return scanString(b, i)
	case '{':
		return scanMembers(b, i, depth+1, '}', nil)
	case '[':
		return scanMembers(b, i, depth+1, ']', nil)
	case 't':
		return scanWord(b, i, "true")
	case 'f':
		return scanWord(b, i, "false")
	case 'n':
		return scanWord(b, i, "null")
	}
	return scanNumber(b, i)
}

// scanMembers scans an object or an array, which starts at b[i] and ends with end. If visit
// is not nil it is called for each member of an object, with its name, unescaped, until it
// returns false.
func scanMembers(b []byte, i, depth int, end byte, visit func(name, value []byte) bool) int {
	if depth > maxDepth {
		return -1
	}
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == end {
		return i + 1
	}
	for {
		name := i
		nameEnd := i
		if end == '}' {
			if i >= len(b) || b[i] != '"' {
				return -1
			}
			if i = scanString(b, i); i < 0 {
				return -1
			}
			nameEnd = i
			i = skipSpace(b, i)
			if i >= len(b) || b[i] != ':' {
				return -1
			}
			i = skipSpace(b, i+1)
		}
		value := i
		if i = scanValue(b, i, depth); i < 0 {
			return -1
		}
		if visit != nil && !visit(unescaped(b[name:nameEnd]), b[value:i:i]) {
			return -1
		}
		i = skipSpace(b, i)
		switch {
		case i >= len(b):
			return -1
		case b[i] == end:
			return i + 1
		case b[i] != ',':
			return -1
		}
		i = skipSpace(b, i+1)
	}
}

// unescaped returns what stands between the quotes of a string.
func unescaped(quoted []byte) []byte {
	if text := quoted[1 : len(quoted)-1]; bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	return []byte(Unquote(quoted))
}

func scanString(b []byte, i int) int {
	for i = skipPlain(b, i+1); i < len(b); i = skipPlain(b, i+1) {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return -1
		case c == '\\':
			i++
			if i >= len(b) {
				return -1
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if i++; i >= len(b) || !isHex(b[i]) {
						return -1
					}
				}
			default:
				return -1
			}
		}
	}
	return -1
}

// skipPlain returns the index of the first byte at i or behind it that means
// something in a string, a quote, a backslash or a control character, or an index
// that is less than that by a few. It looks at eight bytes at a time.
func skipPlain(b []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		v := binary.LittleEndian.Uint64(b[i:])
		quote, slash := v^ones*'"', v^ones*'\\'
		// A byte that is less than n, at most 128, borrows from its highest bit in v - n.
		if special := ((v-ones*' ')&^v | (quote-ones)&^quote | (slash-ones)&^slash) & highs; special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	return i
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func scanWord(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

func scanNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	start := i
	if i = skipDigits(b, i); i == start || b[start] == '0' && i > start+1 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		start = i + 1
		if i = skipDigits(b, start); i == start {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		start = i
		if i = skipDigits(b, i); i == start {
			return -1
		}
	}
	return i
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}

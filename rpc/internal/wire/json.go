package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// encoding/json alone does not fit the envelopes: it matches the names of
// fields without regard to case, so that "ID" would pass for "id". Here an
// envelope is checked once as a whole and then walked, its values left raw.

// CheckObject says whether data is one JSON object in UTF-8, and nothing else.
func CheckObject(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("expected JSON in UTF-8, got bytes that are not UTF-8")
	}
	if end := scanValue(data, skipSpace(data, 0), 0); end < 0 || skipSpace(data, end) < len(data) {
		var raw json.RawMessage
		return fmt.Errorf("expected JSON: %w", json.Unmarshal(data, &raw))
	}
	if k := KindOf(bytes.TrimLeft(data, " \t\r\n")); k != "object" {
		return fmt.Errorf("expected a JSON object, got %s", article(k))
	}
	return nil
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
		i := skipSpace(object, 0) + 1 // past the brace
		for {
			i = skipSpace(object, i)
			switch object[i] {
			case '}':
				return
			case ',':
				i = skipSpace(object, i+1)
			}
			end := skipString(object, i)
			name := object[i+1 : end-1]
			if bytes.IndexByte(name, '\\') >= 0 {
				name = []byte(Unquote(object[i:end]))
			}
			i = skipSpace(object, end) + 1 // past the colon
			i = skipSpace(object, i)
			end = skipValue(object, i)
			if !yield(name, object[i:end:end]) {
				return
			}
			i = end
		}
	}
}

// elements yields the raw values of an array that is valid JSON.
func elements(array []byte) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		i := 1 // past the bracket
		for {
			i = skipSpace(array, i)
			switch array[i] {
			case ']':
				return
			case ',':
				i = skipSpace(array, i+1)
			}
			end := skipValue(array, i)
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

// skipString returns the index after the string that starts at b[i].
func skipString(b []byte, i int) int {
	for i = skipPlain(b, i+1); ; i = skipPlain(b, i+1) {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// skipValue returns the index after the value that starts at b[i].
func skipValue(b []byte, i int) int {
	depth := 0
	for {
		switch b[i] {
		case '"':
			i = skipString(b, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\n', '\r':
			i++
		default: // a number or a literal
			for i < len(b) && strings.IndexByte(",:]} \t\n\r", b[i]) < 0 {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
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

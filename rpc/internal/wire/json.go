package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
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

package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

type inner struct{ N int }

type sample struct {
	A     int
	Text  string         `json:"text"`
	Free  any            `json:"free,omitempty"`
	Maybe *int           `json:"maybe"`
	In    inner          `json:"in,omitzero"`
	Big   map[string]any `json:"big,omitzero"`
	Skip  int            `json:"-"`
	local int
}

func TestArgsOfStruct(t *testing.T) {
	one := 1
	for _, c := range []struct {
		name, kw string
		want     sample
		err      string
	}{
		{name: "required only", kw: `{"a":1,"text":"x"}`, want: sample{A: 1, Text: "x", local: 0}},
		{name: "all", kw: `{"A":1,"text":"x","free":[12345678901234567890],"maybe":1,"in":{"N":3},"big":{"k":9007199254740993}}`,
			want: sample{A: 1, Text: "x", Free: []any{json.Number("12345678901234567890")}, Maybe: &one, In: inner{3},
				Big: map[string]any{"k": json.Number("9007199254740993")}}},
		{name: "null for a pointer", kw: `{"a":1,"text":"x","maybe":null}`, want: sample{A: 1, Text: "x"}},
		{name: "missing", kw: `{"a":1}`, err: `missing argument "text", expected a, text, free, maybe, in, big`},
		{name: "missing, untagged", kw: `{"text":"x"}`, err: `missing argument "a"`},
		{name: "unknown", kw: `{"a":1,"text":"x","b":1}`, err: `unknown argument "b"`},
		{name: "skipped field", kw: `{"a":1,"text":"x","Skip":1}`, err: `unknown argument "Skip"`},
		{name: "unexported field", kw: `{"a":1,"text":"x","local":1}`, err: `unknown argument "local"`},
		{name: "a tag counts its case", kw: `{"a":1,"Text":"x"}`, err: `unknown argument "Text"`},
		{name: "wrong type", kw: `{"a":"1","text":"x"}`, err: `argument "a": expected int, got string`},
		{name: "does not fit", kw: `{"a":1.5,"text":"x"}`, err: `argument "a": expected int, got number 1.5`},
		{name: "too large", kw: `{"a":9223372036854775808,"text":"x"}`, err: `argument "a": expected int, got number 9223372036854775808`},
		{name: "wrong type inside", kw: `{"a":1,"text":"x","in":{"N":"y"}}`, err: `argument "in": expected int, got string in "N"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got sample
			err := decodeArgs(t, c.kw, &got)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

// TestMisfits: null and json.Number, of which encoding/json is not strict, at
// any depth.
func TestMisfits(t *testing.T) {
	type deep struct {
		N    int `json:"n"`
		P    *int
		L    []int
		M    map[string]int
		Any  any
		Raw  json.RawMessage
		Num  json.Number
		Time time.Time
		Self *deep
		A    [2]bool
	}
	type base struct{ Promoted int }
	type all struct {
		I    int                `json:",omitempty"`
		S    string             `json:",omitempty"`
		B    bool               `json:",omitempty"`
		F    float64            `json:",omitempty"`
		P    *int               `json:",omitempty"`
		PP   **int              `json:",omitempty"`
		L    []int              `json:",omitempty"`
		M    map[string]string  `json:",omitempty"`
		Any  any                `json:",omitempty"`
		Raw  json.RawMessage    `json:",omitempty"`
		Time time.Time          `json:",omitempty"`
		UUID uuid.UUID          `json:",omitempty"`
		D    deep               `json:",omitempty"`
		PD   *deep              `json:",omitempty"`
		LD   []deep             `json:",omitempty"`
		MD   map[string][]*deep `json:",omitempty"`
		Num  json.Number        `json:",omitempty"`
		Nums []json.Number      `json:",omitempty"`
		E    struct{ base }     `json:",omitempty"`
		T    struct {
			base `json:"base"`
		} `json:",omitempty"`
	}
	for _, c := range []struct{ kw, err string }{
		{kw: `{"p":null,"pp":null,"l":null,"m":null,"any":null,"raw":null,"time":null,"pd":null,"ld":null,"md":null,"nums":null}`},
		{kw: `{"any":{"n":[null]},"raw":[null],"d":{"P":null,"L":null,"M":null,"Any":null,"Raw":null,"Time":null,"Self":null,"unknown":null}}`},
		{kw: `{"num":1,"nums":[1,2.5e3],"d":{"num":-1,"l":[ 1 , 2 ],"A":[true,false]},"s":"null","l":[],"ld":[],"m":{"a":"null"}}`},
		{kw: `{"any":"1","uuid":"00000000-0000-0000-0000-000000000000","md":{"x":[null,{"n":1}]}}`},
		{kw: `{"i":null}`, err: `argument "i": expected int, got null`},
		{kw: `{"s":null}`, err: `argument "s": expected string, got null`},
		{kw: `{"b":null}`, err: `argument "b": expected bool, got null`},
		{kw: `{"f":null}`, err: `argument "f": expected float64, got null`},
		{kw: `{"uuid":null}`, err: `argument "uuid": expected uuid.UUID, got null`},
		{kw: `{"d":null}`, err: `argument "d": expected wire.deep, got null`},
		{kw: `{"l":[1,null]}`, err: `argument "l": expected int, got null`},
		{kw: `{"m":{"a":null}}`, err: `argument "m": expected string, got null in "a"`},
		{kw: `{"d":{"n":null}}`, err: `argument "d": expected int, got null in "n"`},
		{kw: `{"pd":{"self":{"N":null}}}`, err: `argument "pd": expected int, got null in "self.N"`},
		{kw: `{"ld":[{}, {"L": [ null ]}]}`, err: `argument "ld": expected int, got null in "L"`},
		{kw: `{"ld":[null]}`, err: `argument "ld": expected wire.deep, got null`},
		{kw: `{"md":{"x":[{"A":[true,null]}]}}`, err: `argument "md": expected bool, got null in "x.A"`},
		{kw: `{"e":{"Promoted":null}}`, err: `argument "e": expected int, got null in "Promoted"`},
		{kw: `{"num":"1"}`, err: `argument "num": expected number, got string`},
		{kw: `{"num":"x"}`, err: `argument "num": expected number, got string`},
		{kw: `{"num":""}`, err: `argument "num": expected number, got string`},
		{kw: `{"num":null}`, err: `argument "num": expected number, got null`},
		{kw: `{"nums":[1,"1"]}`, err: `argument "nums": expected number, got string`},
		{kw: `{"d":{"num":"1"}}`, err: `argument "d": expected number, got string in "num"`},
		{kw: `{"l":{"a":null}}`, err: `argument "l": expected []int, got object`},
		{kw: `{"m":[null]}`, err: `argument "m": expected map[string]string, got array`},
	} {
		var got all
		if err := decodeArgs(t, c.kw, &got); c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) {
			t.Errorf("%s: got error %v, want %q", c.kw, err, c.err)
		}
	}
	for _, c := range []struct {
		kw  string
		v   any
		err string
	}{
		{`{"a":null,"b":2}`, &struct{ A, B int }{}, `argument "a": expected int, got null`},
		{`{"a":null}`, &map[string]int{}, `argument "a": expected int, got null`},
		{`{"a":"1"}`, &map[string]json.Number{}, `argument "a": expected number, got string`},
		{`{"a":{"b":null}}`, &map[string]map[string]int{}, `argument "a": expected int, got null in "b"`},
		{`{"a":null}`, &map[string]any{}, ""},
		{`{"a":null}`, &map[string]*int{}, ""},
		{`{"a":null}`, new(json.RawMessage), ""},
		{`{"a":null}`, new(any), ""},
	} {
		if err := decodeArgs(t, c.kw, c.v); c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) {
			t.Errorf("%T: %s: got error %v, want %q", c.v, c.kw, err, c.err)
		}
	}
}

func TestArgsOfOtherTypes(t *testing.T) {
	var m map[string]any
	if err := decodeArgs(t, `{"n":12345678901234567890,"l":[1]}`, &m); err != nil || fmt.Sprint(m) != "map[l:[1] n:12345678901234567890]" {
		t.Errorf("map[string]any: got %v, %v", m, err)
	}
	var ints map[string]int
	if err := decodeArgs(t, `{}`, &ints); err != nil || ints == nil {
		t.Errorf("map[string]int: got %v, %v, want an empty map", ints, err)
	}
	if err := decodeArgs(t, `{"a":1,"b":[]}`, &ints); err == nil || err.Error() != `argument "b": expected int, got array` {
		t.Errorf("map[string]int: got error %v, want one that names b", err)
	}
	var raw json.RawMessage
	if err := decodeArgs(t, `{"a":  1}`, &raw); err != nil || string(raw) != `{"a":  1}` {
		t.Errorf("json.RawMessage: got %s, %v", raw, err)
	}
	var v any
	if err := decodeArgs(t, `{"a":1}`, &v); err != nil || !reflect.DeepEqual(v, map[string]any{"a": json.Number("1")}) {
		t.Errorf("any: got %v, %v", v, err)
	}
	var none struct{}
	if err := decodeArgs(t, `{"a":1}`, &none); err == nil || !strings.Contains(err.Error(), "expected no arguments") {
		t.Errorf("struct{}: got error %v", err)
	}
}

func decodeArgs(t *testing.T, kw string, v any) error {
	t.Helper()
	decode, err := NewArgsDecoder(reflect.TypeOf(v).Elem())
	if err != nil {
		t.Fatal(err)
	}
	return decode([]byte(kw), v)
}

func TestArgsTypesRefused(t *testing.T) {
	for _, c := range []struct {
		t    reflect.Type
		want string
	}{
		{reflect.TypeFor[int](), "got int"},
		{reflect.TypeFor[[]string](), "got []string"},
		{reflect.TypeFor[*sample](), "got *wire.sample"},
		{reflect.TypeFor[map[int]string](), "got map[int]string"},
		{reflect.TypeFor[fmt.Stringer](), "got fmt.Stringer"},
		{reflect.TypeFor[struct{ sample }](), "embedded"},
		{reflect.TypeFor[struct {
			A int `json:",string"`
		}](), `"string" is not supported`},
	} {
		if _, err := NewArgsDecoder(c.t); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got error %v, want %q", c.t, err, c.want)
		}
	}
}

func TestEncodeArgs(t *testing.T) {
	var noMap map[string]int
	var noStruct *sample
	for _, c := range []struct {
		args      any
		want, err string
	}{
		{args: nil, want: `{}`},
		{args: noMap, want: `{}`},
		{args: noStruct, want: `{}`},
		{args: map[string]any{"b": 1, "a": "x"}, want: `{"a":"x","b":1}`},
		{args: struct{ A, B int }{1, 2}, want: `{"A":1,"B":2}`},
		{args: json.RawMessage(` {"a": 1} `), want: `{"a":1}`},
		{args: map[string]any{"x": "<&>"}, want: `{"x":"<&>"}`},
		{args: map[string]any{"x": json.RawMessage(`"<&>"`)}, want: `{"x":"<&>"}`},
		{args: []int{1}, err: "got []int, which encodes to an array"},
		{args: "x", err: "a string"},
		{args: map[string]any{"x": math.NaN()}, err: "cannot be encoded"},
		{args: map[string]any{"x": func() {}}, err: "cannot be encoded"},
		{args: map[string]any{"x": json.RawMessage("\"\xff\"")}, err: "arguments cannot be encoded: expected JSON in UTF-8"},
		{args: map[string]any{"x": nested(maxDepth - 2)}, want: `{"x":` + string(nested(maxDepth-2)) + `}`},
		{args: map[string]any{"x": nested(maxDepth - 1)}, err: "nested no deeper than 9999"},
	} {
		got, err := NewEncoder().Args(c.args)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v: got error %v, want %q", c.args, err, c.err)
			}
		} else if err != nil || string(got) != c.want {
			t.Errorf("%v: got %s, %v, want %s", c.args, got, err, c.want)
		}
	}
}

// nested is so many arrays, each but the innermost with the next in it.
func nested(depth int) json.RawMessage {
	return json.RawMessage(strings.Repeat("[", depth) + strings.Repeat("]", depth))
}

// What can be encoded can be read on the other side.
func TestDeepest(t *testing.T) {
	deepest := nested(maxDepth - 1)
	res, err := NewEncoder().Result(deepest)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := DecodeResult((&Result{Value: res}).Append(nil)); err != nil || len(r.Value) != len(deepest) {
		t.Errorf("got %d bytes, %v, want %d", len(r.Value), err, len(deepest))
	}
	if _, err := NewEncoder().Result(nested(maxDepth)); err == nil {
		t.Error("one more level: got no error")
	}
}

func TestEncodeResult(t *testing.T) {
	for _, v := range []any{"<&>\n", json.RawMessage(`"<&>\n"`), testing.Short} {
		got, err := NewEncoder().Result(v)
		if reflect.TypeOf(v).Kind() == reflect.Func {
			if err == nil {
				t.Errorf("a function: got %s, want an error", got)
			}
		} else if err != nil || string(got) != `"<&>\n"` {
			t.Errorf("%v: got %s, %v", v, got, err)
		}
	}
	if got := string(AppendText(nil, "<&>")); got != `"<&>"` {
		t.Errorf("AppendText: got %s", got)
	}
}

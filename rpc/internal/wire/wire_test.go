package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestKeys(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{CallsKey("redis_rpc", "add"), "redis_rpc:add:calls"},
		{ResultKey("redis_rpc", "add", "x"), "redis_rpc:add:result:x"},
		{AliveKey("redis_rpc", "worker", "7"), "redis_rpc:worker:7:alive"},
		{WakeKey("redis_rpc", "worker", "7"), "redis_rpc:worker:7:wake"},
	} {
		if c.got != c.want {
			t.Errorf("got key %q, want %q", c.got, c.want)
		}
	}
}

// TestVectors replays real messages of the ports, and our own.
func TestVectors(t *testing.T) {
	type calls struct{ id, kw string }
	wantCalls := map[string]calls{
		"python call":                             {"0ceb709e-82a1-44bc-8cbf-325831968348", `{"a": 1, "b": 2}`},
		"python call, null argument":              {"4fba20a0-ecb7-482d-85e0-995dd8761fd8", `{"x": null}`},
		"python call, text outside ASCII":         {"8d399903-59ac-4e7e-9f58-579a6ab07d8b", `{"x": "za\u017c\u00f3\u0142\u0107 <>& \u2028 \"q\""}`},
		"python call, integer past 2^53 and 2^63": {"e09a5069-6007-41dc-8fc4-9335629e2fd2", `{"x": [1.5, 9223372036854775808, {"k": true}]}`},
		"python call, no arguments":               {"943ade5c-313c-41cb-9807-b009e6a21a20", `{}`},
		"go port call":                            {"6ba7b810-9dad-41d1-80b4-00c04fd430c8", `{"k":"k1"}`},
		"go port call, nil arguments":             {"6ba7b811-9dad-41d1-80b4-00c04fd430c8", `{}`},
		"call, no kw":                             {"x", `{}`},
		"call with all additions":                 {"6f5bbd5e-5e4b-4a7c-8d5c-0f4b35a4e7c0", `{"a":1}`},
	}
	wantDropped := map[string]string{
		"call, numeric id":          `expected a text "id", got a number`,
		"malformed call, not JSON":  `expected JSON: invalid character`,
		"malformed call, no object": `expected a JSON object, got an array`,
		"malformed call, no id":     `expected a text "id", got none`,
	}
	wantResults := map[string]string{
		"python result":                     `3`,
		"python result, null":               `null`,
		"go port result":                    `"the-result"`,
		"result without res: success, null": `null`,
		"error, null: success":              `1`,
		"result with all additions":         `{"b":1}`,
	}
	wantFailures := map[string]Failure{
		"python error with traceback": {
			Message:   "KeyError: 'unknown-key'",
			Traceback: "  File \"server.py\", line 12, in boom\n    def boom(): raise KeyError('unknown-key')\nKeyError: 'unknown-key'\n",
		},
		"go port error":              {Message: "test error"},
		"error, empty text: failure": {},
		"error with all additions":   {Message: "no", Type: "not_found", Traceback: "at"},
	}

	file, err := os.Open("testdata/vectors.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	replayed := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var v struct{ Name, Kind, Queue, Message string }
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		replayed++
		switch v.Kind {
		case "call":
			c, err := DecodeCall([]byte(v.Message))
			if want, ok := wantDropped[v.Name]; ok {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got error %v, want %q", v.Name, err, want)
				}
				continue
			}
			if got, want := (calls{c.ID(), string(c.KW)}), wantCalls[v.Name]; err != nil || c.Fault != nil || got != want {
				t.Errorf("%s: got %q, %v, %v, want %q", v.Name, got, c.Fault, err, want)
			}
			prefix, fn, _ := strings.Cut(strings.TrimSuffix(v.Queue, ":calls"), ":")
			if got := CallsKey(prefix, fn); got != v.Queue {
				t.Errorf("%s: got key %q, want %q", v.Name, got, v.Queue)
			}
		case "result":
			r, err := DecodeResult([]byte(v.Message))
			if err != nil {
				t.Errorf("%s: %v", v.Name, err)
				continue
			}
			if want, ok := wantFailures[v.Name]; ok {
				if r.Failure == nil || *r.Failure != want {
					t.Errorf("%s: got failure %+v, want %+v", v.Name, r.Failure, want)
				}
				continue
			}
			if want := wantResults[v.Name]; r.Failure != nil || string(r.Value) != want {
				t.Errorf("%s: got %s, %v, want %s", v.Name, r.Value, r.Failure, want)
			}
		default:
			t.Errorf("%s: unknown kind %q", v.Name, v.Kind)
		}
	}
	if want := len(wantCalls) + len(wantDropped) + len(wantResults) + len(wantFailures); replayed != want {
		t.Errorf("replayed %d vectors, want %d", replayed, want)
	}
}

func TestDecodeCall(t *testing.T) {
	for _, c := range []struct {
		name, message string
		id, kw        string
		fault         string // part of what the call is answered with
		err           string // part of why it is dropped
	}{
		{name: "fields in another case are other fields",
			message: `{"ID":"X","id":"x","KW":{"a":2},"kw":{"a":1},"Kw":3}`, id: "x", kw: `{"a":1}`},
		{name: "only in another case", message: `{"ID":"x","kw":{}}`, err: `expected a text "id", got none`},
		{name: "the last of repeated fields", message: `{"id":"a","kw":{"a":1},"id":"b","kw":{"a":2}}`, id: "b", kw: `{"a":2}`},
		{name: "an escaped name", message: `{"\u0069d":"x","kw":{}}`, id: "x", kw: `{}`},
		{name: "an escaped id", message: `{"id":"a\u002Db\n\"","kw":{}}`, id: "a-b\n\"", kw: `{}`},
		{name: "an empty id is a text", message: `{"id":""}`, id: "", kw: `{}`},
		{name: "space everywhere", message: " \t\r\n{ \"kw\" :\n{ \"a\" : [ 1 , 2 ] } , \"id\" : \"x\" } \n", id: "x", kw: `{ "a" : [ 1 , 2 ] }`},
		{name: "brackets in text", message: `{"kw":{"a":"}]{[\\\""},"id":"x"}`, id: "x", kw: `{"a":"}]{[\\\""}`},
		{name: "unknown fields", message: `{"timeout_ms":1,"id":"x","deep":{"id":"y"},"f":-1.5e+3,"t":true,"n":null}`, id: "x", kw: `{}`},
		{name: "rubbish for a time", message: `{"ts":{},"id":"x"}`, id: "x", kw: `{}`},
		{name: "kw array", message: `{"id":"x","kw":[1]}`, id: "x", fault: `JSON object, got an array`},
		{name: "kw text", message: `{"id":"x","kw":"{}"}`, id: "x", fault: `JSON object, got a string`},
		{name: "kw false", message: `{"id":"x","kw":false}`, id: "x", fault: `JSON object, got a boolean`},
		{name: "null id", message: `{"id":null}`, err: `got null`},
		{name: "object id", message: `{"id":{}}`, err: `got an object`},
		{name: "NaN", message: `{"id":"x","kw":{"a":NaN}}`, id: "x", kw: `{"a":` + nonFinite + `}`, fault: `argument "a": expected JSON, got NaN`},
		{name: "Infinity", message: `{"id":"NaN","kw":{"a":"NaN","b":[-Infinity]}}`, id: "NaN", kw: `{"a":"NaN","b":[` + nonFinite + `]}`, fault: `argument "b": expected JSON, got -Infinity`},
		{name: "NaN outside of the arguments", message: `{"id":"x","t":NaN,"kw":{}}`, id: "x", kw: `{}`, fault: `expected JSON, got NaN`},
		{name: "NaN for an id", message: `{"id":NaN,"kw":{}}`, err: `expected JSON`},
		{name: "NaN and worse", message: `{"id":"x","kw":{"a":NaN}`, err: `expected JSON`},
		{name: "trailing text", message: `{"id":"x"} {"id":"y"}`, err: `after top-level value`},
		{name: "cut off", message: `{"id":"x","kw":{`, err: `unexpected end`},
		{name: "nothing", message: ``, err: `unexpected end`},
		{name: "null", message: `null`, err: `got null`},
		{name: "text", message: ` "id"`, err: `got a string`},
		{name: "not UTF-8", message: "{\"id\":\"x\xff\"}", err: `not UTF-8`},
		{name: "byte order mark", message: "\ufeff{\"id\":\"x\"}", err: `expected JSON`},
		{name: "too deep", message: `{"id":"x","kw":` + strings.Repeat(`{"a":`, 20000) + `1` + strings.Repeat(`}`, 20000) + `}`, err: `max depth`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := DecodeCall([]byte(c.message))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %q, error %v, want error %q", got.ID(), err, c.err)
				}
				return
			}
			if err != nil || got.ID() != c.id || string(got.KW) != c.kw {
				t.Errorf("got id %q, kw %s, error %v, want %q, %s", got.ID(), got.KW, err, c.id, c.kw)
			}
			if (got.Fault != nil) != (c.fault != "") || got.Fault != nil && !strings.Contains(got.Fault.Error(), c.fault) {
				t.Errorf("got fault %v, want %q", got.Fault, c.fault)
			}
		})
	}
}

func TestDecodeResult(t *testing.T) {
	failed := func(message, traceback string) *Failure {
		return &Failure{Message: message, Traceback: traceback}
	}
	for _, c := range []struct {
		name, message string
		res           string
		failure       *Failure
		err           string
	}{
		{name: "nothing but an object", message: `{}`, res: `null`},
		{name: "null for err", message: `{"res":[1],"err":null}`, res: `[1]`},
		{name: "both", message: `{"res":1,"err":"x"}`, failure: failed("x", "")},
		{name: "false for err", message: `{"err":false}`, failure: failed("false", "")},
		{name: "an object for err", message: `{"err":{"code": 7}}`, failure: failed(`{"code": 7}`, "")},
		{name: "null for a traceback", message: `{"err":"x","err_traceback":null}`, failure: failed("x", "")},
		{name: "in another case", message: `{"Err":"x","RES":2,"res":1}`, res: `1`},
		{name: "the last of repeated fields", message: `{"err":"x","err":null,"res":1,"res":2}`, res: `2`},
		{name: "a large integer", message: `{"res":12345678901234567890123}`, res: `12345678901234567890123`},
		{name: "NaN", message: `{"res": NaN}`, err: `expected JSON`},
		{name: "an array", message: `[]`, err: `got an array`},
		{name: "not UTF-8", message: "{\"res\":\"\xc3\"}", err: `not UTF-8`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := DecodeResult([]byte(c.message))
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got error %v, want %q", err, c.err)
				}
			case err != nil:
				t.Error(err)
			case c.failure != nil:
				if got.Failure == nil || *got.Failure != *c.failure {
					t.Errorf("got %+v, want %+v", got.Failure, c.failure)
				}
			case got.Failure != nil || string(got.Value) != c.res:
				t.Errorf("got %s, %v, want %s", got.Value, got.Failure, c.res)
			}
		})
	}
}

// TestEncode checks messages byte by byte, since other programs read them.
func TestEncode(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 51, 17, 441508999, time.FixedZone("", 3600))
	for _, c := range []struct{ got, want string }{
		{string((&Call{ID: "0ceb709e", At: at, KW: []byte(`{"a":1}`)}).Append(nil)), `{"id":"0ceb709e","ts":"2026-11-22T09:51:17.441508Z","kw":{"a":1}}`},
		{string((&Call{ID: "a", At: at, KW: []byte(`{}`), Client: []byte(`,"client":"c"`), Timeout: 300, Deadline: 1795558237999, Extra: []byte(`,"x":"y"`)}).Append(nil)),
			`{"id":"a","ts":"2026-11-22T09:51:17.441508Z","client":"c","timeout_ms":300,"deadline_ms":1795558237999,"x":"y","kw":{}}`},
		{string((&Result{At: at, Value: []byte(`1`), Extensions: true, Server: []byte(`,"server":"s"`), Queued: 1500 * time.Microsecond, Ran: 23 * time.Microsecond}).Append(nil)),
			`{"ts":"2026-11-22T09:51:17.441508Z","server":"s","queue_ms":1,"run_ms":0.023,"res":1}`},
		{string((&Result{At: at, Error: "no", ErrorType: "t", Traceback: "at", Extensions: true, Queued: -1, Ran: 2 * time.Second}).Append(nil)),
			`{"ts":"2026-11-22T09:51:17.441508Z","run_ms":2000,"err":"no","err_type":"t","err_traceback":"at"}`},
		{string((&Result{At: at}).Append(nil)), `{"ts":"2026-11-22T09:51:17.441508Z","res":null}`},
		{string((&Result{At: at, Error: `a "b"`}).Append(nil)), `{"ts":"2026-11-22T09:51:17.441508Z","err":"a \"b\""}`},
		{string((&Result{At: at, Error: "\xff", Traceback: "at\n"}).Append(nil)), `{"ts":"2026-11-22T09:51:17.441508Z","err":"\ufffd","err_traceback":"at\n"}`},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}

// TestLogExcerpt: what a log shows of a message is escaped once and harmless.
func TestLogExcerpt(t *testing.T) {
	for _, c := range []struct{ message, text, json string }{
		{"{\"id\":1}", `m="{\"id\":1}"`, `"m":"{\"id\":1}"`},
		{"\x00\x1b[2J\n", `m="\x00\x1b[2J\n"`, `"m":"\u0000\u001b[2J\n"`},
		{"\u009b2J\x7f\u202e", `m="\ufffd2J\ufffd\ufffd"`, `"m":"\ufffd2J\ufffd\ufffd"`},
		{"\xff\x9b\ufffd", `m="\xff\x9b\ufffd"`, `"m":"\ufffd\ufffd\ufffd"`},
		{"ż", `m=ż`, `"m":"ż"`},
		{strings.Repeat("x", 1000), `m="` + strings.Repeat("x", 200) + `... (1000 bytes)"`, `"m":"` + strings.Repeat("x", 200) + `... (1000 bytes)"`},
	} {
		var text, json bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("", "m", LogExcerpt([]byte(c.message)))
		slog.New(slog.NewJSONHandler(&json, nil)).Info("", "m", LogExcerpt([]byte(c.message)))
		// A handler may write U+FFFD as it is, or escaped.
		for handler, got := range map[string]string{c.text: text.String(), c.json: json.String()} {
			got = strings.ReplaceAll(got, "\ufffd", `\ufffd`)
			if !strings.Contains(got, handler) {
				t.Errorf("%q: got %s, want %s", c.message, got, handler)
			}
		}
	}
}

func TestExcerpt(t *testing.T) {
	if got, want := Excerpt([]byte("a\n\x1b\"é")), `"a\n\x1b\"\u00e9"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := Excerpt(bytes.Repeat([]byte("x"), 1000)), `"`+strings.Repeat("x", 200)+`"... (1000 bytes)`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzDecodeCall checks the decoder against encoding/json, which knows the same
// fields if they are looked up in a map.
func FuzzDecodeCall(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, message []byte) {
		got, err := DecodeCall(message)
		fields, ok := reference(message)
		var id string
		answerable := ok && json.Unmarshal(fields["id"], &id) == nil && string(fields["id"]) != "null"
		if answerable != (err == nil) {
			t.Fatalf("got error %v, want one: %v", err, !answerable)
		}
		if err != nil {
			return
		}
		if got.ID() != id {
			t.Errorf("got id %q, want %q", got.ID(), id)
		}
		var kw map[string]json.RawMessage
		if fits := fields["kw"] == nil || json.Unmarshal(fields["kw"], &kw) == nil; fits != (got.Fault == nil) {
			t.Errorf("got fault %v, want one: %v", got.Fault, !fits)
		}
		if got.Fault != nil {
			return
		}
		walked := map[string]json.RawMessage{}
		for name, value := range Members(got.KW) {
			walked[string(name)] = value
		}
		if !maps.EqualFunc(walked, kw, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
			t.Errorf("got arguments %q, want %q", walked, kw)
		}
	})
}

func FuzzDecodeResult(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, message []byte) {
		got, err := DecodeResult(message)
		fields, ok := reference(message)
		if ok != (err == nil) {
			t.Fatalf("got error %v, want one: %v", err, !ok)
		}
		if err != nil {
			return
		}
		if want := fields["err"] != nil && string(fields["err"]) != "null"; want != (got.Failure != nil) {
			t.Errorf("got failure %v, want one: %v", got.Failure, want)
		}
		want := fields["res"]
		if want == nil {
			want = json.RawMessage("null")
		}
		if !bytes.Equal(got.Value, want) {
			t.Errorf("got %s, want %s", got.Value, want)
		}
		var v any
		if err := DecodeValue(got.Value, &v); err != nil {
			t.Errorf("%s does not decode: %v", got.Value, err)
		}
		var array []json.RawMessage
		if KindOf(got.Value) == "array" && json.Unmarshal(got.Value, &array) == nil {
			var walked []json.RawMessage
			for value := range elements(got.Value) {
				walked = append(walked, value)
			}
			if !slices.EqualFunc(walked, array, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
				t.Errorf("got elements %q, want %q", walked, array)
			}
		}
		type tree struct {
			N    int
			L    []tree
			M    map[string]*tree
			Nums []json.Number
		}
		_ = newShape(reflect.TypeFor[tree](), map[reflect.Type]*shape{}).check(got.Value) // does not panic
	})
}

// reference decodes an object in UTF-8 the slow way.
func reference(message []byte) (fields map[string]json.RawMessage, ok bool) {
	if !json.Valid(message) || strings.ToValidUTF8(string(message), "") != string(message) {
		return nil, false
	}
	err := json.Unmarshal(message, &fields)
	return fields, err == nil && fields != nil
}

func seed(f *testing.F) {
	vectors, err := os.ReadFile("testdata/vectors.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(vectors) {
		var v struct{ Message string }
		if err := json.Unmarshal(line, &v); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(v.Message))
	}
	f.Add([]byte(`{"\u0069d":"\ud800","kw":{"a":{},"a":[[]],"":-0.1e5,"x":"\\"}}`))
	f.Add([]byte(`{"res":[ 1 ,"]",[null],{"n":null} ]}`))
	f.Add([]byte(`{"res":{"m":{"a":{"l":[{"nums":[1,"1"]},null]}}}}`))
}

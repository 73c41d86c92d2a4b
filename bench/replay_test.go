package bench

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReadRecording(t *testing.T) {
	rec, err := ReadRecording(strings.NewReader(`{"offset_ms": 12.5, "func": "add", "args": {"a": 1}}

{"offset_ms":0,"func":"echo"}
  {"func":"late","offset_ms":1e3}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := first(rec, 1, 9); !slices.Equal(got, []time.Duration{0, 12500 * time.Microsecond, time.Second}) {
		t.Errorf("offsets %v", got)
	}
	if string(rec[1].Raw) != `{"offset_ms": 12.5, "func": "add", "args": {"a": 1}}` || string(rec[2].Raw) != `{"func":"late","offset_ms":1e3}` {
		t.Errorf("raw: %s, %s", rec[1].Raw, rec[2].Raw)
	}
	if rec.String() != "replay of 3 calls in 1s" {
		t.Error(rec.String())
	}
	const fine = `{"offset_ms":1}` + "\n"
	for text, want := range map[string]string{
		"":                                "expected at least one line, got none",
		"\n\n":                            "expected at least one line",
		fine + `{"offset":1}`:             "line 2: offset_ms: expected a number, got none",
		fine + fine + `{"offset_ms":"1"}`: `line 3: offset_ms: expected a number of 0 or more, got "1"`,
		`{"offset_ms":null}`:              "line 1: offset_ms: expected a number, got none",
		`{"offset_ms":-1}`:                "line 1: offset_ms: expected a number of 0 or more, got -1",
		`{"offset_ms":1e300}`:             "line 1: offset_ms: expected at most 2400h0m0s, got 1e300",
		`{"offset_ms":1`:                  "line 1: expected an object",
		`[1]`:                             "line 1: expected an object",
		fine + `1 2`:                      "line 2: expected an object",
	} {
		if rec, err := ReadRecording(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %v, %v; expected %q", text, rec, err, want)
		}
	}
}

func FuzzReadRecording(f *testing.F) {
	f.Add("{\"offset_ms\": 12.5, \"func\": \"add\"}\n{\"offset_ms\":0}")
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := ReadRecording(strings.NewReader(text))
		if err != nil {
			return
		}
		if err := rec.check(); err != nil || rec[0].Offset < 0 {
			t.Fatalf("%q is %v: %v", text, rec, err)
		}
	})
}

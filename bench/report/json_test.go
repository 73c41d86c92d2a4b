package report

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"redrpc/bench"
	"redrpc/bench/capacity"
)

func asJSON(t testing.TB, r Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteJSON(t *testing.T) {
	for _, calls := range []int{0, 100} {
		text := asJSON(t, closed(calls))
		var got struct {
			Settings     map[string]any
			Calls        *int64
			Errors       *int64
			ErrorsByKind map[string]int64 `json:"errors_by_kind"`
			DurationS    *float64         `json:"duration_s"`
			Throughput   *float64         `json:"throughput_per_s"`
			Latency      map[string]any   `json:"latency_us"`
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		if got.Calls == nil || got.Errors == nil || got.DurationS == nil || got.Throughput == nil ||
			*got.Calls != int64(calls) || *got.Errors != 1 || got.ErrorsByKind["timeout"] != 1 || *got.DurationS != 2 {
			t.Errorf("got %s", text)
		}
		if !strings.Contains(text, "no <result>") || !strings.Contains(text, `"x": "<&>"`) {
			t.Errorf("expected <, > and & as they are, got %s", text)
		}
		if got.Settings["payload_bytes"] != 100.0 || !strings.HasPrefix(text, "{\n  \"settings\": {\n    \"transport\": \"memory\",\n    \"redis_version\"") {
			t.Errorf("settings: got %s", text)
		}
		for _, key := range []string{"p50", "p90", "p95", "p99", "p999", "max", "min", "mean"} {
			us, ok := got.Latency[key]
			known := calls > 0 && key != "p99" && key != "p999"
			if !ok || (us != nil) != known {
				t.Errorf("%d calls: %s is there: %v, known: %v, expected it there and known: %v", calls, key, ok, us != nil, known)
			}
		}
	}
}

// What is written, read and written again is the same.
func TestReadGivesBackWhatWasWritten(t *testing.T) {
	for name, r := range map[string]Report{"open": sample(), "closed": closed(400), "empty": closed(0), "real": real(t)} {
		t.Run(name, func(t *testing.T) {
			want := asJSON(t, r)
			read, err := Read(strings.NewReader(want))
			if err != nil {
				t.Fatal(err)
			}
			if got := asJSON(t, read); got != want {
				t.Errorf("got %s\nexpected %s", got, want)
			}
			if got, want := text(t, read), text(t, r); got != want {
				t.Errorf("got %s\nexpected %s", got, want)
			}
		})
	}
}

// real is a report of a real run.
func real(t testing.TB) Report {
	t.Helper()
	calls := 0
	res, err := bench.Run(t.Context(), bench.Config{
		Call: func(context.Context) error {
			if calls++; calls%10 == 0 {
				return errors.New("every tenth fails")
			}
			return nil
		},
		Calls: 5000, Warmup: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	res.Schema = bench.Schema
	return Report{Settings: Settings{{"function", "nothing"}}, Environment: Capture([]string{"bench"}), Result: res}
}

// compiled is the published schema. A strict one refuses names that it does not know.
func compiled(t *testing.T, strict bool) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(JSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	if strict {
		closeObjects(doc)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("report.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeObjects(node any) {
	switch n := node.(type) {
	case map[string]any:
		if properties, ok := n["properties"].(map[string]any); ok && n["type"] != nil {
			if _, open := n["additionalProperties"]; !open {
				n["additionalProperties"] = false
			}
			for _, p := range properties {
				closeObjects(p)
			}
		}
		for key, child := range n {
			if key != "properties" {
				closeObjects(child)
			}
		}
	case []any:
		for _, child := range n {
			closeObjects(child)
		}
	}
}

// Every report is as the schema says, and the schema names all that is in one.
func TestReportsAreAsTheSchemaSays(t *testing.T) {
	s := compiled(t, true)
	for name, r := range map[string]Report{"open": sample(), "closed": closed(400), "empty": closed(0), "real": real(t)} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(asJSON(t, r)))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	open := compiled(t, false)
	for _, c := range []struct{ key, value, why string }{
		{"calls", "-1", "minimum"}, {"latency_us", "{}", "missing properties"}, {"schema", "1", "value must be"},
		{"verdict", `{"state":"fine","reasons":[],"checks":[]}`, "must be one of"},
	} {
		var doc map[string]json.RawMessage
		if err := json.Unmarshal([]byte(asJSON(t, sample())), &doc); err != nil {
			t.Fatal(err)
		}
		doc[c.key] = json.RawMessage(c.value)
		wrong, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(wrong))
		if err != nil {
			t.Fatal(err)
		}
		if err := open.Validate(instance); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s %s: got %v, expected %q", c.key, c.value, err, c.why)
		}
	}
	var empty struct {
		Version string `json:"$id"`
	}
	if err := json.Unmarshal([]byte(JSONSchema()), &empty); err != nil || empty.Version != "urn:redrpc:bench-report:2" || bench.Schema != 2 {
		t.Errorf("$id is %q, the version %d", empty.Version, bench.Schema)
	}
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "expected a report of redrpc bench as JSON: unexpected end of JSON input",
		"nonsense":                          "expected a report of redrpc bench as JSON: invalid character",
		"[]":                                "expected a report of redrpc bench as JSON",
		"null":                              `got an object without "schema"`,
		"{}":                                `got an object without "schema"`,
		`{"schema":0}`:                      "expected schema 1 to 2, got 0",
		`{"schema":3}`:                      "expected schema 2 or older, got 3: a newer version of redrpc wrote it",
		`{"schema":1,"verdict":[{"is":1}]}`: "verdict: expected",
		`{"schema":1,"run":7}`:              "expected an object of settings, got 7",
		`{"schema":1}{"schema":1}`:          "invalid character",
		`{"schema":2,"calls":"many"}`:       "calls: expected int64, got a string",
		`{"schema":2,"calls":-5}`:           "calls: expected 0 or more, got -5",
		`{"schema":2,"settings":[1]}`:       "expected an object of settings",
		`{"schema":2,"duration_s":1e999}`:   "duration_s",
		`{"schema":2,"verdict":{"state":"good\u001b"}}`:                              `verdict.state: expected valid, invalid or diverging, got "good\x1b"`,
		`{"schema":2,"samples":{"response":{"count":1}}}`:                            "expected a histogram of count-unrecorded samples",
		`{"schema":2,"intervals":[{"start_s":0,"end_s":2},{"start_s":1,"end_s":3}]}`: "intervals: expected each to begin where the last one ended",
		strings.Repeat(`{"schema":`, 20_000) + "1" + strings.Repeat("}", 20_000):     "exceeded max depth",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "report: ") {
			t.Errorf("%.80s: got %v, expected %q", text, err, want)
		}
	}
	if _, err := Read(io.MultiReader(strings.NewReader(`{"schema":1`), &failing{})); !errors.Is(err, errBroken) {
		t.Errorf("got %v, expected what the reader said", err)
	}
}

var errBroken = errors.New("broken")

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errBroken }

// Whatever a report says, it is refused, or every form of it can be written.
func FuzzRead(f *testing.F) {
	for _, r := range []Report{closed(0), closed(50)} {
		f.Add([]byte(asJSON(f, r)))
	}
	f.Add([]byte(`{"schema":2,"open_loop":true,"calls":1,"verdict":{"state":"invalid","checks":[{}]},"phases":[{}],"resources":[{"utilization":9}],"intervals":[{},{"end_s":1},{},{},{},{}],"timed_out":{},"environment":{"more":{"a":[1]}}}`))
	f.Add([]byte(`{"schema":1,"run":{"one_process":1},"missed":1,"verdict":{"checks":[{"is":"ok","name":"missed"}]},"intervals":[{"response":null}],"samples":{"phases":{"a":{"beyond":0}}},"search":{"probes":[{"length_ns":"x"}],"best":{}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		for name, write := range forms(r) {
			if err := write(io.Discard); err != nil && !errors.Is(err, ErrNoFigures) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Every report of several runs says the same when it was read back.
func TestReadAny(t *testing.T) {
	for name, w := range map[string]Document{"sweep": sweepSample(t, true), "rates": sweepSample(t, false), "search": searchSample(),
		"comparison": comparisonSample(), "plan": planSample(), "run": objective(sample())} {
		read, err := ReadAny(strings.NewReader(written(t, w.WriteJSON)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for form, write := range map[string][2]func(io.Writer) error{"text": {w.WriteText, read.WriteText}, "JSON": {w.WriteJSON, read.WriteJSON}, "HTML": {w.WriteHTML, read.WriteHTML}} {
			if was, is := written(t, write[0]), written(t, write[1]); was != is {
				for n, line := range strings.Split(was, "\n") {
					if lines := strings.Split(is, "\n"); n >= len(lines) || lines[n] != line {
						t.Errorf("%s, %s, line %d: got %.300q, expected %.300q", name, form, n+1, lines[min(n, len(lines)-1)], line)
						break
					}
				}
			}
		}
		_, err = Read(strings.NewReader(written(t, w.WriteJSON)))
		if want := "report: expected the report of a run, got that of a "; (err == nil) != (name == "run") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s read as a run: %v", name, err)
		}
	}
}

// objective adds an SLO that was missed.
func objective(r Report) Report {
	slo, err := capacity.ParseSLO("p99=20ms,errors=1%")
	if err != nil {
		panic(err)
	}
	o := slo.Judge(r.Result)
	r.Objective = &o
	return r
}

// Whether an SLO was met is in every form.
func TestObjectiveIsInEveryForm(t *testing.T) {
	for name, write := range forms(objective(sample())) {
		text := written(t, write)
		if want := map[string]string{"text": "SLO MISSED     p99=20ms,errors=1%\n", "json": `"outcome": "missed"`, "html": "<strong>SLO MISSED</strong> p99=20ms,errors=1%",
			"csv": ",missed\n", "gobench": "\nslo: p99=20ms,errors=1% missed\n"}[name]; !strings.Contains(text, cmp.Or(want, "[SLO MISSED: p99=20ms,errors=1%: p99 ")) {
			t.Errorf("%s: expected %q in %.300s", name, want, text)
		}
	}
}

// What has power over a terminal is escaped in JSON, too.
func TestJSONHasNoControls(t *testing.T) {
	r := sample()
	r.ErrorSamples["timeout"] = "\u009b2J\u202e"
	text := asJSON(t, r)
	if strings.ContainsAny(text, "\u009b\u202e") || !strings.Contains(text, `"\u009b2J\u202e"`) {
		t.Error("control characters are in the JSON")
	}
}

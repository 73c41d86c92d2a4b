package report

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/perf/benchfmt"

	"redrpc/bench"
)

// forms are all that a report can be written as.
func forms(r Report) map[string]func(io.Writer) error {
	return map[string]func(io.Writer) error{
		"text":    r.WriteText,
		"html":    r.WriteHTML,
		"json":    r.WriteJSON,
		"csv":     r.WriteCSV,
		"hlog":    r.WriteHLog,
		"hgrm":    func(w io.Writer) error { return r.WriteHGRM(w, "response") },
		"gobench": func(w io.Writer) error { return r.WriteGoBench(w, "echo") },
	}
}

func written(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b strings.Builder
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteCSV(t *testing.T) {
	r := sample()
	r.Intervals[19].Draining = true
	r.Intervals[3].Gauges = nil
	rows, err := csv.NewReader(strings.NewReader(written(t, r.WriteCSV))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1+len(r.Intervals) {
		t.Fatalf("%d rows", len(rows))
	}
	at := func(row int, column string) string {
		i := slices.Index(rows[0], column)
		if i < 0 {
			t.Fatalf("no column %s in %q", column, rows[0])
		}
		return rows[row][i]
	}
	for _, c := range []struct {
		row          int
		column, want string
	}{
		{1, "start_s", "0"}, {1, "end_s", "1"}, {1, "period", "warmup"}, {3, "period", "measured"}, {20, "period", "drain"},
		{11, "calls", whole(r.Intervals[10].Calls)}, {11, "errors_timeout", "3"}, {11, "errors_remote_error", "0"},
		{11, "gauge_queue_depth", "300"}, {4, "gauge_queue_depth", ""},
		{11, "response_p99_us", number(*r.Intervals[10].Latency.P99)}, {11, "service_max_us", number(*r.Intervals[10].Service.Max)},
		{11, "response_p999_us", ""}, // too few
	} {
		if got := at(c.row, c.column); got != c.want {
			t.Errorf("row %d, %s: got %q, expected %q", c.row, c.column, got, c.want)
		}
	}
}

// What the log holds is what the intervals hold.
func TestWriteHLog(t *testing.T) {
	r := sample()
	text := written(t, r.WriteHLog)
	log := hdrhistogram.NewHistogramLogReader(strings.NewReader(text))
	totals := map[string]int64{}
	for n := 0; ; n++ {
		h, err := log.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			if n != 40 {
				t.Errorf("%d lines, expected 40", n)
			}
			break
		}
		i := r.Intervals[n/2]
		if want := r.StartedAt.Add(time.Duration(i.StartS * float64(time.Second))).UnixMilli(); h.StartTimeMs() != want || h.EndTimeMs() != want+1000 {
			t.Errorf("line %d is from %d to %d, expected from %d on for 1 s", n, h.StartTimeMs(), h.EndTimeMs(), want)
		}
		s := []*bench.Samples{i.ResponseSamples, i.ServiceSamples}[n%2]
		if !h.Equals(s.Histogram()) {
			t.Errorf("line %d is another histogram", n)
		}
		totals[h.Tag()] += h.TotalCount()
	}
	warm := r.Intervals[0].Calls + r.Intervals[1].Calls
	if totals["response"] != r.Calls || totals["service"] != r.Calls || totals["warmup-response"] != warm || totals["warmup-service"] != warm {
		t.Errorf("got %v, expected %d and %d", totals, r.Calls, warm)
	}
	r.Verdict = bench.Verdict{State: bench.Invalid, Reasons: []string{"late\nTag=response,1"}}
	if text := written(t, r.WriteHLog); !strings.Contains(text, "\n#[INVALID]\n#[INVALID: \"late\\nTag=response,1\"]\n") {
		t.Errorf("got %.400s", text)
	}
}

func TestWriteHGRM(t *testing.T) {
	r := sample()
	text := written(t, func(w io.Writer) error { return r.WriteHGRM(w, "queue") })
	if !strings.Contains(text, "Value\tPercentile\tTotalCount\t1/(1-Percentile)") || !strings.Contains(text, "#[Max     =      801.112") {
		t.Errorf("got %s", text)
	}
	var b bytes.Buffer
	if err := r.WriteHGRM(&b, "nobody"); !errors.Is(err, ErrNoFigures) || !strings.Contains(err.Error(), "expected one of lag, push, queue, response, run, service, wake") {
		t.Errorf("got %v", err)
	}
	r.Verdict.State = bench.Diverging
	if err := r.WriteHGRM(&b, "response"); !errors.Is(err, ErrNoFigures) || b.Len() > 0 {
		t.Errorf("got %v and %s", err, b.String())
	}
}

// benchstat's own reader takes it.
func TestWriteGoBench(t *testing.T) {
	r := sample()
	text := written(t, func(w io.Writer) error { return r.WriteGoBench(w, "a call/x") })
	read := benchfmt.NewReader(strings.NewReader(text), "test")
	var got *benchfmt.Result
	for read.Scan() {
		switch rec := read.Result().(type) {
		case *benchfmt.Result:
			if got != nil {
				t.Errorf("a second result in %s", text)
			}
			got = rec.Clone()
		case *benchfmt.SyntaxError:
			t.Error(rec)
		}
	}
	if err := read.Err(); err != nil || got == nil {
		t.Fatalf("%v, %v in %s", got, err, text)
	}
	if name := got.Name.String(); name != "Redrpc/a_call_x/rate=500-2" {
		t.Errorf("name %s", name)
	}
	if got.GetConfig("goos") != "linux" || got.GetConfig("cpu") != "Example CPU @ 2.60GHz" || got.Iters != int(r.Calls) {
		t.Errorf("got %+v", got)
	}
	want := map[string]float64{"sec/op": *r.Latency.Mean / 1e6, "p99-sec": *r.Latency.P99 / 1e6, "service-p50-sec": *r.Service.P50 / 1e6,
		"lag-p999-sec": *r.Lag.P999 / 1e6, "calls/s": r.Throughput}
	for unit, v := range want {
		// benchfmt writes nanoseconds as seconds.
		if is, ok := got.Value(unit); !ok || math.Abs(is-v) > 1e-9*v {
			t.Errorf("%s is %v (%v), expected %v: %+v", unit, is, ok, v, got.Values)
		}
	}
	if units := read.Units(); units.GetBetter("calls/s") != 1 || units.GetBetter("p99-sec") != -1 {
		t.Errorf("units %v", units)
	}
	r.Verdict.State = bench.Invalid
	if err := r.WriteGoBench(io.Discard, "echo"); !errors.Is(err, ErrNoFigures) {
		t.Errorf("got %v", err)
	}
}

func TestFormsOfARunWithoutACall(t *testing.T) {
	for name, write := range forms(closed(0)) {
		var b bytes.Buffer
		err := write(&b)
		if ok := name == "text" || name == "json" || name == "html"; ok != (err == nil) || !ok && (!errors.Is(err, ErrNoFigures) || b.Len() > 0) {
			t.Errorf("%s: got %v and %s", name, err, b.String())
		}
	}
}

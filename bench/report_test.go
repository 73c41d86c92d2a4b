package bench

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func sampleReport(calls int) Report {
	tally := newTally()
	for i := range calls {
		tally.success(time.Duration(i+1) * 10 * time.Microsecond)
	}
	tally.failure("timeout", errors.New("no <result>\x1b[2J within 1s"))
	tally.warmupCalls = 1234
	tally.completed = int64(calls) * 20
	r := &run{cfg: Config{Model: ClosedLoop{}, Callers: 1000, Warmup: time.Second, Duration: 2 * time.Second}, total: tally}
	return Report{
		Settings: []Setting{{"transport", "memory"}, {"redis_version", "7.0.15"}, {"payload_bytes", 100}, {"args", json.RawMessage(`"<&>"`)}},
		Result:   r.result(3*time.Second, false),
	}
}

func TestWriteText(t *testing.T) {
	var b strings.Builder
	if err := sampleReport(400).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `load model     closed loop, 1,000 callers
transport      memory
redis version  7.0.15
payload bytes  100
args           "<&>"

warm-up        1.000 s, 1,234 calls and 0 errors left out
measured       2.000 s
calls          400
throughput     4,000 calls/s, from the 8,000 answered within the measured time
               give or take 500: for a better figure measure for longer, calls take 2.00ms
errors         1
               1  timeout, such as: "no <result>\x1b[2J within 1s"

latency        min     mean    p50     p90     p95     p99     p99.9   max
               10.0µs  2.00ms  2.00ms  3.60ms  3.80ms  3.96ms  -       4.00ms
               -: too few calls (p50 needs 5, p90 29, p95 59, p99 299, p99.9 2,995)
`
	if b.String() != want {
		t.Errorf("got\n%s\nexpected\n%s", b.String(), want)
	}
}

func TestWriteTextWithoutASuccess(t *testing.T) {
	var b strings.Builder
	if err := sampleReport(0).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "latency        none: no call was answered with success\n") {
		t.Error(b.String())
	}
}

func TestWriteTextWithoutACall(t *testing.T) {
	r := sampleReport(0)
	r.Errors, r.ErrorsByKind = 0, nil
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "latency        none: no call was sent in the measured time\n") {
		t.Error(b.String())
	}
}

func TestWriteJSON(t *testing.T) {
	for _, calls := range []int{0, 100} {
		var b strings.Builder
		if err := sampleReport(calls).WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Run          map[string]any
			Calls        *int64
			Errors       *int64
			ErrorsByKind map[string]int64 `json:"errors_by_kind"`
			DurationS    *float64         `json:"duration_s"`
			Throughput   *float64
			Latency      map[string]*float64 `json:"latency_us"`
		}
		if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
			t.Fatal(err)
		}
		if got.Calls == nil || got.Errors == nil || got.DurationS == nil || got.Throughput == nil ||
			*got.Calls != int64(calls) || *got.Errors != 1 || got.ErrorsByKind["timeout"] != 1 || *got.DurationS != 2 {
			t.Errorf("got %s", b.String())
		}
		if !strings.Contains(b.String(), "no <result>") || !strings.Contains(b.String(), `"args": "<&>"`) {
			t.Errorf("expected <, > and & as they are, got %s", b.String())
		}
		if got.Run["payload_bytes"] != 100.0 || !strings.HasPrefix(b.String(), "{\n  \"run\": {\n    \"transport\": \"memory\",\n    \"redis_version\"") {
			t.Errorf("settings: got %s", b.String())
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

func TestFormatLatency(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                          "0ns",
		812:                        "812ns",
		25_340:                     "25.3µs",
		999_499:                    "999µs",
		999_500:                    "1.00ms",
		4_071_000:                  "4.07ms",
		9_996_000:                  "10.0ms",
		999_600 * time.Microsecond: "1.00s",
		182 * time.Second:          "182s",
	} {
		if got := formatLatency(d); got != want {
			t.Errorf("%d ns is %q, expected %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %q, expected %q", n, got, want)
		}
	}
}

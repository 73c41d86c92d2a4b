package capacity

import (
	"slices"
	"strings"
	"testing"

	"redrpc/bench"
)

func TestParseSLO(t *testing.T) {
	for text, want := range map[string]SLO{
		"p99=20ms":                          {{P99, 20_000}},
		"p99=20ms,errors=0.1%":              {{P99, 20_000}, {Errors, 0.001}},
		" p50 = 1500us , max=2s, errors=0":  {{P50, 1500}, {Max, 2e6}, {Errors, 0}},
		"p99.9=1m,mean=10ns,throughput=1e4": {{P999, 6e7}, {Mean, 0.01}, {Throughput, 10_000}},
		"p90=5ms,p95=6ms,throughput=0.5/s":  {{P90, 5000}, {P95, 6000}, {Throughput, 0.5}},
		"p99<20ms, max <= 2s":               {{P99, 20_000}, {Max, 2e6}},
		"errors<=1%,throughput>1000":        {{Errors, 0.01}, {Throughput, 1000}},
		"p999=1ms,errors=12.5 %":            {{P999, 1000}, {Errors, 0.125}},
	} {
		got, err := ParseSLO(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; expected %v", text, got, err, want)
		}
		again, err := ParseSLO(got.String())
		if err != nil || !slices.Equal(again, want) {
			t.Errorf("%q: %q is read as %v, %v", text, got, again, err)
		}
	}
	for text, want := range map[string]string{
		"":                  "expected terms such as p99=20ms,errors=0.1%",
		"p99":               "expected terms such as",
		"p99=20ms,":         "expected terms such as",
		"p99>20ms":          "expected > before a throughput and < before all others",
		"throughput<100/s":  "expected > before a throughput",
		"p99==20ms":         "p99: expected a duration such as 20ms, got \"=20ms\"",
		"p98=20ms":          "expected one of p50, p90, p95, p99, p999, mean, max, errors, throughput, got \"p98\"",
		"p99=20":            "p99: expected a duration such as 20ms, got \"20\"",
		"p99=-1s":           "expected a duration",
		"p99=0s":            "expected a duration",
		"errors=0.1":        "errors: expected a percentage such as 0.1%",
		"errors=100%":       "expected a percentage",
		"errors=-1%":        "expected a percentage",
		"errors=NaN%":       "expected a percentage",
		"throughput=0":      "throughput: expected calls per second",
		"throughput=Inf":    "expected calls per second",
		"p99=1ms,p99=2ms":   "p99 is there twice",
		"p999=1ms,p99.9=2s": "p999 is there twice",
	} {
		if got, err := ParseSLO(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; expected %q", text, got, err, want)
		}
	}
}

func FuzzParseSLO(f *testing.F) {
	f.Add("p99=20ms,errors=0.1%")
	f.Add("throughput=1e300/s,max=1ns")
	f.Fuzz(func(t *testing.T, text string) {
		slo, err := ParseSLO(text)
		if err != nil {
			return
		}
		if err := slo.check("SLO"); err != nil {
			t.Errorf("%q was parsed and is refused: %v", text, err)
		}
		if again, err := ParseSLO(slo.String()); err != nil || again.String() != slo.String() {
			t.Errorf("%q is written %q and read as %q, %v", text, slo, again, err)
		}
	})
}

// repeat is n times v.
func repeat(n int, v float64) []float64 { return slices.Repeat([]float64{v}, n) }

func TestCheckSLO(t *testing.T) {
	diverging := result(0, repeat(1000, 1)...)
	diverging.Verdict.State = bench.Diverging
	missed := result(0, repeat(970, 1)...)
	missed.Dropped = 30
	for _, c := range []struct {
		name string
		slo  string
		res  *bench.Result
		want []string
		met  []bool
	}{
		{"met", "p99=2ms,errors=0", result(0, repeat(1000, 1)...),
			[]string{"p99 1.00ms, at most 2ms", "errors 0 %, at most 0%"}, []bool{true, true}},
		{"on the limit", "max=1ms,mean=1ms", result(0, repeat(10, 1)...),
			[]string{"max 1.00ms, at most 1ms", "mean 1.00ms, at most 1ms"}, []bool{true, true}},
		{"missed", "p50=1.1ms,p99=2ms", result(0, append(repeat(980, 1), repeat(20, 5)...)...),
			[]string{"p50 1.00ms, at most 1.1ms", "p99 5.00ms, more than 2ms"}, []bool{true, false}},
		{"too few", "p99=2ms,p95=2ms", result(0, repeat(298, 1)...),
			[]string{"p99 unknown: it needs 299 calls, and there were 298", "p95 1.00ms, at most 2ms"}, []bool{false, true}},
		{"failing fast", "p99=2ms,errors=5%", result(20, repeat(980, 1)...),
			[]string{"p99 endless: 20 of 1000 calls failed", "errors 2 %, at most 5%"}, []bool{false, true}},
		{"never sent", "p95=2ms,p99=2ms,errors=1%", missed,
			[]string{"p95 1.00ms, at most 2ms", "p99 endless: 30 of 1000 calls failed", "errors 3 %, more than 1%"}, []bool{true, false, false}},
		// 9 of 1,000 failed, 5 were slow: 14 of 1,000 users waited for more than 2 ms.
		{"failed and slow", "p99=2ms,p95=2ms", result(9, append(repeat(986, 1), repeat(5, 3)...)...),
			[]string{"p99 3.00ms, more than 2ms", "p95 1.00ms, at most 2ms"}, []bool{false, true}},
		{"throughput", "throughput=500/s", result(0, repeat(400, 1)...),
			[]string{"throughput 400/s, less than 500/s"}, []bool{false}},
		{"diverging", "p99=1s,mean=1s,errors=1%", diverging,
			[]string{"p99 grows for as long as one measures", "mean grows for as long as one measures", "errors 0 %, at most 1%"}, []bool{false, false, true}},
		{"nothing", "p50=1ms,mean=1ms,errors=1%,throughput=1/s", &bench.Result{},
			[]string{"p50 unknown: it needs 5 calls, and there were 0", "mean unknown", "errors unknown", "throughput unknown"}, []bool{false, false, false, false}},
	} {
		slo, err := ParseSLO(c.slo)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range slo.Check(c.res) {
			unknown := strings.Contains(c.want[i], "unknown")
			if f.Text != c.want[i] || f.Met != c.met[i] || f.Known == unknown || f.Term != slo[i] {
				t.Errorf("%s: %+v; expected %q, met %v", c.name, f, c.want[i], c.met[i])
			}
		}
	}
}

// A run that missed says nothing if others used the machine, unless that cannot be why.
func TestJudge(t *testing.T) {
	const others = "other processes used both processors"
	for _, c := range []struct {
		name    string
		slo     string
		change  func(*bench.Result)
		outcome Outcome
		reasons string
	}{
		{"met", "p99=2ms", nil, Met, ""},
		{"missed", "p99=500us", nil, Missed, "p99 1.00ms, more than 500µs"},
		{"met all the same", "p99=2ms", func(r *bench.Result) { r.Verdict.Disturbance = others }, Met, ""},
		{"disturbed", "p99=999us", func(r *bench.Result) { r.Verdict.Disturbance, *r.Latency.Min = others, 900 }, Invalid, others},
		{"disturbed, but by far", "p99=500us", func(r *bench.Result) { r.Verdict.Disturbance = others }, Missed, "p99 1.00ms"},
		{"disturbed, and refused", "errors=1%", func(r *bench.Result) { r.Verdict.Disturbance, r.Errors = others, 100 }, Missed, "errors 9.1 %"},
		{"disturbed, and too late", "errors=1%", func(r *bench.Result) {
			r.Verdict.Disturbance, r.Errors, r.TimedOut = others, 100, &bench.TimedOut{Calls: 95}
		}, Invalid, "other processes used"},
		{"few", "p999=2ms", nil, Undecided, "p999 unknown"},
		{"few, and missed", "p999=2ms,p50=500us", nil, Missed, "p50 1.00ms"},
		{"invalid", "p99=2ms", func(r *bench.Result) { r.Verdict = bench.Verdict{State: bench.Invalid, Reasons: []string{"late"}} }, Invalid, "the measurement is invalid, late"},
		{"diverging", "errors=50%", func(r *bench.Result) { r.Verdict = bench.Verdict{State: bench.Diverging, Reasons: []string{"grew"}} }, Missed, "calls pile up, grew"},
	} {
		r := result(0, repeat(1000, 1)...)
		least := 1000.
		if r.Latency.Min = &least; c.change != nil {
			c.change(r)
		}
		o := slo(t, c.slo).Judge(r)
		if got := strings.Join(o.Reasons, ", "); o.Outcome != c.outcome || !strings.HasPrefix(got, c.reasons) || (got == "") != (c.reasons == "") || o.SLO != slo(t, c.slo).String() {
			t.Errorf("%s: %s, %q; expected %s, %q", c.name, o.Outcome, got, c.outcome, c.reasons)
		}
	}
}

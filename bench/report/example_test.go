package report_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/bench/report"
)

func ExampleReport() {
	res, err := bench.Run(context.Background(), bench.Config{
		Call:    func(context.Context) error { return errors.New("connection refused") },
		Calls:   20,
		Callers: 2,
		Warmup:  time.Microsecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// So that this example prints the same every time.
	res.DurationS, res.Warmup, res.Verdict, res.Resources, res.Bottleneck = 0.001, bench.Warmup{}, bench.Verdict{}, nil, ""
	rep := report.Report{Settings: report.Settings{{Name: "target", Value: "nobody"}}, Result: res}
	if err := rep.WriteText(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// load model     closed loop, 2 callers
	// throughput     0 calls/s
	// errors         20 (100 %)
	//
	// warm-up        0.000 s, 0 calls and 0 errors left out
	// measured       0.001 s
	// calls          0
	// errors by kind 20  error, such as: connection refused
	//
	// latency        none: no call was answered with success
	//
	// target         nobody
	//
	// load model     closed loop, 2 callers
	// throughput     0 calls/s
	// errors         20 (100 %)
}

func ExampleRead() {
	var file strings.Builder
	if err := (report.Report{Settings: report.Settings{{Name: "target", Value: "somebody"}}, Result: &bench.Result{Schema: bench.Schema, Calls: 3}}).WriteJSON(&file); err != nil {
		fmt.Println(err)
		return
	}
	rep, err := report.Read(strings.NewReader(file.String()))
	fmt.Println(rep.Calls, rep.Settings[0].Value, err)
	_, err = report.Read(strings.NewReader(`{"schema": 99}`))
	fmt.Println(err)
	// Output:
	// 3 somebody <nil>
	// report: expected schema 2 or older, got 99: a newer version of redrpc wrote it
}

func ExampleRedactArgs() {
	fmt.Println(report.RedactArgs([]string{"bench", "--redis", "rediss://ann:secret@example.org:6380/0", "--auth-token", "secret", "--password-file", "pw.txt"}))
	// Output: [bench --redis rediss://***@example.org:6380/0 --auth-token *** --password-file pw.txt]
}

// A page for a browser, and what benchstat compares, of a report that was kept as JSON.
func ExampleReport_WriteHTML() {
	var kept strings.Builder
	res, err := bench.Run(context.Background(), bench.Config{Call: func(context.Context) error { return nil }, Calls: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := (report.Report{Environment: report.Capture(os.Args), Result: res}).WriteJSON(&kept); err != nil {
		fmt.Println(err)
		return
	}
	rep, err := report.Read(strings.NewReader(kept.String()))
	if err != nil {
		fmt.Println(err)
		return
	}
	var page strings.Builder
	err = rep.WriteHTML(&page)
	fmt.Println(strings.Contains(page.String(), "<title>Load test: closed loop</title>"), err)
	// Output: true <nil>
}

func ExampleReport_WriteGoBench() {
	mean, p50 := 1500.0, 1200.0 // microseconds
	rep := report.Report{
		Environment: &report.Environment{OS: "linux", Arch: "amd64", GOMAXPROCS: 2},
		Result: &bench.Result{Callers: 50, Calls: 20_000, Throughput: 33_000,
			Latency: bench.Latency{Mean: &mean, P50: &p50}},
	}
	if err := rep.WriteGoBench(os.Stdout, "echo"); err != nil {
		fmt.Println(err)
	}
	// Output:
	// goos: linux
	// goarch: amd64
	// Unit p50-ns better=lower
	// Unit calls/s better=higher
	// Unit errors/call better=lower
	// BenchmarkRedrpc/echo/callers=50-2 20000 1500000 ns/op 1200000 p50-ns 33000 calls/s 0 errors/call
}

func ExampleSweep() {
	ms := func(v float64) *float64 { v *= 1000; return &v }
	knee := 8.0
	sweep := report.Sweep{
		About: report.About{Settings: report.Settings{{Name: "function", Value: "echo"}}},
		SweepResult: &capacity.SweepResult{LoadUnit: capacity.LoadOfCallers, KneeMetric: capacity.P99, Knee: &knee, USLReason: "fewer than four loads", Points: []capacity.SweepPoint{
			{Load: 1, Throughput: 1000, Latency: bench.Latency{P50: ms(1), P99: ms(3)}, Verdict: bench.Verdict{State: bench.Valid}},
			{Load: 8, Throughput: 6200, Latency: bench.Latency{P50: ms(1.3), P99: ms(4)}, Verdict: bench.Verdict{State: bench.Valid}},
			{Load: 64, Throughput: 7000, Latency: bench.Latency{P50: ms(9), P99: ms(31)}, Verdict: bench.Verdict{State: bench.Valid}},
		}},
	}
	if err := sweep.WriteText(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// Throughput and latency by number of callers
	// 3 loads, in random order
	// A closed loop sends nothing while the system stalls, so the waits of independent users are not in
	// these figures (coordinated omission).
	//
	// max throughput 7,000 calls/s  (at 64 callers)
	// knee           8 callers  (from where p99 rises steeply)
	//
	// Curves
	// No fit of the Universal Scalability Law: fewer than four loads.
	//
	// Trials
	// callers  calls/s     p50  p90     p99  p99.9  errors  verdict
	// 1          1,000  1.00ms    -  3.00ms      -     0 %  valid
	// 8          6,200  1.30ms    -  4.00ms      -     0 %  valid
	// 64         7,000  9.00ms    -  31.0ms      -     0 %  valid
	//
	// Settings and environment
	// function  echo
	//
	// max throughput 7,000 calls/s  (at 64 callers)
}

package report_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"redrpc/bench"
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
	res.DurationS, res.Warmup, res.Verdict, res.Resources = 0.001, bench.Warmup{}, bench.Verdict{}, nil
	rep := report.Report{Settings: report.Settings{{Name: "target", Value: "nobody"}}, Result: res}
	if err := rep.WriteText(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// load model     closed loop, 2 callers
	//                (a closed loop sends nothing while it waits, so what users who arrive regardless
	//                would wait for is not in these figures)
	// target         nobody
	//
	// warm-up        0.000 s, 0 calls and 0 errors left out
	// measured       0.001 s
	// calls          0
	// throughput     0 calls/s
	// errors         20 (100 %)
	//                20  error, such as: connection refused
	//
	// latency        none: no call was answered with success
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
	// report: expected schema 1, got 99: another version of redrpc wrote it
}

func ExampleRedactArgs() {
	fmt.Println(report.RedactArgs([]string{"bench", "--redis", "rediss://ann:secret@example.org:6380/0", "--auth-token", "secret", "--password-file", "pw.txt"}))
	// Output: [bench --redis rediss://***@example.org:6380/0 --auth-token *** --password-file pw.txt]
}

package stats_test

import (
	"fmt"
	"time"

	"redrpc/bench/stats"
)

// Between which of 10,000 sorted latencies is the p99?
func ExampleQuantileRanks() {
	r, ok := stats.QuantileRanks(10_000, 0.99, 0.975)
	fmt.Printf("%d to %d, with a confidence of %.3f: %v\n", r.Low, r.High, r.Confidence, ok)
	_, ok = stats.QuantileRanks(100, 0.99, 0.975)
	fmt.Println("of 100:", ok)
	// Output:
	// 9880 to 9920, with a confidence of 0.956: true
	// of 100: false
}

// The p99 of six runs before a change and six after it, in milliseconds.
func ExampleMannWhitney() {
	before := []float64{20.1, 19.8, 20.4, 20.0, 20.9, 19.9}
	after := []float64{18.0, 18.3, 17.9, 19.0, 18.1, 18.2}
	test, err := stats.MannWhitney(before, after)
	if err != nil {
		fmt.Println(err)
		return
	}
	shift, err := stats.HodgesLehmann(before, after, 0.95)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("p %.4f, by %.2f ms, %.2f to %.2f at %.3f\n", test.P, shift.Estimate, shift.Low, shift.High, shift.Confidence)
	// Output: p 0.0022, by -1.90 ms, -2.50 to -1.50 at 0.959
}

func ExampleMedianRatio() {
	before := []float64{20.1, 19.8, 20.4, 20.0, 20.9, 19.9, 20.2, 20.3, 19.7, 20.0}
	after := []float64{18.0, 18.3, 17.9, 19.0, 18.1, 18.2, 18.0, 18.4, 17.8, 18.2}
	r, err := stats.MedianRatio(before, after, 0.95, 10_000, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.3f, %.2f to %.2f\n", r.Estimate, r.Low, r.High)
	// Output: 0.905, 0.89 to 0.92
}

// The p50 of each second, in microseconds.
func ExampleDrifting() {
	d, err := stats.Drifting([]float64{510, 505, 512, 508, 515, 530, 541, 549, 560, 566, 570, 581}, time.Second, 0.05)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s by %.1f us per second, p %.4f\n", d.Verdict, d.Slope, d.P)
	// Output: drifting up by 7.6 us per second, p 0.0017
}

// 1,000 calls are sent a second, of which 900 end.
func ExampleOverloaded() {
	var run []stats.Load
	for i := range int64(50) {
		run = append(run, stats.Load{At: time.Duration(i) * 100 * time.Millisecond, Intended: 100 * i, Done: 90 * i})
	}
	g, err := stats.Overloaded(run, stats.BacklogRule{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("diverging %v: %.0f calls/s, %.0f %% of the rate\n", g.Diverging, g.PerSecond, 100*g.Share)
	// Output: diverging true: 100 calls/s, 10 % of the rate
}

func ExampleLittlesLaw() {
	// 21 in flight, where 1,000 calls/s of 20 ms make 20.
	c := stats.LittlesLaw(21, 1000, 0.020, 0.1)
	fmt.Printf("%.0f %% off, holds %v\n", 100*c.Difference, c.Holds)
	// Output: 5 % off, holds true
}

func ExampleFitUSL() {
	u, err := stats.FitUSL([]stats.Point{{1, 955}, {2, 1878}, {4, 3548}, {8, 6531}, {16, 10520}, {32, 14100}, {64, 14200}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("lambda %.0f/s, sigma %.4f, kappa %.6f, R2 %.4f, peak %.0f/s at %.0f\n", u.Lambda, u.Sigma, u.Kappa, u.R2, u.PeakX, u.PeakN)
	// Output: lambda 965/s, sigma 0.0237, kappa 0.000461, R2 1.0000, peak 14705/s at 46
}

func ExampleKnee() {
	rates := []float64{1000, 2000, 3000, 4000, 5000, 6000}
	p99 := []float64{2.1, 2.2, 2.4, 2.9, 8.0, 31}
	i, ok, err := stats.Knee(rates, p99)
	if err != nil || !ok {
		fmt.Println("none:", err)
		return
	}
	fmt.Println("the knee is at", rates[i])
	// Output: the knee is at 5000
}

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// callersFlags are those of a process that makes calls.
type callersFlags struct {
	system  string
	addr    string
	pid     int
	callers int
	seconds float64
	napping int
}

func (f *callersFlags) register() {
	flag.StringVar(&f.system, "system", "", "make calls by this system, and print what was measured")
	flag.StringVar(&f.addr, "addr", "", "with -system, what to call through")
	flag.IntVar(&f.pid, "pid", 0, "with -system, its process, or 0 if it is this one")
	flag.IntVar(&f.callers, "c", 1, "with -system, callers")
	flag.IntVar(&f.napping, "napping", 0, "with -system, one in so many calls takes 100 ms, and does not count")
	flag.Float64Var(&f.seconds, "seconds", 2, "with -system, length of the measured window")
}

// measured is what one process that makes calls found out.
type measured struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	OwnCPU    float64 `json:"own_cpu_us"`    // of client and server, for each call
	BrokerCPU float64 `json:"broker_cpu_us"` // of what they call through
	Conns     int     `json:"connections"`   // of the client
}

// run measures a closed loop: each caller makes its next call when the last has
// ended. The window opens some time after all callers have made their first.
func (f *callersFlags) run() error {
	s, err := startSystem(f.system, f.addr, f.callers)
	if err != nil {
		return err
	}
	var made atomic.Int64       // calls, if some nap
	var open, shut atomic.Int64 // nanoseconds since began
	shut.Store(math.MaxInt64)
	open.Store(math.MaxInt64)
	began := time.Now()
	took := make([][]int32, f.callers) // microseconds/10 of the calls in the window
	ended := make([]int, f.callers)    // in the window
	var first, all sync.WaitGroup
	var failure atomic.Value
	first.Add(f.callers)
	for i := range f.callers {
		all.Go(func() {
			start := time.Since(began)
			for n := 0; ; n++ {
				call, counts := s.call, true
				if f.napping > 0 && made.Add(1)%int64(f.napping) == 0 {
					call, counts = s.nap, false
				}
				if err := call(context.Background()); err != nil {
					failure.Store(err)
					if n == 0 {
						first.Done()
					}
					return
				}
				now := time.Since(began)
				if n == 0 {
					first.Done()
				}
				if int64(now) >= shut.Load() {
					return
				}
				if int64(now) >= open.Load() && counts {
					ended[i]++
					took[i] = append(took[i], int32((now-start)/100))
				}
				start = now
			}
		})
	}
	first.Wait()
	window := time.Duration(f.seconds * float64(time.Second))
	time.Sleep(window / 4)
	brokerBefore, err := f.brokerCPU()
	if err != nil {
		return err
	}
	ownBefore, from := ourUsage(), time.Since(began)
	open.Store(int64(from))
	shut.Store(int64(from + window))
	time.Sleep(window)
	length := time.Since(began) - from
	own := ourUsage() - ownBefore
	brokerAfter, err := f.brokerCPU()
	if err != nil {
		return err
	}
	all.Wait()
	m := measured{Conns: s.conns()}
	if err := s.close(); err != nil {
		return err
	}
	if err, ok := failure.Load().(error); ok {
		return err
	}
	calls := 0
	for _, n := range ended {
		calls += n
	}
	latencies := slices.Concat(took...)
	slices.Sort(latencies)
	at := func(p float64) float64 { return float64(latencies[int(p*float64(len(latencies)-1))]) / 10 }
	if calls == 0 {
		return fmt.Errorf("%s: no call ended within %v", f.system, window)
	}
	m.PerSecond = digits(float64(calls)/window.Seconds(), 0)
	m.P50, m.P99 = at(0.5), at(0.99)
	perCall := 1e6 / (m.PerSecond * length.Seconds())
	m.OwnCPU = digits(own*perCall, 2)
	m.BrokerCPU = digits((brokerAfter-brokerBefore).Seconds()*perCall, 2)
	return json.NewEncoder(os.Stdout).Encode(m)
}

// brokerCPU is the processor time that another process has used for the calls.
func (f *callersFlags) brokerCPU() (time.Duration, error) {
	if f.pid == 0 {
		return 0, nil
	}
	return cpuOf(f.pid)
}

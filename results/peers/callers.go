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
	text    string
	addr    string
	pid     int
	seconds float64
}

func (f *callersFlags) register() {
	flag.StringVar(&f.text, "case", "", "make the calls of this case, JSON, and print what was measured")
	flag.StringVar(&f.addr, "addr", "", "with -case, what to call through")
	flag.IntVar(&f.pid, "pid", 0, "with -case, its process, or 0 if it is this one")
	flag.Float64Var(&f.seconds, "seconds", 2, "with -case, length of the measured window; with -spin, for how long")
}

// measured is what was found out of one case in one round.
type measured struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_us,omitempty"`
	P99       float64 `json:"p99_us,omitempty"`
	OwnCPU    float64 `json:"own_cpu_us,omitempty"`    // of client and server, for each call
	BrokerCPU float64 `json:"broker_cpu_us,omitempty"` // of what they call through
	Conns     int     `json:"connections,omitempty"`   // of the client
	Killed    *killed `json:"killed,omitempty"`
}

func (f *callersFlags) run() error {
	var c callCase
	if err := json.Unmarshal([]byte(f.text), &c); err != nil {
		return err
	}
	measure := f.closedLoop
	if c.KillMS > 0 {
		measure = f.killing
	}
	m, err := measure(c)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}

// closedLoop measures callers of whom each makes its next call when the last has
// ended. The window opens some time after all callers have made their first.
func (f *callersFlags) closedLoop(c callCase) (measured, error) {
	s, err := startSystem(c, f.addr)
	if err != nil {
		return measured{}, err
	}
	var made atomic.Int64       // calls, if some are slow
	var open, shut atomic.Int64 // nanoseconds since began
	shut.Store(math.MaxInt64)
	open.Store(math.MaxInt64)
	began := time.Now()
	took := make([][]int32, c.Callers) // microseconds/10 of the calls in the window
	var first, all sync.WaitGroup
	var failure atomic.Pointer[error]
	first.Add(c.Callers)
	for i := range c.Callers {
		all.Go(func() {
			start := time.Since(began)
			for n := 0; ; n++ {
				call, counts := s.call, true
				if c.SlowIn > 0 && made.Add(1)%int64(c.SlowIn) == 0 {
					call, counts = s.slow, false
				}
				err := call(context.Background())
				now := time.Since(began)
				if n == 0 {
					first.Done()
				}
				if err != nil {
					failure.Store(&err)
					return
				}
				if int64(now) >= shut.Load() {
					return
				}
				if int64(now) >= open.Load() && counts {
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
		return measured{}, err
	}
	ownBefore, from := ourUsage(), time.Since(began)
	open.Store(int64(from))
	shut.Store(int64(from + window))
	time.Sleep(window)
	length := time.Since(began) - from
	own := ourUsage() - ownBefore
	brokerAfter, err := f.brokerCPU()
	if err != nil {
		return measured{}, err
	}
	m := measured{Conns: s.conns()}
	all.Wait()
	if err := s.close(); err != nil {
		return measured{}, err
	}
	if err := failure.Load(); err != nil {
		return measured{}, *err
	}
	latencies := slices.Concat(took...)
	if len(latencies) == 0 {
		return measured{}, fmt.Errorf("no call ended within %v", window)
	}
	slices.Sort(latencies)
	at := func(p float64) float64 { return float64(latencies[int(p*float64(len(latencies)-1))]) / 10 }
	m.PerSecond = digits(float64(len(latencies))/window.Seconds(), 0)
	m.P50, m.P99 = at(0.5), at(0.99)
	perCall := 1e6 / (m.PerSecond * length.Seconds())
	m.OwnCPU = digits(own*perCall, 2)
	m.BrokerCPU = digits((brokerAfter-brokerBefore).Seconds()*perCall, 2)
	return m, nil
}

// brokerCPU is the processor time that another process has used for the calls.
func (f *callersFlags) brokerCPU() (time.Duration, error) {
	if f.pid == 0 {
		return 0, nil
	}
	return cpuOf(f.pid)
}

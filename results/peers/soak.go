package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
)

// A soak test: for a long time mixed load and faults, on a broker that is a process of its own,
// whose clients, and clients and servers of package rpc, are this process. What both of them
// hold is sampled, and must not grow once they are warm.

const (
	soakSamples = 360 // about, and none more often than sampleMost
	sampleMost  = 500 * time.Millisecond
	faultEvery  = 10 * time.Second
	faultLasts  = 3 * time.Second
)

type soakFlags struct {
	duration time.Duration
	broker   bool
	seed     uint64
	rate     float64
}

func (f *soakFlags) register() {
	flag.DurationVar(&f.duration, "soak", 0, "soak test: load a broker for so long, for soak.json, soak.md and soak.svg")
	flag.BoolVar(&f.broker, "soak-broker", false, "serve the broker of a soak test, and print samples, until SIGTERM")
	flag.Uint64Var(&f.seed, "seed", 0, "with -soak, the seed of what is random; 0: any")
	flag.Float64Var(&f.rate, "rate", 80, "with -soak, how many things clients do per second")
}

// A soakRun is what a soak test found, as it stands in soak.json.
type soakRun struct {
	Machine  machine        `json:"machine"`
	Seed     uint64         `json:"seed"`
	Seconds  float64        `json:"seconds"`
	Every    float64        `json:"sample_every_s"`
	CPU      float64        `json:"cpu_of_one_core"` // of both processes
	Done     map[string]int `json:"done"`            // what was done, by its name
	Failed   map[string]int `json:"failed"`          // of that, what ended in an error: faults make some
	Calls    callOutcomes   `json:"calls"`
	Commands int64          `json:"commands"` // that the broker processed
	Faults   int            `json:"faults"`
	Broker   []sample       `json:"broker"`
	Clients  []sample       `json:"clients"`
	Start    [2]sample      `json:"start"` // of the broker and the clients, before the load
	End      [2]sample      `json:"end"`   // when all clients are gone and all keys are deleted
}

// quietly drops what go-redis says of connections that commands make useless, or faults.
type quietly struct{}

func (quietly) Printf(context.Context, string, ...any) {}

// every is the time between samples.
func (f *soakFlags) every() time.Duration { return max(f.duration/soakSamples, sampleMost) }

// run runs the test, and writes what it found.
func (f *soakFlags) run(out string) error {
	if f.seed == 0 {
		f.seed = rand.Uint64()
	}
	progress("soak test of %v, seed %d", f.duration, f.seed)
	redis.SetLogger(quietly{})
	r := &soakRun{Seed: f.seed, Seconds: f.duration.Seconds(), Every: f.every().Seconds()}
	if err := observed(&r.Machine, func() error { return r.measure(f) }); err != nil {
		return err
	}
	if err := writeData(soakFile(out), r); err != nil {
		return err
	}
	return writeSoakPage(out)
}

func soakFile(dir string) string { return filepath.Join(dir, "soak.json") }

func (r *soakRun) measure(f *soakFlags) error {
	b, err := startSoakBroker(f.seed)
	if err != nil {
		return err
	}
	defer b.stop()
	if r.Start[0], err = b.sample(); err != nil {
		return err
	}
	if r.Start[1], err = ofThisProcess(); err != nil {
		return err
	}
	began := ourUsage()
	brokerBegan, err := b.cpu()
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), f.duration)
	defer stop()
	l := &soakLoad{addr: b.addr, seed: f.seed, rate: f.rate, done: map[string]int{}, failed: map[string]int{}}
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx) })
	err = r.sampleUntil(ctx, b, f.every())
	stop()
	running.Wait()
	if err != nil {
		return err
	}
	brokerCPU, err := b.cpu()
	if err != nil {
		return err
	}
	r.CPU = digits((ourUsage()-began+(brokerCPU-brokerBegan).Seconds())/f.duration.Seconds(), 3)
	r.Done, r.Failed, r.Calls = l.done, l.failed, l.calls
	if r.Commands, r.Faults, err = b.clear(); err != nil {
		return err
	}
	if r.End[0], err = b.sample(); err != nil {
		return err
	}
	r.End[1], err = ofThisProcess()
	return err
}

// sampleUntil takes samples of both processes until the time is up.
func (r *soakRun) sampleUntil(ctx context.Context, b *soakBroker, every time.Duration) error {
	for tick := time.NewTicker(every); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-tick.C:
		}
		theirs, err := b.sample()
		if err != nil {
			return err
		}
		ours, err := ofThisProcess()
		if err != nil {
			return err
		}
		r.Broker, r.Clients = append(r.Broker, theirs), append(r.Clients, ours)
	}
}

// A soakBroker is a broker in another process.
type soakBroker struct {
	*child
	addr string
}

func startSoakBroker(seed uint64) (*soakBroker, error) {
	c, err := startChild("-soak-broker", "-seed", fmt.Sprint(seed))
	if err != nil {
		return nil, err
	}
	b := &soakBroker{child: c}
	if err := c.out.Decode(&b.addr); err != nil {
		c.stop()
		return nil, fmt.Errorf("the broker did not say where it listens: %w", err)
	}
	return b, nil
}

func (b *soakBroker) cpu() (time.Duration, error) { return cpuOf(b.cmd.Process.Pid) }

// cleared is the answer to askToClear.
type cleared struct {
	Commands int64
	Faults   int
	Clients  []string // that are still there
}

// clear ends faults and deletes all keys.
func (b *soakBroker) clear() (commands int64, faults int, err error) {
	var c cleared
	if err := b.question(askToClear, &c); err != nil {
		return 0, 0, err
	}
	if len(c.Clients) > 0 {
		return 0, 0, fmt.Errorf("the broker still has clients when all are closed: %q", c.Clients)
	}
	return c.Commands, c.Faults, nil
}

// serveBroker is the process of a soakBroker.
func (f *soakFlags) serveBroker() error {
	b, err := broker.New(broker.Options{LogSize: 1000, Strict: true, Seed: f.seed})
	if err != nil {
		return err
	}
	addr, err := b.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	var faults int
	var failure error
	var injecting sync.WaitGroup
	injecting.Go(func() { faults, failure = injectFaults(ctx, b, f.seed) })
	if err := json.NewEncoder(os.Stdout).Encode(addr.String()); err != nil {
		return err
	}
	err = answer(func(q question) (any, error) {
		if q == askForSample {
			return ofThisProcess()
		}
		end()
		injecting.Wait()
		if failure != nil {
			return nil, failure
		}
		return clearBroker(b, faults)
	})
	end()
	injecting.Wait()
	return errors.Join(err, b.Close())
}

func clearBroker(b *broker.Broker, faults int) (cleared, error) {
	for range 100 { // until those are gone which are being closed
		if len(b.Clients()) == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	c := cleared{Clients: b.Clients(), Faults: faults, Commands: b.Stats().Commands}
	for _, command := range [][]any{{"FLUSHALL"}, {"FUNCTION", "FLUSH"}, {"SCRIPT", "FLUSH"}} {
		if _, err := b.Do(command...); err != nil {
			return c, err
		}
	}
	return c, nil
}

// soakFaults are injected one after the other, in a random order.
var soakFaults = map[string]broker.Fault{
	"replies lost":           {Probability: 0.05, Drop: broker.DropAfter},
	"commands lost":          {Probability: 0.05, Drop: broker.DropBefore},
	"half a reply":           {Probability: 0.02, Drop: broker.DropHalf},
	"errors":                 {Probability: 0.1, Error: "LOADING Redis is loading the dataset in memory"},
	"no memory":              {Command: "r*push", Probability: 0.3, Error: "OOM command not allowed when used memory > 'maxmemory'."},
	"slow":                   {Probability: 0.2, Delay: broker.Fixed(20 * time.Millisecond)},
	"stalls":                 {Probability: 0.005, Stall: 50 * time.Millisecond},
	"no new connections":     {Refuse: true, Probability: 0.3},
	"a slow network":         {RTT: 20 * time.Millisecond, Download: 200_000},
	"lost while it blocks":   {Command: "bl*", Probability: 0.3, Drop: broker.DropAfter},
	"lost in a transaction":  {Command: "exec", Probability: 0.3, Drop: broker.DropAfter},
	"a script that is lost":  {Command: "eval*", Probability: 0.3, Drop: broker.DropBefore},
	"slow pushes of results": {Key: "*reply*", Delay: broker.Fixed(30 * time.Millisecond)},
}

// injectFaults injects faults, each for a time, and looks at the whole broker between them. It
// returns how many rules it injected.
func injectFaults(ctx context.Context, b *broker.Broker, seed uint64) (n int, err error) {
	random := rand.New(rand.NewPCG(seed, 1))
	names := slices.Sorted(maps.Keys(soakFaults))
	wait := func(d time.Duration) bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(d):
			return true
		}
	}
	for wait(faultEvery - faultLasts) {
		f := soakFaults[names[random.IntN(len(names))]]
		if f.Probability > 0 {
			f.Seed = random.Uint64()
		}
		rule, err := b.Inject(f)
		if err != nil {
			return n, err
		}
		n++
		going := wait(faultLasts)
		rule.Remove()
		if !going {
			return n, nil
		}
		b.Snapshot() // of no interest but that it leaves nothing
		b.Log()
		b.Violations()
	}
	return n, nil
}

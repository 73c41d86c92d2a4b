package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"redrpc/broker"
)

// A soak test of a few seconds: each thing is done, and nothing is left.
func TestSoakLeavesNothing(t *testing.T) {
	b, err := broker.New(broker.Options{LogSize: 100, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	addr, err := b.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	before, err := ofThisProcess()
	if err != nil {
		t.Fatal(err)
	}
	l := &soakLoad{addr: addr.String(), seed: 1, rate: 200, done: map[string]int{}, failed: map[string]int{}}
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Second)
	defer stop()
	l.run(ctx)
	random := rand.New(rand.NewPCG(1, 1))
	for _, task := range soakTasks { // those that chance left out, too
		if err := l.attempt(context.Background(), random, task.do); err != nil && task.name != "vanishing client" && task.name != "operator" {
			t.Logf("%s: %v", task.name, err) // the operator may have closed its client
		}
	}
	if l.calls.Wrong > 0 {
		t.Errorf("%d calls had a wrong result", l.calls.Wrong)
	}
	if c, err := clearBroker(b, 0); err != nil || len(c.Clients) > 0 {
		t.Errorf("clients are left: %q, %v", c.Clients, err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		after, err := ofThisProcess()
		if err != nil {
			t.Fatal(err)
		}
		if after.Goroutines <= before.Goroutines+1 && after.Files <= before.Files && after.InUse <= before.InUse+leftAtEnd { // the poller's
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("something is left: %+v, before %+v", after, before)
		}
	}
}

// The faults are such that a broker takes them.
func TestSoakFaults(t *testing.T) {
	b, err := broker.New(broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for name, f := range soakFaults {
		if _, err := b.Inject(f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What grows behind the warm-up is found, in each figure of each process, and what is left at the
// end; what grows before and is flat then, or is only noise, is not.
func TestSoakPage(t *testing.T) {
	const n = 240
	flat := func() *soakRun {
		random := rand.New(rand.NewPCG(1, 1))
		r := &soakRun{Seconds: 1800, Every: 5, Start: [2]sample{{InUse: 1 << 20, Files: 5, Goroutines: 3}, {InUse: 1 << 20, Files: 5, Goroutines: 3}}}
		r.End = r.Start
		for i := range n {
			warm := min(1, float64(i)/(n/4))
			s := sample{InUse: int64(warm*1e7) + random.Int64N(1e6), Resident: int64(warm*3e7) + random.Int64N(1e6), Files: int(warm*30) + random.IntN(5), Goroutines: int(warm*50) + random.IntN(10)}
			r.Broker, r.Clients = append(r.Broker, s), append(r.Clients, s)
		}
		return r
	}
	page, err := flat().page()
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Wrong) > 0 {
		t.Errorf("of a flat run: %q", page.Wrong)
	}
	var text strings.Builder
	if err := soakTemplate.Execute(&text, page); err != nil || strings.Contains(text.String(), "%!") || strings.Contains(text.String(), "NaN") {
		t.Errorf("the page: %v\n%s", err, text.String())
	}
	if svg := string(flat().picture()); strings.Count(svg, "<polyline") != 2*len(soakFigures) || strings.Contains(svg, "NaN") || strings.Contains(svg, "%!") {
		t.Errorf("the picture: %s", svg)
	}
	for name, grow := range map[string]func(r *soakRun, i int){
		"heap":        func(r *soakRun, i int) { r.Broker[i].InUse += int64(i) * 20_000 },
		"resident":    func(r *soakRun, i int) { r.Clients[i].Resident += int64(i) * 150_000 },
		"descriptors": func(r *soakRun, i int) { r.Broker[i].Files += i / 10 },
		"goroutines":  func(r *soakRun, i int) { r.Clients[i].Goroutines += i / 10 },
		"at the end":  func(r *soakRun, i int) { r.End[0].Files = r.Start[0].Files + 1 },
		"heap at end": func(r *soakRun, i int) { r.End[1].InUse = r.Start[1].InUse + leftAtEnd + 1 },
		"wrong calls": func(r *soakRun, i int) { r.Calls.Wrong = 1 },
	} {
		r := flat()
		for i := range n {
			grow(r, i)
		}
		page, err := r.page()
		if err != nil || len(page.Wrong) != 1 {
			t.Errorf("%s: expected one thing to be found: %q, %v", name, page.Wrong, err)
		}
	}
	short := flat()
	short.Broker, short.Clients = short.Broker[:5], nil
	if page, err := short.page(); err != nil || !page.TooShort || slices.ContainsFunc(page.Rows, func(r soakRow) bool { return r.Verdict != tooShort }) {
		t.Errorf("of a short run: %+v, %v", page, err)
	}
}

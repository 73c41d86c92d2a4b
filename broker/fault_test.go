package broker

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker/internal/resp"
)

// inject makes a rule.
func inject(t testing.TB, b *Broker, f Fault) *Rule {
	t.Helper()
	r, err := b.Inject(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// expectCounts compares how often a rule has matched and fired.
func expectCounts(t testing.TB, r *Rule, matched, fired int) {
	t.Helper()
	if r.Matched() != matched || r.Fired() != fired {
		t.Errorf("%s: matched %d times and fired %d times, want %d and %d", r, r.Matched(), r.Fired(), matched, fired)
	}
}

// all reads what comes until the connection is closed.
func (w *wire) all(t testing.TB) string {
	t.Helper()
	if err := w.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	p, err := io.ReadAll(w.in)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("after %q: %v, expected the end", p, err)
	}
	return string(p)
}

// batch encodes commands, each a line of words.
func batch(commands ...string) []byte {
	var p []byte
	for _, c := range commands {
		args, _ := resp.SplitLine([]byte(c))
		words := make([]string, len(args))
		for i, arg := range args {
			words[i] = string(arg)
		}
		p = append(p, request(words...)...)
	}
	return p
}

// write sends commands at once.
func (w *wire) write(t testing.TB, commands ...string) {
	t.Helper()
	if _, err := w.Write(batch(commands...)); err != nil {
		t.Fatal(err)
	}
}

func TestFaultError(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		r := inject(t, b, Fault{Command: "LPUSH", Key: "q:*", Nth: 2, Error: "READONLY no"})
		w := newWire(dial(t))
		w.expect(t, "1", "LPUSH", "q:1", "a")
		w.expect(t, "1", "LPUSH", "other", "a")
		w.expect(t, "-READONLY no", "LPUSH", "q:1", "b")
		w.expect(t, "2", "LPUSH", "q:1", "c")
		w.expect(t, "[c a]", "LRANGE", "q:1", "0", "-1")
		expectCounts(t, r, 3, 1)
		r.Remove()
		r.Remove()
		if got := b.Rules(); len(got) != 0 || b.postponers != 0 {
			t.Errorf("rules are left: %v", got)
		}
	})
}

// Which commands a rule is about.
func TestFaultMatching(t *testing.T) {
	b := newBroker(t, frozen)
	w := inMemory(t, b)
	w.expect(t, "+OK", "CLIENT", "SETNAME", "worker-1")
	w.expect(t, "+OK", "SET", "1", "x")
	for _, c := range []struct {
		fault   Fault
		command string
		matches bool
	}{
		{Fault{}, "PING", true},
		{Fault{Command: "ping"}, "PING", true},
		{Fault{Command: "PI*"}, "PING", true},
		{Fault{Command: "ping"}, "ECHO x", false},
		{Fault{Command: "client|id"}, "CLIENT ID", true},
		{Fault{Command: "client|id"}, "CLIENT GETNAME", false},
		{Fault{Command: "client"}, "CLIENT ID", true},
		{Fault{Command: "client|*name"}, "CLIENT GETNAME", true},
		{Fault{Command: "[gs]et"}, "GET 1", true},
		{Fault{Key: "1"}, "GET 1", true},
		{Fault{Key: "?"}, "MGET 22 1", true},
		{Fault{Key: "1"}, "MSET 2 1", false},
		{Fault{Key: "1"}, "BLMPOP 0.001 2 x y LEFT", false},
		{Fault{Key: "y"}, "BLMPOP 0.001 2 x y LEFT", true},
		{Fault{Key: "*"}, "PING", false},
		{Fault{Key: "*"}, "PUBLISH news x", false},
		{Fault{Key: "*"}, "SPUBLISH news x", false},
		{Fault{Client: "worker-*"}, "PING", true},
		{Fault{Client: "worker-2"}, "PING", false},
		{Fault{Client: "WORKER-1"}, "PING", false},
		{Fault{Command: "get", Key: "1", Client: "w*"}, "GET 1", true},
		{Fault{Command: "get", Key: "2", Client: "w*"}, "GET 1", false},
		{Fault{Command: "echo"}, "ECHO", false},     // which is refused before
		{Fault{Command: "echo"}, "NOSUCH x", false}, // likewise
	} {
		c.fault.Error = "FAULT"
		r := inject(t, b, c.fault)
		w.write(t, c.command)
		b.Advance(time.Second) // for what waits
		if got := w.reply(t); (got == "-FAULT") != c.matches {
			t.Errorf("%s: %s answered %s", r, c.command, got)
		}
		r.Remove()
	}
	unnamed := inMemory(t, b)
	r := inject(t, b, Fault{Client: "*", Error: "FAULT"})
	unnamed.expect(t, "+PONG", "PING")
	w.expect(t, "-FAULT", "PING")
	r.Remove()
}

// How often a rule fires.
func TestFaultSelection(t *testing.T) {
	for _, c := range []struct {
		fault Fault
		want  string // of 12 commands
	}{
		{Fault{}, "xxxxxxxxxxxx"},
		{Fault{Nth: 3}, "..x........."},
		{Fault{Times: 4}, "xxxx........"},
		{Fault{Nth: 3, Times: 1}, "..x........."},
		{Fault{Probability: 1}, "xxxxxxxxxxxx"},
		{Fault{Probability: 0.5, Seed: 7}, "..xxxxxx.xx."},
		{Fault{Probability: 0.5, Seed: 8}, ".x.xx...x..x"},
		{Fault{Probability: 0.5, Seed: 7, Times: 2}, "..xx........"},
	} {
		b := newBroker(t, frozen)
		w := inMemory(t, b)
		c.fault.Error = "FAULT"
		r := inject(t, b, c.fault)
		got := ""
		for range 12 {
			if w.do(t, "PING") == "-FAULT" {
				got += "x"
			} else {
				got += "."
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", r, got, c.want)
		}
		expectCounts(t, r, 12, strings.Count(c.want, "x"))
	}
}

// What commands in transactions meet, and EXEC.
func TestFaultsAndTransactions(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		w := newWire(dial(t))
		r := inject(t, b, Fault{Command: "set", Error: "READONLY no", Times: 1})
		w.expect(t, "+OK", "MULTI")
		w.expect(t, "-READONLY no", "SET", "k", "v")
		w.expect(t, "+QUEUED", "SET", "k", "v")
		w.expect(t, "-EXECABORT Transaction discarded because of previous errors.", "EXEC")
		expectCounts(t, r, 2, 1)
		r.Remove()

		r = inject(t, b, Fault{Command: "exec", Error: "OOM no", Times: 1})
		w.expect(t, "+OK", "MULTI")
		w.expect(t, "+QUEUED", "SET", "k", "v")
		w.expect(t, "-OOM no", "EXEC")
		w.expect(t, "nil", "GET", "k")
		r.Remove()

		r = inject(t, b, Fault{Command: "incr", Delay: Fixed(time.Second)})
		w.expect(t, "+OK", "MULTI")
		w.send(t, "INCR", "n")
		awaitPostponed(t, b, 1)
		b.Advance(time.Second)
		if got := w.reply(t); got != "+QUEUED" {
			t.Error(got)
		}
		w.expect(t, "[1]", "EXEC")
		expectCounts(t, r, 1, 1)
	})
}

// A command meets rule after rule until one ends its way.
func TestFaultsInOrder(t *testing.T) {
	b := newBroker(t, frozen)
	w := inMemory(t, b)
	first := inject(t, b, Fault{Command: "get", Delay: Fixed(time.Second)})
	second := inject(t, b, Fault{Key: "k", Delay: Fixed(2 * time.Second)})
	inject(t, b, Fault{Error: "FAULT", Command: "ping"})
	fourth := inject(t, b, Fault{Drop: DropAfter})
	if got := b.Rules(); len(got) != 4 || got[0] != first || got[3].ID() != 4 || got[1].String() != second.String() {
		t.Errorf("rules: %v", got)
	}
	w.expect(t, "-FAULT", "PING")
	w.write(t, "GET k")
	b.Advance(2999 * time.Millisecond)
	awaitPostponed(t, b, 1)
	b.Advance(time.Millisecond)
	if got := w.all(t); got != "" {
		t.Errorf("received %q", got)
	}
	expectCounts(t, fourth, 1, 1)
}

// Rules that come and go while a command is under way: it meets those that are made
// behind the one that it waits for, and not those that have gone.
func TestFaultsThatChange(t *testing.T) {
	b := newBroker(t, frozen)
	w := inMemory(t, b)
	first := inject(t, b, Fault{Delay: Fixed(time.Hour)})
	second := inject(t, b, Fault{Error: "SECOND"})
	w.send(t, "PING")
	third := inject(t, b, Fault{Error: "THIRD"})
	second.Remove()
	first.Remove()
	if got := w.reply(t); got != "-THIRD" {
		t.Error(got)
	}
	third.Remove()
	w.expect(t, "+PONG", "PING")
}

func TestWaitFired(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		r := inject(t, b, Fault{Command: "blpop", Delay: Fixed(time.Hour)})
		w := newWire(dial(t))
		w.send(t, "BLPOP", "q", "0")
		if err := r.WaitFired(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.WaitFired(ctx, 2); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		r.Remove()
		if err := b.WaitBlocked(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if err := r.WaitFired(t.Context(), 2); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if _, err := b.Inject(Fault{Error: "x"}); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// A fault that is none is an error that names the field.
func TestFaultIsChecked(t *testing.T) {
	b := newBroker(t, frozen)
	ask := func(c *Command) Verdict { return c.Pass() }
	for _, c := range []struct {
		fault Fault
		names string
	}{
		{Fault{}, "has no effect"},
		{Fault{Command: "get", Nth: 1}, "has no effect"},
		{Fault{Command: "nosuch", Error: "x"}, "Fault.Command"},
		{Fault{Nth: -1, Error: "x"}, "Fault.Nth"},
		{Fault{Times: -1, Error: "x"}, "Fault.Times"},
		{Fault{Probability: -0.1, Error: "x"}, "Fault.Probability"},
		{Fault{Probability: 1.1, Error: "x"}, "Fault.Probability"},
		{Fault{Probability: nan(), Error: "x"}, "Fault.Probability"},
		{Fault{Stall: -1}, "Fault.Stall"},
		{Fault{Delay: Fixed(0)}, "Fault.Delay"},
		{Fault{Delay: Fixed(-1)}, "Fault.Delay"},
		{Fault{Delay: Uniform{2, 1}}, "Fault.Delay"},
		{Fault{Delay: Uniform{-2, 1}}, "Fault.Delay"},
		{Fault{Delay: Normal{1, -1}}, "Fault.Delay"},
		{Fault{Delay: Exponential{}}, "Fault.Delay"},
		{Fault{Delay: DelayFunc(nil)}, "Fault.Delay"},
		{Fault{Error: "-ERR x"}, "Fault.Error"},
		{Fault{Error: "two\nlines"}, "Fault.Error"},
		{Fault{Error: " x"}, "Fault.Error"},
		{Fault{Drop: 4}, "Fault.Drop"},
		{Fault{Drop: -1}, "Fault.Drop"},
		{Fault{Error: "x", Drop: DropAfter}, "Fault.Drop"},
		{Fault{Func: ask, Error: "x"}, "Fault.Error"},
		{Fault{Func: ask, Drop: DropAfter}, "Fault.Drop"},
		{Fault{Refuse: true, Command: "get"}, "Fault.Command"},
		{Fault{Refuse: true, Client: "x"}, "Fault.Client"},
		{Fault{Refuse: true, RTT: 1}, "Fault.RTT"},
		{Fault{RTT: 1, Key: "k"}, "Fault.Key"},
		{Fault{Upload: 1, Nth: 1}, "Fault.Nth"},
		{Fault{Upload: -1}, "Fault.Upload"},
		{Fault{Download: -1}, "Fault.Download"},
		{Fault{RTT: -1}, "Fault.RTT"},
		{Fault{RTT: 1, Delay: Fixed(1)}, "Fault.Delay"},
	} {
		r, err := b.Inject(c.fault)
		if r != nil || err == nil || !strings.Contains(err.Error(), c.names) || !strings.Contains(err.Error(), "expected") && !strings.Contains(err.Error(), "no command") {
			t.Errorf("%+v: got %v, expected an error about %s", c.fault, err, c.names)
		}
	}
}

// While there is no rule any more, commands do not look for any.
func TestNoRulesNoGates(t *testing.T) {
	b := newBroker(t, frozen)
	network := inject(t, b, Fault{RTT: time.Second, Client: "x"})
	refuse := inject(t, b, Fault{Refuse: true, Nth: 1000})
	if b.postponers != 0 {
		t.Error("commands look for rules that are not about them")
	}
	r := inject(t, b, Fault{Error: "x", Command: "get"})
	if b.postponers == 0 {
		t.Error("commands do not look for rules")
	}
	for _, r := range []*Rule{r, network, refuse} {
		r.Remove()
	}
	w := inMemory(t, b)
	w.expect(t, "+OK", "CLIENT", "PAUSE", "10", "WRITE")
	b.Stall(20 * time.Millisecond)
	b.Advance(time.Second)
	if b.postponers != 0 {
		t.Errorf("gates are %b after all has ended", b.postponers)
	}
}

// Through go-redis in a bubble: a delay takes its time, a reply that is lost is an
// error, and what go-redis does about it can be seen.
func TestFaultsThroughGoRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{})
		rdb := goRedis(t, b)
		ctx := t.Context()
		if err := rdb.Ping(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		r := inject(t, b, Fault{Command: "get", Delay: Uniform{time.Second, 2 * time.Second}, Seed: 1})
		from := time.Now()
		if err := rdb.Get(ctx, "k").Err(); err != redis.Nil {
			t.Error(err)
		}
		if took := time.Since(from); took < time.Second || took > 2*time.Second {
			t.Errorf("took %v, want 1 to 2 s", took)
		}
		r.Remove()

		// A client that gives up: its RPUSH runs nevertheless.
		r = inject(t, b, Fault{Command: "rpush", Delay: Fixed(10 * time.Second)})
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := rdb.RPush(short, "q", "x").Err(); err == nil {
			t.Error("expected a timeout")
		}
		if n := rdb.LLen(ctx, "q").Val(); n != 0 {
			t.Error("it has run already")
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		if n := rdb.LLen(ctx, "q").Val(); n != 1 {
			t.Error("it has not run")
		}
		r.Remove()

		for _, drop := range []Drop{DropBefore, DropAfter, DropHalf} {
			r := inject(t, b, Fault{Command: "incr", Drop: drop})
			before, _ := rdb.Get(ctx, "n").Int()
			if err := rdb.Incr(ctx, "n").Err(); err == nil {
				t.Errorf("drop=%v: expected an error", drop)
			}
			after, _ := rdb.Get(ctx, "n").Int()
			if ran := after > before; ran != (drop != DropBefore) {
				t.Errorf("drop=%v: ran is %t", drop, ran)
			}
			r.Remove()
		}

		inject(t, b, Fault{Refuse: true, Times: 100})
		if err := goRedis(t, b).Ping(ctx).Err(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v, want ECONNREFUSED", err)
		}
	})
}

func nan() float64 { return math.NaN() }

package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
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
		args, _ := splitLine([]byte(c))
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
		if got := b.Rules(); len(got) != 0 || b.gates != 0 {
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
		awaitBlockedOrNot(t, b)
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

// awaitBlockedOrNot lets what waits time out.
func awaitBlockedOrNot(t testing.TB, b *Broker) {
	t.Helper()
	b.Advance(time.Second)
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

// A delay holds up its client, and nobody else.
func TestFaultDelay(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		r := inject(t, b, Fault{Command: "append", Delay: Fixed(100 * time.Millisecond)})
		slow, other := newWire(dial(t)), newWire(dial(t))
		slow.write(t, "PING", "APPEND k a", "PING", "APPEND k b", "GET k")
		if got := slow.reply(t); got != "+PONG" {
			t.Error(got)
		}
		awaitHeld(t, b, 1)
		other.expect(t, "nil", "GET", "k")
		b.Advance(99 * time.Millisecond)
		other.expect(t, "nil", "GET", "k")
		b.Advance(time.Millisecond)
		other.expect(t, "a", "GET", "k")
		b.Advance(99 * time.Millisecond)
		other.expect(t, "a", "GET", "k")
		b.Advance(time.Millisecond)
		for _, want := range []string{"1", "+PONG", "2", "ab"} {
			if got := slow.reply(t); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		expectCounts(t, r, 2, 2)
	})
}

// Delays that end at the same time end in the order in which they began.
func TestFaultDelayKeepsOrder(t *testing.T) {
	b := newBroker(t, frozen)
	inject(t, b, Fault{Command: "append", Delay: Fixed(time.Second)})
	want := ""
	for i := range 9 {
		inMemory(t, b).write(t, fmt.Sprint("APPEND k ", i))
		want += fmt.Sprint(i)
	}
	b.Advance(time.Second)
	inMemory(t, b).expect(t, `"`+want+`"`, "GET", "k")
}

// What a client has sent before it goes is run after its delay, as by a slow server,
// and it is gone for everybody.
func TestFaultDelayOfClientThatGoes(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		r := inject(t, b, Fault{Command: "rpush", Delay: Fixed(time.Second)})
		goer, other := newWire(dial(t)), newWire(dial(t))
		goer.expect(t, "[subscribe news 1]", "SUBSCRIBE", "news")
		goer.expect(t, "[unsubscribe news 0]", "UNSUBSCRIBE", "news")
		goer.do(t, "HELLO", "3")
		goer.expect(t, ">[subscribe news 1]", "SUBSCRIBE", "news")
		goer.write(t, "RPUSH q a", "RPUSH q b", "RPUSH q c", "BLPOP nothing 0")
		awaitHeld(t, b, 1)
		if err := goer.Close(); err != nil {
			t.Fatal(err)
		}
		await(t, b, "the client has gone", func() bool { return len(b.sessions) == 1 })
		other.expect(t, "0", "PUBLISH", "news", "hello")
		if got := b.Clients(); len(got) != 1 {
			t.Errorf("the client that has gone is listed: %q", got)
		}
		b.Advance(2 * time.Second)
		other.expect(t, "[a b]", "LRANGE", "q", "0", "-1")
		r.Remove()
		other.expect(t, "[a b c]", "LRANGE", "q", "0", "-1")
		other.expect(t, "0", "PUBLISH", "news", "hello")
		awaitHeld(t, b, 0)
		if n := b.stats.blocked; n != 0 {
			t.Errorf("%d clients are blocked, expected none", n)
		}
	})
}

// A delay is not applied twice to a command that had to wait for something else, too.
func TestFaultDelayIsAppliedOnce(t *testing.T) {
	b := newBroker(t, frozen)
	a, c := inMemory(t, b), inMemory(t, b)
	r := inject(t, b, Fault{Command: "set", Delay: Fixed(time.Second)})
	// Paused first, and meanwhile: the delay begins when the pause is over, and a pause
	// that begins in the delay postpones what comes after it.
	c.expect(t, "+OK", "CLIENT", "PAUSE", "1000", "WRITE")
	a.write(t, "SET k v", "GET k")
	b.Advance(1500 * time.Millisecond)
	expectCounts(t, r, 1, 1)
	c.expect(t, "+OK", "CLIENT", "PAUSE", "10000", "WRITE")
	b.Stall(600 * time.Millisecond)
	b.Advance(9999 * time.Millisecond)
	awaitHeld(t, b, 1)
	b.Advance(time.Millisecond)
	if got := a.reply(t) + " " + a.reply(t); got != "+OK v" {
		t.Error(got)
	}
	expectCounts(t, r, 1, 1)
	// BLPOP has met the rules before it waits.
	r = inject(t, b, Fault{Command: "blpop", Delay: Fixed(time.Second)})
	a.send(t, "BLPOP", "q", "0")
	b.Advance(time.Second)
	c.expect(t, "1", "RPUSH", "q", "x")
	if got := a.reply(t); got != "[q x]" {
		t.Error(got)
	}
	expectCounts(t, r, 1, 1)
}

// Drawn delays come from the seed, and are within their bounds.
func TestDelayDraws(t *testing.T) {
	for _, c := range []struct {
		delay     Delay
		low, high time.Duration
		mean      time.Duration
	}{
		{Fixed(5 * time.Millisecond), 5 * time.Millisecond, 5 * time.Millisecond, 5 * time.Millisecond},
		{Uniform{10 * time.Millisecond, 30 * time.Millisecond}, 10 * time.Millisecond, 30 * time.Millisecond, 20 * time.Millisecond},
		{Normal{50 * time.Millisecond, 5 * time.Millisecond}, 20 * time.Millisecond, 80 * time.Millisecond, 50 * time.Millisecond},
		{Exponential{10 * time.Millisecond}, 0, 200 * time.Millisecond, 10 * time.Millisecond},
		{DelayFunc(func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(1000)) }), 0, 1000, 500},
	} {
		draw := func(seed uint64) (sum time.Duration, all []time.Duration) {
			r := rand.New(rand.NewPCG(seed, 0))
			for range 10_000 {
				d := c.delay.Draw(r)
				if d < c.low || d > c.high {
					t.Errorf("%v: drew %v, expected %v to %v", c.delay, d, c.low, c.high)
				}
				sum += d
				all = append(all, d)
			}
			return sum, all
		}
		sum, first := draw(1)
		_, again := draw(1)
		if mean := sum / 10_000; mean < c.mean*95/100 || mean > c.mean*105/100 {
			t.Errorf("%v: the mean is %v, want about %v", c.delay, mean, c.mean)
		}
		if fmt.Sprint(first) != fmt.Sprint(again) {
			t.Errorf("%v: the same seed drew something else", c.delay)
		}
	}
}

// A client that is dropped has received what came before, and a part of the reply if
// that is wanted; nothing behind it runs, and the connection is closed.
func TestFaultDrop(t *testing.T) {
	for _, c := range []struct {
		drop Drop
		want string // what the client receives after +PONG
		ran  string
	}{
		{DropBefore, "", "nil"},
		{DropAfter, "", "[one two three]"},
		{DropHalf, "*3\r\n$3\r\none\r\n$3\r", "[one two three]"},
	} {
		t.Run(c.drop.String(), func(t *testing.T) {
			transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
				r := inject(t, b, Fault{Command: "lrange", Drop: c.drop})
				push := inject(t, b, Fault{Command: "rpushx", Drop: c.drop})
				w, other := newWire(dial(t)), newWire(dial(t))
				other.expect(t, "3", "RPUSH", "q", "one", "two", "three")
				w.write(t, "PING", "LRANGE q 0 -1", "RPUSH q four")
				if got := w.all(t); got != "+PONG\r\n"+c.want {
					t.Errorf("received %q, want %q", got, "+PONG\r\n"+c.want)
				}
				if _, err := w.Write(request("RPUSH", "q", "five")); err == nil {
					w.Write(request("RPUSH", "q", "six")) // on a socket the first write after the end may pass
				}
				other.expect(t, "3", "LLEN", "q")

				w = newWire(dial(t))
				w.write(t, "RPUSHX q four")
				want := map[Drop]string{DropHalf: ":4"}[c.drop]
				if got := w.all(t); got != want {
					t.Errorf("received %q, want %q", got, want)
				}
				n := map[Drop]string{DropBefore: "3", DropAfter: "4", DropHalf: "4"}[c.drop]
				other.expect(t, n, "LLEN", "q")
				expectCounts(t, r, 1, 1)
				expectCounts(t, push, 1, 1)
				if got := b.Clients(); len(got) != 1 {
					t.Errorf("clients are left: %q", got)
				}
				info := other.do(t, "INFO", "stats")
				if !strings.Contains(info, "faults_dropped_clients:2") {
					t.Error(info)
				}
			})
		})
	}
}

// A client that waits is dropped when it gets its reply, and the element is lost.
func TestFaultDropOfBlocked(t *testing.T) {
	for drop, want := range map[Drop]string{DropAfter: "", DropHalf: "*2\r\n$1\r\nq\r"} {
		t.Run(drop.String(), func(t *testing.T) {
			transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
				inject(t, b, Fault{Command: "blpop", Drop: drop})
				for _, late := range []bool{false, true} {
					w, other := newWire(dial(t)), newWire(dial(t))
					w.write(t, "BLPOP q 1", "SET after 1")
					if err := b.WaitBlocked(t.Context(), 1); err != nil {
						t.Fatal(err)
					}
					want := want
					if late {
						b.Advance(time.Second)
						want = map[Drop]string{DropHalf: "*-"}[drop]
					} else {
						other.expect(t, "1", "RPUSH", "q", "word")
					}
					if got := w.all(t); got != want {
						t.Errorf("late %t: received %q, want %q", late, got, want)
					}
					other.expect(t, "0", "EXISTS", "q", "after")
				}
			})
		})
	}
}

// EXEC is dropped like others: in the middle of its reply, all of it having run.
func TestFaultDropOfExec(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		inject(t, b, Fault{Command: "exec", Drop: DropHalf})
		w, other := newWire(dial(t)), newWire(dial(t))
		w.write(t, "MULTI", "INCR k", "INCR k", "EXEC")
		if got := w.all(t); got != "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1" {
			t.Errorf("received %q", got)
		}
		other.expect(t, `"2"`, "GET", "k")
	})
}

// A large reply is cut in the middle, on every kind of connection, however much the
// client has sent behind it.
func TestFaultDropOfLargeReply(t *testing.T) {
	const size = 1 << 20
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		inject(t, b, Fault{Command: "get", Drop: DropHalf})
		w := newWire(dial(t))
		w.expect(t, "+OK", "SET", "k", strings.Repeat("x", size))
		w.write(t, "GET k")
		whole := fmt.Sprintf("$%d\r\n%s\r\n", size, strings.Repeat("x", size))
		if got := w.all(t); got != whole[:len(whole)/2] {
			t.Errorf("received %d bytes, want %d", len(got), len(whole)/2)
		}
	})
}

func TestFaultStall(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		inject(t, b, Fault{Command: "incr", Nth: 2, Stall: time.Second, Delay: Fixed(time.Second)})
		w, other := newWire(dial(t)), newWire(dial(t))
		w.expect(t, "1", "INCR", "k")
		w.send(t, "INCR", "k")
		awaitHeld(t, b, 1)
		other.send(t, "GET", "k")
		awaitHeld(t, b, 2)
		b.Advance(time.Second)
		if got := other.reply(t); got != `"1"` {
			t.Errorf("after the stall, in the delay: %s", got)
		}
		b.Advance(time.Second)
		if got := w.reply(t); got != "2" {
			t.Error(got)
		}
	})
}

func TestFaultRefuse(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, _ func(testing.TB) net.Conn) {
		r := inject(t, b, Fault{Refuse: true, Nth: 2})
		first := inMemory(t, b)
		if _, err := b.Dial(t.Context(), "", ""); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v, want ECONNREFUSED", err)
		}
		expectCounts(t, r, 2, 1)
		first.expect(t, "+PONG", "PING")
		inMemory(t, b).expect(t, "+PONG", "PING")
	})
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			b := newBroker(t, Options{})
			dial := serve(t, b, network)
			r := inject(t, b, Fault{Refuse: true, Times: 1})
			conn := newWire(dial(t))
			if got := conn.all(t); got != "" {
				t.Errorf("received %q", got)
			}
			expectCounts(t, r, 1, 1)
			w := newWire(dial(t))
			if info := w.do(t, "INFO", "stats"); !strings.Contains(info, "faults_refused_connections:1") {
				t.Error(info)
			}
		})
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
		awaitHeld(t, b, 1)
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
	awaitHeld(t, b, 1)
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
	if b.gates != 0 {
		t.Error("commands look for rules that are not about them")
	}
	r := inject(t, b, Fault{Error: "x", Command: "get"})
	if b.gates == 0 {
		t.Error("commands do not look for rules")
	}
	for _, r := range []*Rule{r, network, refuse} {
		r.Remove()
	}
	w := inMemory(t, b)
	w.expect(t, "+OK", "CLIENT", "PAUSE", "10", "WRITE")
	b.Stall(20 * time.Millisecond)
	b.Advance(time.Second)
	if b.gates != 0 {
		t.Errorf("gates are %b after all has ended", b.gates)
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
			t.Error("expected a time-out")
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

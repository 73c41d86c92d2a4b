package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"redrpc/broker/internal/transport"
	"redrpc/internal/redistest"
)

// await waits until something holds of a broker. It is called under the lock.
func await(t testing.TB, b *Broker, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); runtime.Gosched() {
		b.mu.Lock()
		done := holds()
		b.mu.Unlock()
		if done {
			return
		}
	}
	t.Fatalf("still not: %s", what)
}

// awaitPostponed waits until n commands are held.
func awaitPostponed(t testing.TB, b *Broker, n int) {
	t.Helper()
	await(t, b, fmt.Sprintf("%d commands are held", n), func() bool { return len(b.postponements.all) == n })
}

// goRedis returns a client of a broker in memory that tries nothing twice.
func goRedis(t testing.TB, b *Broker) *redis.Client {
	rdb := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:0", Dialer: b.Dial, MaxRetries: -1, PoolSize: 100, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// frozen is the clock of tests that move time themselves.
var frozen = Options{ManualTime: time.Unix(1e9, 0)}

// CLIENT PAUSE ALL postpones every command, CLIENT UNPAUSE and QUIT too; only what is
// wrong is answered.
func TestPauseAll(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		var w [5]*wire
		for i := range w {
			w[i] = newWire(dial(t))
			w[i].expect(t, "+PONG", "PING")
		}
		w[0].expect(t, "+OK", "CLIENT", "PAUSE", "1000", "ALL")
		w[0].expect(t, "-ERR wrong number of arguments for 'get' command", "GET")
		for i, command := range []string{"CLIENT UNPAUSE", "PING", "QUIT", "RESET", "APPEND k v"} {
			if _, err := w[i].Write(append(request(strings.Fields(command)...), request("APPEND", "k", fmt.Sprint(i))...)); err != nil {
				t.Fatal(err)
			}
			if err := b.WaitBlocked(t.Context(), i+1); err != nil {
				t.Fatal(err)
			}
		}
		for _, line := range b.Clients() {
			if !strings.Contains(line, " flags=b ") && !strings.Contains(line, " flags=bU ") {
				t.Errorf("expected flags=b in %s", line)
			}
		}
		b.Advance(time.Second - 1)
		awaitPostponed(t, b, 5)
		b.Advance(1)
		for i, want := range []string{"+OK 1", "+PONG 2", "+OK ", "+RESET 3", "4 5"} {
			first, _ := w[i].read()
			second, err := w[i].read()
			if got := first + " " + second; got != want {
				t.Errorf("client %d: got %q, %v; want %q", i, got, err, want)
			}
		}
		w[0].expect(t, `"013v4"`, "GET", "k")
	})
}

// The same on both servers, as far as time allows to see it: in a pause of all
// nothing is answered, not even CLIENT UNPAUSE.
func TestPauseAllTakesItsTime(t *testing.T) {
	const d = 50 * time.Millisecond
	check := func(t *testing.T, dial func() net.Conn) {
		a, b := newWire(dial()), newWire(dial())
		b.expect(t, "+PONG", "PING")
		from := time.Now()
		a.expect(t, "+OK", "CLIENT", "PAUSE", fmt.Sprint(d.Milliseconds()))
		b.expect(t, "+PONG", "PING")
		a.expect(t, "+OK", "CLIENT", "UNPAUSE")
		if took := time.Since(from); took < d {
			t.Errorf("a PING was answered after %v, within the pause of %v", took, d)
		}
	}
	t.Run("broker", func(t *testing.T) {
		b := newBroker(t, Options{})
		check(t, func() net.Conn { return inMemory(t, b).Conn })
	})
	t.Run("redis", func(t *testing.T) {
		server := redistest.Start(t)
		check(t, func() net.Conn { return dial(t, server.TCPAddr()) })
	})
}

// CLIENT UNBLOCK does nothing to a client that is paused; it kills redis-server
// 7.0.15, and does nothing in later versions.
func TestUnblockOfPaused(t *testing.T) {
	b := newBroker(t, frozen)
	a, c := inMemory(t, b), inMemory(t, b)
	id := a.do(t, "CLIENT", "ID")
	c.expect(t, "+OK", "CLIENT", "PAUSE", "1000", "WRITE")
	a.send(t, "BLPOP", "q", "0")
	c.expect(t, "0", "CLIENT", "UNBLOCK", id)
	c.expect(t, "+OK", "CLIENT", "UNPAUSE")
	c.expect(t, "1", "CLIENT", "UNBLOCK", id)
	if got := a.reply(t); got != "nil-list" {
		t.Error(got)
	}
}

// A pause looks away from the limit of memory, which holds again at its end.
func TestPauseAndMaxMemory(t *testing.T) {
	b := newBroker(t, frozen)
	a, c := inMemory(t, b), inMemory(t, b)
	c.expect(t, "+OK", "CLIENT", "PAUSE", "1000", "WRITE")
	c.expect(t, "+OK", "CONFIG", "SET", "maxmemory", "1")
	a.send(t, "SET", "k", "v")
	awaitPostponed(t, b, 1)
	c.expect(t, "+OK", "CLIENT", "UNPAUSE")
	if got := a.reply(t); !strings.HasPrefix(got, "-OOM") {
		t.Error(got)
	}
}

// In a stall nothing runs and nothing is due. At its end all that was due happens, and
// then what clients have sent, in order, of those too that have gone.
func TestStall(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		sleeper, waiting, goer, late := newWire(dial(t)), newWire(dial(t)), newWire(dial(t)), newWire(dial(t))
		goer.expect(t, "+PONG", "PING")
		late.expect(t, "+OK", "SET", "k", "v", "PX", "500")
		waiting.send(t, "BLPOP", "q", "0.5")
		if err := b.WaitBlocked(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if _, err := sleeper.Write(append(request("DEBUG", "SLEEP", "1"), request("APPEND", "order", "a")...)); err != nil {
			t.Fatal(err)
		}
		awaitPostponed(t, b, 1)
		if _, err := goer.Write(append(request("APPEND", "order", "b"), request("APPEND", "order", "c")...)); err != nil {
			t.Fatal(err)
		}
		awaitPostponed(t, b, 2)
		if err := goer.Close(); err != nil {
			t.Fatal(err)
		}
		await(t, b, "the client has gone", func() bool { return len(b.sessions) == 3 })
		late.send(t, "EXISTS", "k")
		awaitPostponed(t, b, 3)
		late.send(t, "RPUSH", "q", "x")
		late.send(t, "GET", "order")
		b.Advance(999 * time.Millisecond)
		for _, w := range []*wire{sleeper, waiting, late} {
			if err := w.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if got, err := w.in.Peek(1); err == nil {
				t.Errorf("%q was received during the stall", got)
			}
		}
		if got := b.Clients(); len(got) != 3 {
			t.Errorf("%d clients are listed, expected those three that are still there: %q", len(got), got)
		}
		b.Advance(time.Millisecond)
		for _, want := range []struct {
			w    *wire
			want string
		}{{waiting, "nil-list"}, {sleeper, "+OK"}, {sleeper, "1"}, {late, "0"}, {late, "1"}, {late, "abc"}} {
			if got := want.w.reply(t); got != want.want {
				t.Errorf("got %s, want %s", got, want.want)
			}
		}
		if left := len(b.postponements.all); left != 0 {
			t.Errorf("%d commands are still held", left)
		}
	})
}

// DEBUG SLEEP in a transaction keeps its replies back.
func TestStallInTransaction(t *testing.T) {
	b := newBroker(t, frozen)
	a := inMemory(t, b)
	a.expect(t, "+OK", "MULTI")
	a.expect(t, "+QUEUED", "DEBUG", "SLEEP", "1.5")
	a.expect(t, "+QUEUED", "INCR", "k")
	a.send(t, "EXEC")
	if n := a.Conn.(*transport.MemoryClient).Transport().Backlog(); n > 0 {
		t.Errorf("%d bytes were sent before the end", n)
	}
	b.Advance(1500 * time.Millisecond)
	if got := a.reply(t); got != "[+OK 1]" {
		t.Error(got)
	}
}

func TestStallMethods(t *testing.T) {
	b := newBroker(t, frozen)
	a := inMemory(t, b)
	b.Stall(0)
	b.Stall(-1)
	a.expect(t, "+PONG", "PING")
	b.Stall(time.Hour)
	b.Stall(time.Second) // does not shorten it
	a.send(t, "PING")
	b.Advance(time.Minute)
	awaitPostponed(t, b, 1)
	b.Resume()
	if got := a.reply(t); got != "+PONG" {
		t.Error(got)
	}
	b.Resume()
	b.Stall(1<<63 - 1)
	b.Advance(1000 * time.Hour)
	a.send(t, "PING")
	awaitPostponed(t, b, 1)
	c := inMemory(t, b) // it can connect, and waits too
	c.send(t, "SET", "k", "v")
	awaitPostponed(t, b, 2)
	c.send(t, "DEBUG", "SLEEP", "1")
	b.Resume()
	if got := a.reply(t); got != "+PONG" {
		t.Error(got)
	}
	b.Advance(time.Second)
	for range 2 {
		if got := c.reply(t); got != "+OK" {
			t.Error(got)
		}
	}
}

// A stall that follows from what a stall held up holds up the rest again, in order.
func TestStallAfterStall(t *testing.T) {
	b := newBroker(t, frozen)
	var w [4]*wire
	for i := range w {
		w[i] = inMemory(t, b)
	}
	b.Stall(time.Second)
	w[0].send(t, "APPEND", "k", "0")
	w[1].send(t, "DEBUG", "SLEEP", "1")
	w[2].send(t, "APPEND", "k", "2")
	w[3].send(t, "APPEND", "k", "3")
	w[1].send(t, "APPEND", "k", "1")
	b.Advance(time.Second)
	awaitPostponed(t, b, 3)
	b.Advance(time.Second)
	awaitPostponed(t, b, 0)
	w[0].reply(t)
	w[0].expect(t, `"0123"`, "GET", "k")
}

// A broker that is closed leaves nothing behind of clients that it holds.
func TestCloseWhileHeld(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		paused, goer, sleeper := newWire(dial(t)), newWire(dial(t)), newWire(dial(t))
		paused.expect(t, "+OK", "CLIENT", "PAUSE", "100000", "WRITE")
		paused.send(t, "SET", "k", "v")
		awaitPostponed(t, b, 1)
		sleeper.send(t, "DEBUG", "SLEEP", "1000")
		await(t, b, "it stalls", func() bool { return b.stall.until != 0 })
		goer.send(t, "SET", "k", "v")
		awaitPostponed(t, b, 2)
		goer.Close()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		for _, w := range []*wire{paused, sleeper} {
			if got, err := w.read(); err == nil {
				t.Errorf("a client read %s from a closed broker", got)
			}
		}
		awaitPostponed(t, b, 0)
	})
}

// A client that is held and sends more than it may is closed.
func TestQueryLimitWhileHeld(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1e9, 0), MaxQuery: 1 << 20})
	w := inMemory(t, b)
	b.Stall(time.Second)
	for range 100 {
		if _, err := w.Write([]byte(strings.Repeat("PING\r\n", 10_000))); err != nil {
			b.Advance(time.Second)
			inMemory(t, b).expect(t, "+PONG", "PING")
			return
		}
	}
	t.Error("6 MB were taken, with a limit of 1 MiB")
}

// Pauses and stalls take exactly their time in a bubble, without anybody sleeping.
func TestHoldingInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{})
		rdb := goRedis(t, b)
		ctx := context.Background()
		timed := func(what string, want time.Duration, do func() error) {
			t.Helper()
			from := time.Now()
			if err := do(); err != nil && err != redis.Nil {
				t.Errorf("%s: %v", what, err)
			}
			if took := time.Since(from); took != want {
				t.Errorf("%s took %v, want %v", what, took, want)
			}
		}
		timed("DEBUG SLEEP", 2500*time.Millisecond, func() error { return rdb.Do(ctx, "DEBUG", "SLEEP", "2.5").Err() })
		b.Stall(time.Hour)
		go func() {
			<-time.After(time.Minute)
			b.Resume()
		}()
		rdb = goRedis(t, b)
		slow := redis.NewClient(func() *redis.Options { o := *rdb.Options(); o.ReadTimeout = -1; return &o }())
		defer slow.Close()
		timed("a GET in a stall that is ended after a minute", time.Minute, func() error { return slow.Get(ctx, "k").Err() })
		timed("CLIENT PAUSE", 0, func() error { return slow.ClientPause(ctx, 10*time.Second).Err() })
		timed("a GET in a pause", 10*time.Second, func() error { return slow.Get(ctx, "k").Err() })
		b.Stall(time.Minute)
		timed("a BLPOP of a second in a stall", time.Minute+time.Second, func() error { return slow.Do(ctx, "BLPOP", "q", "1").Err() })
	})
}

// Whatever holds clients up, in whatever order, at random: no command is lost, none runs
// twice and none before another of its client, also of clients that close.
func TestHoldingLosesNothing(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		const clients, rounds = 6, 300
		control := newWire(dial(t))
		control.expect(t, "+OK", "CLIENT", "SETNAME", "control")
		var w [clients]*wire
		var sent [clients]int
		for i := range w {
			w[i] = newWire(dial(t))
			w[i].expect(t, "+OK", "CLIENT", "SETNAME", fmt.Sprint("client", i%2))
		}
		some := func(most time.Duration) time.Duration { return time.Duration(random.Int64N(int64(most))) + 1 }
		var rules []*Rule
		for range rounds {
			i := random.IntN(clients)
			switch random.IntN(12) {
			case 0:
				f := []Fault{
					{Command: "rpush", Delay: Uniform{0, some(time.Second)}, Probability: 0.5},
					{Client: "client0", Delay: Fixed(some(time.Second))},
					{Client: "client1", RTT: some(time.Second), Upload: 1 + random.IntN(1000), Download: 1 + random.IntN(1000)},
					{Key: fmt.Sprint("q", i), Stall: some(time.Second), Probability: 0.2},
					{Client: "client*", Func: func(c *Command) Verdict { return c.Pass().After(time.Millisecond) }},
				}[random.IntN(5)]
				if f.forCommands() {
					f.Seed = random.Uint64()
				}
				rules = append(rules, inject(t, b, f))
			case 1:
				if len(rules) > 0 {
					rules[random.IntN(len(rules))].Remove()
				}
			case 2:
				b.Stall(some(time.Second))
			case 3:
				mode := []string{"WRITE", "ALL"}[random.IntN(2)]
				if _, err := b.Do("CLIENT", "PAUSE", some(time.Second).Milliseconds(), mode); err != nil {
					t.Fatal(err)
				}
			case 4:
				b.Resume()
			case 5, 6, 7:
				b.Advance(some(time.Second))
			default:
				var p []byte
				for range 1 + random.IntN(10) {
					p = append(p, request("RPUSH", fmt.Sprint("q", i), fmt.Sprint(sent[i]))...)
					sent[i]++
				}
				if _, err := w[i].Write(p); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, r := range rules {
			r.Remove()
		}
		if _, err := b.Do("CLIENT", "UNPAUSE"); err != nil {
			t.Fatal(err)
		}
		b.Resume()
		for i := range w {
			await(t, b, "all is released", func() bool {
				b.mu.Unlock()
				defer b.mu.Lock()
				b.Advance(time.Second)
				n, err := As[int](b.Do("LLEN", fmt.Sprint("q", i)))
				return n == sent[i] && err == nil
			})
			for n := range sent[i] {
				if got := w[i].reply(t); got != fmt.Sprint(n+1) {
					t.Fatalf("client %d: reply %d is %s", i, n+1, got)
				}
			}
			got, err := As[[]string](b.Do("LRANGE", fmt.Sprint("q", i), 0, -1))
			for n, element := range got {
				if element != fmt.Sprint(n) || err != nil {
					t.Fatalf("client %d: element %d is %s, %v", i, n, element, err)
				}
			}
		}
		awaitPostponed(t, b, 0)
	})
}

// The commands by which a test moves time work in stalls and pauses, and meet no rules.
func TestTestCommandsAreNotHeld(t *testing.T) {
	o := frozen
	o.TestCommands = true
	b := newBroker(t, o)
	a, control := inMemory(t, b), inMemory(t, b)
	b.Stall(time.Second)
	inject(t, b, Fault{Stall: time.Hour, Nth: 2})
	a.send(t, "PING")
	control.expect(t, "+OK", "REDRPC.ADVANCE", "999")
	awaitPostponed(t, b, 1)
	control.expect(t, "+OK", "REDRPC.ADVANCE", "1")
	if got := a.reply(t); got != "+PONG" {
		t.Error(got)
	}
	a.send(t, "CLIENT", "PAUSE", "1000") // whose rule stalls
	control.expect(t, "+OK", "REDRPC.ADVANCE", "3600000")
	if got := a.reply(t); got != "+OK" {
		t.Error(got)
	}
	a.send(t, "PING")
	control.expect(t, "+OK", "REDRPC.ADVANCE", "1000")
	if got := a.reply(t); got != "+PONG" {
		t.Error(got)
	}
}

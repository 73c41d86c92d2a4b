package broker

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// A delay holds up its client, and nobody else.
func TestFaultDelay(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		r := inject(t, b, Fault{Command: "append", Delay: Fixed(100 * time.Millisecond)})
		slow, other := newWire(dial(t)), newWire(dial(t))
		slow.write(t, "PING", "APPEND k a", "PING", "APPEND k b", "GET k")
		if got := slow.reply(t); got != "+PONG" {
			t.Error(got)
		}
		awaitPostponed(t, b, 1)
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
		awaitPostponed(t, b, 1)
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
		awaitPostponed(t, b, 0)
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
	awaitPostponed(t, b, 1)
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

package broker

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker/internal/transport"
)

// Bytes are under way for half of the round-trip time each way.
func TestSlowNetworkRTT(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		r := inject(t, b, Fault{RTT: 100 * time.Millisecond})
		slow := newWire(dial(t))
		exists := func(want string) {
			t.Helper()
			if got, err := b.Do("GET", "k"); fmt.Sprint(got) != want || err != nil {
				t.Errorf("GET k: %v, %v; want %s", got, err, want)
			}
		}
		slow.write(t, "SET k v", "GET k")
		await(t, b, "it is under way", func() bool { return len(b.sessions) == 1 && b.sessions[1].netem.upInFlight() })
		b.Advance(49 * time.Millisecond)
		exists("<nil>")
		b.Advance(time.Millisecond)
		exists("v")
		await(t, b, "the replies are under way", func() bool { return b.sessions[1].netem.downInFlight() })
		b.Advance(49 * time.Millisecond)
		if n := b.sessions[1].transport.Backlog(); n > 0 {
			t.Errorf("%d bytes have arrived early", n)
		}
		b.Advance(time.Millisecond)
		if got := slow.reply(t) + " " + slow.reply(t); got != "+OK v" {
			t.Error(got)
		}
		expectCounts(t, r, 1, 1)
		r.Remove()
		slow.expect(t, "+PONG", "PING")
		await(t, b, "the network is fast", func() bool { return len(b.netems) == 0 })
	})
}

// Bytes pass at the speed that the rule says, not all at the end.
func TestSlowNetworkSpeed(t *testing.T) {
	b := newBroker(t, frozen)
	w := inMemory(t, b)
	w.expect(t, "+OK", "SET", "k", strings.Repeat("x", 10_000))
	inject(t, b, Fault{Download: 1000})
	link := w.Conn.(*transport.MemoryClient).Transport()
	w.send(t, "GET", "k")
	const size = len("$10000\r\n") + 10_000 + len("\r\n")
	for range 9 {
		b.Advance(time.Second)
	}
	if got := link.Backlog(); got != 9000 {
		t.Errorf("%d bytes have arrived after 9 s at 1000 bytes a second", got)
	}
	b.Advance(time.Second)
	b.Advance(9 * time.Millisecond)
	if got := link.Backlog(); got >= size {
		t.Errorf("all has arrived after 10.009 s")
	}
	b.Advance(time.Millisecond)
	if got := link.Backlog(); got != size {
		t.Errorf("%d bytes have arrived after 10.01 s, want %d", got, size)
	}
	w.reply(t)

	// The other way: a command is there when its last byte is.
	inject(t, b, Fault{Upload: 100})
	p := request("SET", "k", strings.Repeat("y", 1000))
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	takes := time.Duration(len(p)) * 10 * time.Millisecond
	b.Advance(takes - 1)
	if got, _ := b.Do("STRLEN", "k"); got != int64(10_000) {
		t.Errorf("the command has run early: %v", got)
	}
	b.Advance(1)
	if got, _ := b.Do("STRLEN", "k"); got != int64(1000) {
		t.Errorf("the command has not run: %v", got)
	}
}

// A network is that of the clients whose name matches, from when they have it and until
// they have another, and several rules work together.
func TestSlowNetworkByName(t *testing.T) {
	b := newBroker(t, frozen)
	first := inject(t, b, Fault{Client: "slow*", RTT: time.Second, Download: 1000})
	second := inject(t, b, Fault{Client: "*-1", RTT: 2 * time.Second, Download: 500, Upload: 10})
	w := inMemory(t, b)
	w.expect(t, "+PONG", "PING")
	w.send(t, "CLIENT", "SETNAME", "slow-2") // whose reply is slow
	b.Advance(500*time.Millisecond + 4*time.Millisecond)
	if n := w.Conn.(*transport.MemoryClient).Transport().Backlog(); n >= 5 {
		t.Error("it was fast")
	}
	b.Advance(time.Millisecond)
	w.reply(t)
	expectCounts(t, first, 1, 1)
	expectCounts(t, second, 0, 0)
	w.send(t, "CLIENT", "SETNAME", "slow-1")
	b.Advance(500 * time.Millisecond)
	l := b.sessions[1].netem
	if l.up.rate != 10 || l.down.rate != 500 || l.up.lag != int64(1500*time.Millisecond) {
		t.Errorf("the network of both rules is %+v %+v", l.up, l.down)
	}
	first.Remove()
	second.Remove()
	if got := w.reply(t); got != "+OK" {
		t.Error(got)
	}
	w.expect(t, "+PONG", "PING")
	w.expect(t, "+OK", "CLIENT", "SETNAME", "fast")
	expectCounts(t, second, 1, 1)
}

// A client that takes a name with a fast network has what it sent behind that at once,
// and in order, also in the middle of what it sends.
func TestSlowNetworkRenamed(t *testing.T) {
	b := newBroker(t, frozen)
	w := inMemory(t, b)
	w.expect(t, "+OK", "CLIENT", "SETNAME", "slow")
	inject(t, b, Fault{Client: "slow", Upload: 10, Download: 1 << 20})
	w.write(t, "APPEND k a", "CLIENT SETNAME fast", "APPEND k b", "APPEND k c", "QUIT")
	b.Advance(time.Duration(len(batch("APPEND k a", "CLIENT SETNAME fast"))) * 100 * time.Millisecond)
	if got, err := b.Do("GET", "k"); got != "abc" || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if got := w.all(t); got != ":1\r\n+OK\r\n:2\r\n:3\r\n+OK\r\n" {
		t.Errorf("received %q", got)
	}
	if len(b.netems) != 0 || b.keys.Alarms.Len() != 0 {
		t.Errorf("%d lines and %d alarms are left", len(b.netems), b.keys.Alarms.Len())
	}
}

// When the network gets fast, what is under way arrives at once, and in order.
func TestSlowNetworkThatEnds(t *testing.T) {
	b := newBroker(t, frozen)
	r := inject(t, b, Fault{RTT: time.Hour, Upload: 1, Download: 1})
	w := inMemory(t, b)
	var want []string
	for i := range 20 {
		w.write(t, fmt.Sprintf("ECHO word%d", i))
		want = append(want, fmt.Sprintf("word%d", i))
	}
	b.Advance(40 * time.Minute)
	faster := inject(t, b, Fault{Upload: 2})
	r.Remove()
	b.Advance(time.Minute)
	faster.Remove()
	for _, word := range want {
		if got := w.reply(t); got != word {
			t.Errorf("got %s, want %s", got, word)
		}
	}
	if got := b.keys.Alarms.Len(); got != 0 {
		t.Errorf("%d alarms are left", got)
	}
}

// A connection that is closed by the broker delivers what was sent before, and one that
// is closed by the client what was under way.
func TestSlowNetworkAndClosing(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		inject(t, b, Fault{RTT: 2 * time.Second, Upload: 1000})
		w, goer := newWire(dial(t)), newWire(dial(t))
		w.write(t, "PING", "QUIT", "SET k v")
		goer.write(t, "SET gone 1", "BLPOP q 0")
		await(t, b, "all is under way", func() bool {
			return len(b.sessions) == 2 && b.sessions[1].netem.upInFlight() && b.sessions[2].netem.upInFlight()
		})
		if err := goer.Close(); err != nil {
			t.Fatal(err)
		}
		await(t, b, "the client has gone", func() bool { return len(b.sessions) == 1 })
		b.Advance(1100 * time.Millisecond)
		if got, err := b.Do("EXISTS", "gone", "k"); got != int64(1) || err != nil {
			t.Errorf("%v, %v: expected that what was under way has run, and nothing behind QUIT", got, err)
		}
		b.Advance(time.Second)
		if got := w.all(t); got != "+PONG\r\n+OK\r\n" {
			t.Errorf("received %q", got)
		}
		if n := b.stats.blocked; n != 0 {
			t.Errorf("%d clients are blocked", n)
		}
		await(t, b, "all sessions are closed", func() bool { return len(b.sessions) == 0 && b.keys.Alarms.Len() == 0 })
	})
}

// A client that sends faster than its network takes is closed at its limit.
func TestSlowNetworkQueryLimit(t *testing.T) {
	o := frozen
	o.MaxQuery = 1 << 20
	b := newBroker(t, o)
	inject(t, b, Fault{Upload: 1})
	w := inMemory(t, b)
	for i := range 100 {
		if _, err := w.Write([]byte(strings.Repeat("PING\r\n", 10_000))); err != nil {
			if i < 17 {
				t.Errorf("closed after %d bytes", i*60_000)
			}
			return
		}
	}
	t.Error("6 MB were taken, with a limit of 1 MiB")
}

// Through go-redis in a bubble: a call takes the round-trip time, and the time that its
// bytes need.
func TestSlowNetworkThroughGoRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{})
		rdb := goRedis(t, b)
		ctx := t.Context()
		if err := rdb.Set(ctx, "k", strings.Repeat("x", 990), 0).Err(); err != nil {
			t.Fatal(err)
		}
		inject(t, b, Fault{RTT: 40 * time.Millisecond})
		download := inject(t, b, Fault{Download: 1000})
		from := time.Now()
		if err := rdb.Get(ctx, "k").Err(); err != nil {
			t.Fatal(err)
		}
		const want = 40*time.Millisecond + time.Duration(len("$990\r\n")+990+len("\r\n"))*time.Millisecond
		if took := time.Since(from); took != want {
			t.Errorf("took %v, want %v", took, want)
		}
		download.Remove()
		for range 2 { // the first has to connect
			from = time.Now()
			pipe := rdb.Pipeline()
			for range 100 {
				pipe.Get(ctx, "nothing")
			}
			if _, err := pipe.Exec(ctx); err != redis.Nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(from); took != 40*time.Millisecond {
			t.Errorf("a pipeline took %v, want one round trip", took)
		}
	})
}

// The broker's figures of time and bytes are exact at every size.
func TestFlowArithmetic(t *testing.T) {
	for _, rate := range []int64{1, 3, 7, 999, 1000, 1 << 20, 1e9, 1<<63 - 1} {
		f := netemDirection{rate: rate}
		for _, n := range []int{0, 1, 2, 10, 999, 1 << 20, 1 << 30} {
			d := f.duration(n)
			p := netemPacket{remaining: make([]byte, min(n, 1<<20))}
			if n > len(p.remaining) {
				continue
			}
			if got := f.progress(&p, d); got != n {
				t.Errorf("at %d bytes a second %d of %d bytes have arrived after %d ns", rate, got, n, d)
			}
			if n > 0 && d > 0 {
				if got := f.progress(&p, d-1); got >= n {
					t.Errorf("at %d bytes a second %d bytes have arrived after %d ns already", rate, n, d-1)
				}
			}
		}
		if got := f.progress(&netemPacket{remaining: make([]byte, 5)}, 1<<63-1); got != 5 {
			t.Errorf("at %d bytes a second: %d of 5 bytes after 292 years", rate, got)
		}
	}
}

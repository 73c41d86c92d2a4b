package broker

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"redrpc/broker/internal/transport"
)

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
		awaitPostponed(t, b, 1)
		other.send(t, "GET", "k")
		awaitPostponed(t, b, 2)
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
	t.Run("memory", func(t *testing.T) {
		b := newBroker(t, frozen)
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

// What a client is sent before it is dropped arrives, also if the client is still sending
// more than the broker will ever read. A client that reads for longer than the broker waits
// at the end, as it may on a busy machine, may lose the rest.
func TestFaultDropWhileClientSends(t *testing.T) {
	const size = 1 << 20
	whole := fmt.Sprintf("$%d\r\n%s\r\n", size, strings.Repeat("x", size))
	want := strings.Repeat("+PONG\r\n", 1000) + whole[:len(whole)/2]
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		inject(t, b, Fault{Command: "get", Drop: DropHalf})
		newWire(dial(t)).expect(t, "+OK", "SET", "k", strings.Repeat("x", size))
		for range 3 {
			w := newWire(dial(t))
			commands := append(bytes.Repeat(request("PING"), 1000), request("GET", "k")...)
			commands = append(commands, bytes.Repeat(request("PING"), 200_000)...)
			sent, begun := make(chan struct{}), time.Now()
			go func() {
				defer close(sent)
				w.Write(commands) // which may fail at any time
			}()
			got := w.all(t)
			late := time.Since(begun) >= transport.PatienceAtEnd
			if got != want && !(late && strings.HasPrefix(want, got)) {
				t.Errorf("received %d bytes, want %d", len(got), len(want))
			}
			w.Close()
			<-sent
		}
	})
}

// A client that a fault drops inside MULTI has not broken the rules of strict mode, nor
// has one that gets an error which Redis has for who does. The log says what became of
// the commands.
func TestFaultsInTheLog(t *testing.T) {
	o := frozen
	o.Strict, o.LogSize = true, 10
	b := newBroker(t, o)
	inject(t, b, Fault{Command: "get", Error: "ERR unknown command 'GET'"})
	inject(t, b, Fault{Command: "incr", Drop: DropHalf})
	inject(t, b, Fault{Command: "set", Drop: DropBefore})
	inMemory(t, b).write(t, "GET k", "INCR n")
	inMemory(t, b).write(t, "MULTI", "SET k v")
	w := inMemory(t, b)
	inject(t, b, Fault{Command: "blpop", Drop: DropAfter})
	w.write(t, "BLPOP q 1")
	b.Advance(time.Second)
	if got := b.Violations(); len(got) > 0 {
		t.Errorf("violations: %v", got)
	}
	var got []string
	for _, r := range b.Log() {
		_, line, _ := strings.Cut(r.String(), " db 0: ")
		got = append(got, line)
	}
	want := []string{
		"GET k -> refused: ERR unknown command 'GET'", "INCR n -> dropped", "MULTI -> value", "SET k v -> dropped",
		"BLPOP q 1 -> blocked", "BLPOP q 1 -> dropped after 1s",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

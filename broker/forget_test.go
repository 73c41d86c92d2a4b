package broker

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"redrpc/broker/internal/transport"
)

// A client that has gone is forgotten, whatever it has done: nothing refers to it any
// more. Another client tracks keys all the time.
func TestClientsThatHaveGoneAreForgotten(t *testing.T) {
	for _, commands := range []string{
		"PING",
		"CLIENT TRACKING ON",
		"CLIENT TRACKING ON; CLIENT TRACKING OFF",
		"CLIENT TRACKING ON; CLIENT TRACKING ON; CLIENT TRACKING OFF",
		"CLIENT TRACKING ON; GET k",
		"CLIENT TRACKING ON; GET k; CLIENT TRACKING OFF",
		"CLIENT TRACKING ON; GET k; SET k v; CLIENT TRACKING OFF",
		"CLIENT TRACKING ON; GET k; FLUSHALL; CLIENT TRACKING OFF",
		"CLIENT TRACKING ON; RESET",
		"CLIENT TRACKING ON BCAST; SET k v",
		"CLIENT TRACKING ON BCAST PREFIX a PREFIX b; SET a v; CLIENT TRACKING OFF",
		"CLIENT TRACKING ON REDIRECT 1; GET k; SET k v",
		"SUBSCRIBE c; PSUBSCRIBE p; SSUBSCRIBE s",
		"SUBSCRIBE c; RESET",
		"MONITOR",
		"WATCH k; MULTI; SET k v",
		"WATCH k; MULTI; SET k v; EXEC",
		"BLPOP q 0",
		"BLPOP q 0.001; BLPOP q 0",
		"AUTH nobody wrong",
		"CLIENT SETNAME far; SET k v",         // under way when it goes
		"CLIENT SETNAME slow; SET k v; GET k", // kept when it goes
		"CLIENT PAUSE 10; SET k v",
		"DEBUG SLEEP 0.01; SET k v",
		"QUIT",
		"no such command",
		"\"",
	} {
		for _, alone := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s alone=%t", commands, alone), func(t *testing.T) {
				b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0), LogSize: 10, IdleTimeout: time.Hour})
				for _, f := range []Fault{{Client: "far", RTT: time.Millisecond}, {Client: "slow", Delay: Fixed(time.Millisecond)}} {
					if _, err := b.Inject(f); err != nil {
						t.Fatal(err)
					}
				}
				if !alone {
					inMemory(t, b).expect(t, "+OK", "CLIENT", "TRACKING", "ON")
				}
				client := visit(t, b, commands)
				b.Advance(time.Second)
				runtime.GC()
				if client.Value() != nil {
					t.Error("the broker keeps it")
				}
			})
		}
	}
}

// visit is what a client does that comes and goes.
func visit(t *testing.T, b *Broker, commands string) weak.Pointer[session] {
	t.Helper()
	conn, err := b.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	client := weak.Make(sessionOf(conn.(*transport.MemoryClient)))
	for command := range strings.SplitSeq(commands, "; ") {
		if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	return client
}

// A key that is read by one client after the other, and never changes, does not come to
// have more and more readers.
func TestReadersThatHaveGone(t *testing.T) {
	b := newBroker(t, Options{})
	stayer := inMemory(t, b)
	stayer.expect(t, "+OK", "CLIENT", "TRACKING", "ON")
	stayer.expect(t, "nil", "GET", "k")
	for range 1000 {
		visit(t, b, "CLIENT TRACKING ON; GET k")
	}
	b.enter()
	readers := b.tracking.items()
	b.leave()
	if most := 2*1 + keptDisconnected + 1; readers > most {
		t.Errorf("the key has %d readers, expected no more than %d", readers, most)
	}
	stayer.do(t, "HELLO", "3")
	stayer.send(t, "SET", "k", "v")
	if got := stayer.reply(t); got != "+OK" {
		t.Error(got)
	}
	if got := stayer.reply(t); !strings.Contains(got, "invalidate") {
		t.Errorf("got %s, expected to be told that the key has changed", got)
	}
}

// A listener that has been closed is forgotten.
func TestListenersThatAreClosedAreForgotten(t *testing.T) {
	b := newBroker(t, Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Serve(l); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, b, "the listener is forgotten", func() bool { return len(b.listeners) == 0 })
}

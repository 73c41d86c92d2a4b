package broker

import (
	"context"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Without the option a test command is like any that is unknown.
func TestTestCommandsAreAbsent(t *testing.T) {
	w := inMemory(t, newBroker(t, Options{}))
	for _, c := range testRows {
		if got := w.do(t, c.name); !strings.HasPrefix(got, "-ERR unknown command '"+c.name+"'") {
			t.Errorf("%s: got %s", c.name, got)
		}
		w.expect(t, "[nil]", "COMMAND", "INFO", c.name)
	}
	absent := w.do(t, "COMMAND", "COUNT")
	w = inMemory(t, newBroker(t, Options{TestCommands: true}))
	for _, c := range testRows {
		if got := w.do(t, "COMMAND", "INFO", c.name); !strings.HasPrefix(got, "[["+c.name+" ") {
			t.Errorf("%s: got %s", c.name, got)
		}
	}
	if present := w.do(t, "COMMAND", "COUNT"); present == absent {
		t.Errorf("COMMAND COUNT: got %s in both cases", present)
	}
}

func TestSeedCommand(t *testing.T) {
	w := inMemory(t, newBroker(t, Options{TestCommands: true, ManualTime: noon}))
	w.expect(t, "+OK", "REDRPC.SEED", "RPUSH q a 'b c'\nSET k v PX 10")
	w.expect(t, `"SET k v PX 10\nRPUSH q a \"b c\"\n"`, "REDRPC.SNAPSHOT")
	w.expect(t, "-ERR line 1, INCR q: WRONGTYPE Operation against a key holding the wrong kind of value", "REDRPC.SEED", "INCR q")
	w.expect(t, "+OK", "MULTI")
	w.expect(t, "+QUEUED", "REDRPC.SEED", "REDRPC.SEED 'SELECT 1'\nRPUSH q d")
	w.expect(t, "+QUEUED", "LRANGE", "q", "0", "-1")
	w.expect(t, `[+OK [a "b c" d]]`, "EXEC")
}

func TestAdvanceCommand(t *testing.T) {
	transports(t, Options{TestCommands: true, ManualTime: noon}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		w, waiting := newWire(dial(t)), newWire(dial(t))
		w.expect(t, "+OK", "SET", "k", "v", "PX", "1500")
		waiting.send(t, "BLPOP", "q", "1")
		waiting.send(t, "GET", "k")
		waiting.send(t, "REDRPC.ADVANCE", "500")
		waiting.send(t, "GET", "k")
		w.expect(t, "+OK", "REDRPC.WAITBLOCKED", "1", "0")
		io.WriteString(w, "REDRPC.ADVANCE 1000\r\nPTTL k\r\n")
		for _, want := range []string{"+OK", "500"} { // before the other client moves the clock
			if got := w.reply(t); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		for _, want := range []string{"nil-list", "v", "+OK", "nil"} {
			if got := waiting.reply(t); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if got := b.Now(); !got.Equal(noon.Add(1500 * time.Millisecond)) {
			t.Errorf("the clock is at %v", got)
		}
		w.expect(t, "-ERR value is not an integer or out of range", "REDRPC.ADVANCE", "1.5")
		w.expect(t, "-ERR time can be moved by 0 to 10 years, and not beyond the year 2262", "REDRPC.ADVANCE", "-1")
		w.expect(t, "-ERR time can be moved by 0 to 10 years, and not beyond the year 2262", "REDRPC.ADVANCE", "315360000001")
		w.expect(t, "+OK", "SET", "k", "v", "PX", "500")
		w.expect(t, "+OK", "MULTI")
		w.expect(t, "+QUEUED", "REDRPC.ADVANCE", "500")
		w.expect(t, "+QUEUED", "GET", "k")
		w.expect(t, "[+OK v]", "EXEC")
		w.expect(t, "nil", "GET", "k")
		w.expect(t, "+OK", "SET", "k", "v", "PX", "500")
		if _, err := b.Do("REDRPC.ADVANCE", 500); err != nil {
			t.Fatal(err)
		}
		w.expect(t, "nil", "GET", "k")
	})
	w := inMemory(t, newBroker(t, Options{TestCommands: true}))
	w.expect(t, "-ERR the broker's clock is real: only a manual one can be moved", "REDRPC.ADVANCE", "1")
}

func TestWaitBlockedCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{TestCommands: true, ManualTime: noon}) // its time-out does not stand still
		w, other, x, y := inMemory(t, b), inMemory(t, b), inMemory(t, b), inMemory(t, b)
		w.send(t, "REDRPC.WAITBLOCKED", "2", "0")
		other.expect(t, "0", "EXISTS", "q") // nobody else waits
		x.send(t, "BLPOP", "p", "q", "0")
		x.send(t, "PING")
		y.send(t, "BLPOP", "q", "0")
		if got := w.reply(t); got != "+OK" {
			t.Fatal(got)
		}
		w.expect(t, "+OK", "REDRPC.WAITBLOCKED", "2", "0", "q", "p")
		w.expect(t, "+OK", "REDRPC.WAITBLOCKED", "1", "0", "p")

		began := time.Now()
		w.expect(t, "-ERR fewer than 2 clients were blocked for 1.5s", "REDRPC.WAITBLOCKED", "2", "1500", "p")
		if took := time.Since(began); took != 1500*time.Millisecond {
			t.Errorf("took %v", took)
		}
		other.send(t, "REDRPC.WAITBLOCKED", "2", "1500", "p")
		w.expect(t, "-ERR value is out of range, must be positive", "REDRPC.WAITBLOCKED", "-1", "0")
		w.expect(t, "-ERR value is not an integer or out of range", "REDRPC.WAITBLOCKED", "x", "0")
		w.expect(t, "+OK", "MULTI")
		w.expect(t, "+QUEUED", "REDRPC.WAITBLOCKED", "2", "0", "q")
		w.expect(t, "+QUEUED", "REDRPC.WAITBLOCKED", "3", "0", "q")
		w.expect(t, "[+OK -ERR redrpc.waitblocked cannot wait inside a transaction]", "EXEC")
		if err := other.Close(); err != nil { // the timer of one that left goes with it
			t.Fatal(err)
		}
		if n := len(b.watchers); n != 0 {
			t.Errorf("%d watchers are left", n)
		}
	})
}

// WaitBlocked can be asked about keys.
func TestWaitBlockedOnKeys(t *testing.T) {
	b := newBroker(t, Options{})
	x, y := inMemory(t, b), inMemory(t, b)
	x.send(t, "BLPOP", "a", "b", "0")
	y.expect(t, "+OK", "SELECT", "1")
	wait := func(n int, keys ...string) error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return b.WaitBlocked(ctx, n, keys...)
	}
	for _, keys := range [][]string{nil, {"a"}, {"b"}, {"a", "b"}} {
		if err := wait(1, keys...); err != nil {
			t.Errorf("1 on %q: %v", keys, err)
		}
		if err := wait(2, keys...); err != context.Canceled {
			t.Errorf("2 on %q: %v", keys, err)
		}
	}
	done := make(chan error)
	go func() { done <- b.WaitBlocked(t.Context(), 2, "b", "c") }()
	y.send(t, "BLPOP", "c", "0")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := wait(1, "d"); err != context.Canceled {
		t.Error(err)
	}
}

func TestLogCommand(t *testing.T) {
	w := inMemory(t, newBroker(t, Options{TestCommands: true, ManualTime: noon}))
	w.expect(t, "+OK", "SET", "k", "a b")
	w.do(t, "EVAL", "1", "0")
	w.do(t, "GET")
	log := []string{`1 22:13:20.123456 client 1 db 0: SET k "a b" -> value`, `2 22:13:20.123456 client 1 db 0: EVAL 1 0 -> refused: ERR unknown command 'EVAL'`,
		`3 22:13:20.123456 client 1 db 0: GET -> refused: ERR wrong number of arguments for 'get' command`}
	want := func(lines ...string) string {
		for i, line := range lines {
			lines[i] = strconv.Quote(line)
		}
		return "[" + strings.Join(lines, " ") + "]"
	}
	w.expect(t, want(slices.Clone(log)...), "REDRPC.LOG")
	w.expect(t, want(log[2], `4 22:13:20.123456 client 1 db 0: REDRPC.LOG -> value`), "REDRPC.LOG", "2")
	w.expect(t, "[]", "REDRPC.LOG", "0")
	w.expect(t, "-ERR value is out of range, must be positive", "REDRPC.LOG", "x")
	for i, place := 1, "; dialled=wire_test.go:29"; i < 3; i++ {
		log[i] += place
	}
	w.expect(t, want(log[1:]...), "REDRPC.VIOLATIONS")
	w.expect(t, "-ERR wrong number of arguments for 'redrpc.log' command", "REDRPC.LOG", "1", "2")
}

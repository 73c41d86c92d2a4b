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
		if got := w.do(t, c.Name); !strings.HasPrefix(got, "-ERR unknown command '"+c.Name+"'") {
			t.Errorf("%s: got %s", c.Name, got)
		}
		w.expect(t, "[nil]", "COMMAND", "INFO", c.Name)
	}
	absent := w.do(t, "COMMAND", "COUNT")
	w = inMemory(t, newBroker(t, Options{TestCommands: true}))
	for _, c := range testRows {
		if got := w.do(t, "COMMAND", "INFO", c.Name); !strings.HasPrefix(got, "[["+c.Name+" ") {
			t.Errorf("%s: got %s", c.Name, got)
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
		b := newBroker(t, Options{TestCommands: true, ManualTime: noon}) // its timeout does not stand still
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
		w.expect(t, "[+OK -ERR 'redrpc.waitblocked' cannot wait inside a transaction]", "EXEC")
		if err := other.Close(); err != nil { // the timer of one that left goes with it
			t.Fatal(err)
		}
		if n := len(b.conditions); n != 0 {
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
	w.do(t, "EVAX", "1", "0")
	w.do(t, "GET")
	log := []string{`1 22:13:20.123456 client 1 db 0: SET k "a b" -> value`, `2 22:13:20.123456 client 1 db 0: EVAX 1 0 -> refused: ERR unknown command 'EVAX'`,
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

func TestFaultCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{TestCommands: true})
		w, other := inMemory(t, b), inMemory(t, b)
		w.expect(t, "[]", "REDRPC.FAULT", "LIST")
		w.expect(t, "1", "REDRPC.FAULT", "ADD", "command=incr key='n*' nth=2 error='OOM no'")
		w.expect(t, "2", "REDRPC.FAULT", "ADD", "client=nobody error='ERR never'")
		w.expect(t, "3", "REDRPC.FAULT", "ADD", "client=slow rtt=2s")
		w.expect(t, "1", "INCR", "n")
		other.send(t, "REDRPC.FAULT", "WAIT", "1", "1", "0")
		w.expect(t, "-OOM no", "INCR", "n")
		if got := other.reply(t); got != "+OK" {
			t.Error(got)
		}
		w.expect(t, `[[id 1 fault "command=incr key=n* nth=2 error=\"OOM no\"" matched 2 fired 1] `+
			`[id 2 fault "client=nobody error=\"ERR never\"" matched 0 fired 0] `+
			`[id 3 fault "client=slow rtt=2s" matched 0 fired 0]]`, "REDRPC.FAULT", "LIST")
		w.expect(t, "-ERR rule 1 fired less than 2 times for 1.5s", "REDRPC.FAULT", "WAIT", "1", "2", "1500")
		w.expect(t, "+OK", "REDRPC.FAULT", "DEL", "1")
		w.expect(t, "-ERR there is no rule 1", "REDRPC.FAULT", "DEL", "1")
		w.expect(t, "-ERR there is no rule 1", "REDRPC.FAULT", "WAIT", "1", "1", "0")
		w.expect(t, "-ERR value is not an integer or out of range", "REDRPC.FAULT", "DEL", "x")
		if got := w.do(t, "REDRPC.FAULT", "ADD", "command=get nonsense=1"); !strings.HasPrefix(got, `-ERR the fault "command=get nonsense=1" has the word "nonsense": expected`) {
			t.Error(got)
		}
		if got := w.do(t, "REDRPC.FAULT", "HELP"); !strings.Contains(got, "+ADD") {
			t.Error(got)
		}

		began := time.Now()
		w.expect(t, "+OK", "CLIENT", "SETNAME", "slow") // from here on it has a slow network
		w.expect(t, "+PONG", "PING")
		w.expect(t, "+OK", "REDRPC.FAULT", "DEL", "3")
		if took := time.Since(began); took < 2*time.Second {
			t.Errorf("took %v, expected a slow network", took)
		}
		began = time.Now()
		w.expect(t, "+PONG", "PING")
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v when the rule was gone", took)
		}
	})
}

// A client that could not take it back cannot slow down its own network.
func TestFaultCommandWithAManualClock(t *testing.T) {
	w := inMemory(t, newBroker(t, Options{TestCommands: true, ManualTime: noon}))
	for _, fault := range []string{"rtt=1s", "client=* download=10", "client=m[ef] upload=10"} {
		w.expect(t, "+OK", "CLIENT", "SETNAME", "me")
		if got := w.do(t, "REDRPC.FAULT", "ADD", fault); !strings.HasPrefix(got, "-ERR the network of this client would be slow, too") {
			t.Errorf("%s: got %s", fault, got)
		}
	}
	w.expect(t, "1", "REDRPC.FAULT", "ADD", "client=worker rtt=1s")
	w.expect(t, "2", "REDRPC.FAULT", "ADD", "client=me delay=1s")
}

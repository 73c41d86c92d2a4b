package broker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"redrpc/broker/internal/script"
)

const endless = "while true do end"

// busyBroker is one in which a script runs that has let others in; the caller of the script
// has yet to read its reply.
func busyBroker(t *testing.T, b *Broker, dial func(testing.TB) net.Conn, body string) (caller, other *wire) {
	t.Helper()
	other = newWire(dial(t))
	other.expect(t, "+OK", "CONFIG", "SET", "busy-reply-threshold", "1")
	caller = newWire(dial(t))
	caller.expect(t, "+OK", "CLIENT", "SETNAME", "caller")
	go caller.Write(request("EVAL", body, "1", "k"))
	untilBusy(t, other)
	return caller, other
}

// While a script runs for long the others are answered, and can end it.
func TestBusyScript(t *testing.T) {
	transports(t, Options{ManualTime: time.Unix(1e9, 0)}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		caller, other := busyBroker(t, b, dial, "redis.call('get', 'k') "+endless)
		other.expect(t, "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "SCRIPT", "EXISTS", "x")
		other.expect(t, "-ERR unknown command 'NOSUCH', with args beginning with: ", "NOSUCH")
		other.expect(t, "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "SHUTDOWN")
		if _, err := b.Do("GET", "k"); err == nil || !strings.HasPrefix(err.Error(), "BUSY") {
			t.Errorf("Do: %v", err)
		}
		another := newWire(dial(t)) // the broker accepts connections, too
		another.expect(t, "+OK", "MULTI")
		another.expect(t, "+OK", "DISCARD")
		another.expect(t, "+OK", "SCRIPT", "KILL")
		if got := caller.reply(t); !strings.HasPrefix(got, "-ERR Script killed by user with SCRIPT KILL... script: ") {
			t.Errorf("got %s", got)
		}
		caller.expect(t, "nil", "GET", "k")
		other.expect(t, "-NOTBUSY No scripts in execution right now.", "SCRIPT", "KILL")
	})
}

// The error of a script that was killed names the line that it was at.
func TestKilledScriptNamesItsLine(t *testing.T) {
	for body, line := range map[string]string{
		"while true do end": "1",
		"\nlocal x = 1\nwhile true do\n  x = x + 1\nend":                 "4",
		"\nrepeat until false":                                           "2",
		"\n\nfor i = 1, 1e15 do end":                                     "3",
		"local function f()\n  while true do end\nend\nf()":              "2",
		"local t = {1} for k in function() return 1 end, t do k = k end": "1",
	} {
		b := newBroker(t, Options{})
		caller, other := busyBroker(t, b, func(t testing.TB) net.Conn { return inMemory(t, b).Conn }, body)
		other.expect(t, "+OK", "SCRIPT", "KILL")
		want := "-ERR Script killed by user with SCRIPT KILL... script: " + script.Hash([]byte(body)) + ", on @user_script:" + line + "."
		if got := caller.reply(t); got != want {
			t.Errorf("%q: got %s, want %s", body, got, want)
		}
	}
}

// A script goes on to nothing once it was killed, whatever it does about it.
func TestKilledScriptEnds(t *testing.T) {
	for _, body := range []string{
		"while true do pcall(function() while true do end end) end",
		"local f f = function() xpcall(function() " + endless + " end, f) end f() " + endless,
		"local co = coroutine.wrap(function() " + endless + " end) while true do pcall(co) end",
		"while true do pcall(string.rep, 'x', 1e6) end",
		"while true do pcall(redis.call, 'get', 'k') end",
		"setmetatable({}, {__index = function(t, k) " + endless + " end}).x()",
	} {
		b := newBroker(t, Options{})
		caller, other := busyBroker(t, b, func(t testing.TB) net.Conn { return inMemory(t, b).Conn }, body)
		other.expect(t, "+OK", "SCRIPT", "KILL")
		if got := caller.reply(t); !strings.Contains(got, "Script killed by user") {
			t.Errorf("%s: got %s", body, got)
		}
	}
}

// A script that has written is not killed. With the broker it ends.
func TestUnkillableScript(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		caller, other := busyBroker(t, b, dial, "redis.call('set', KEYS[1], 'v') "+endless)
		if got := other.do(t, "SCRIPT", "KILL"); !strings.HasPrefix(got, "-UNKILLABLE Sorry the script already executed write commands") {
			t.Errorf("got %s", got)
		}
		other.send(t, "SHUTDOWN", "NOSAVE")
		if r, err := other.read(); err == nil {
			t.Errorf("SHUTDOWN is answered %s", r)
		}
		if r, err := caller.read(); err == nil {
			t.Errorf("the script is answered %s", r)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What the client of a script sends meanwhile runs afterwards, as does what others wait for.
func TestAfterBusyScript(t *testing.T) {
	transports(t, Options{ManualTime: time.Unix(1e9, 0)}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		blocked := newWire(dial(t))
		blocked.send(t, "BLPOP", "k", "0")
		if err := b.WaitBlocked(t.Context(), 1, "k"); err != nil {
			t.Fatal(err)
		}
		newWire(dial(t)).expect(t, "+OK", "SET", "short", "v", "PX", "1000")
		caller, other := busyBroker(t, b, dial, "redis.call('lpush', KEYS[1], 'a', 'b') for i = 1, 1e12 do if redis.call('exists', 'go') == 1 then break end end return redis.call('exists', 'short')")
		caller.send(t, "ECHO", "later")
		advanced := make(chan struct{})
		go func() {
			b.Advance(time.Minute)
			close(advanced)
		}()
		other.expect(t, "+OK", "MULTI")
		select {
		case <-advanced:
			t.Error("the clock has moved while a script was running")
		default:
		}
		// Nothing ends it from outside but its own command.
		b.mu.Lock()
		b.keys.Add(b.keys.DBs[0], []byte("go"), newString("x"))
		b.mu.Unlock()
		if got := caller.reply(t); got != "1" {
			t.Errorf("a key has expired while the script was running: %s", got)
		}
		if got := caller.reply(t); got != "later" {
			t.Errorf("got %s", got)
		}
		if got := blocked.reply(t); got != "[k b]" {
			t.Errorf("got %s", got)
		}
		<-advanced
		if n, err := As[int](b.Do("EXISTS", "short")); n != 0 || err != nil {
			t.Errorf("the key has not expired: %d, %v", n, err)
		}
	})
}

// A client that goes while its script is running is forgotten when that ends.
func TestCallerGoesWhileScriptRuns(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		caller, other := busyBroker(t, b, dial, endless)
		caller.Close()
		other.expect(t, "+OK", "SCRIPT", "KILL")
		for deadline := time.Now().Add(patience); len(b.Clients()) > 1; other.do(t, "PING") {
			if time.Now().After(deadline) {
				t.Fatalf("still connected: %q", b.Clients())
			}
		}
	})
}

// In a bubble no time passes for a script: its instructions count.
func TestBusyScriptInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{})
		caller, other := busyBroker(t, b, func(t testing.TB) net.Conn { return inMemory(t, b).Conn }, endless)
		other.expect(t, "+OK", "SCRIPT", "KILL")
		if got := caller.reply(t); !strings.Contains(got, "killed") {
			t.Errorf("got %s", got)
		}
	})
}

// Scripts are called by Do, see no faults inside, and are one entry in the statistics each.
func TestScriptFromGo(t *testing.T) {
	b := newBroker(t, Options{LogSize: 10})
	if _, err := b.Inject(Fault{Command: "get", Error: "ERR injected"}); err != nil {
		t.Fatal(err)
	}
	if got, err := As[string](b.Do("EVAL", "redis.call('set', KEYS[1], ARGV[1]) return redis.call('get', KEYS[1])", 1, "k", "v")); got != "v" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if s := b.Stats(); s.ByCommand["eval"].Calls != 1 || s.ByCommand["get"].Calls != 1 || s.ByCommand["set"].Calls != 1 {
		t.Errorf("got %+v", s.ByCommand)
	}
	var names []string
	for _, r := range b.Log() {
		names = append(names, r.Command)
	}
	if got := strings.Join(names, " "); got != "set get eval" {
		t.Errorf("the log has %q", got)
	}
}

// A mistake in the broker costs one script its reply, and no more.
func TestScriptThatPanics(t *testing.T) {
	b := newBroker(t, Options{})
	w := inMemory(t, b)
	w.expect(t, "1", "EVAL", "return 1", "0")
	b.mu.Lock()
	b.scripting.cache = script.NewCache(panickingHost{scriptHost{b}})
	b.mu.Unlock()
	if got := w.do(t, "EVAL", "return redis.call('ping')", "0"); !strings.HasPrefix(got, "-ERR internal error in 'eval'") {
		t.Errorf("got %s", got)
	}
	w.expect(t, "+PONG", "EVAL", "return redis.call('ping')", "0")
}

type panickingHost struct{ scriptHost }

func (panickingHost) SetProtocol(int) { panic("a mistake") }

// What a script returns may contain itself.
func TestCyclicReply(t *testing.T) {
	b := newBroker(t, Options{})
	w := inMemory(t, b)
	for body, want := range map[string]string{
		"local t = {} t[1] = t return t":                               "-ERR the reply has lists nested more than 128 deep, the limit of Options.MaxDepth",
		"local t = {} t[1], t[2] = t, t return t":                      "-ERR the script returns too many values",
		"local t = {} t.map = t return t":                              "-ERR the reply has lists nested more than 128 deep, the limit of Options.MaxDepth",
		"local t = {} for i = 1, 1e5 do t[i] = i end return #t":        "100000",
		"local t = {} t.err = 'MY own' return {t, {t}, {ok = 'fine'}}": "[-MY own [-MY own] +fine]",
	} {
		w.expect(t, want, "EVAL", body, "0")
	}
}

// untilGo is a script that runs until letGo is called.
const untilGo = "while redis.call('exists', 'go') == 0 do end return 'done'"

func letGo(b *Broker) {
	b.mu.Lock()
	b.keys.Add(b.keys.DBs[0], []byte("go"), newString("x"))
	b.mu.Unlock()
}

// untilBusy waits until a script has let others in.
func untilBusy(t *testing.T, other *wire) {
	t.Helper()
	for deadline := time.Now().Add(patience); !strings.HasPrefix(other.do(t, "GET", "k"), "-BUSY "); {
		if time.Now().After(deadline) {
			t.Fatal("nobody is told that a script is running")
		}
	}
}

// A clock that a client has moved in the same batch moves when the script has ended.
func TestClockMovesAfterScript(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1e9, 0), TestCommands: true})
	dial := serve(t, b, "tcp")
	other, caller, mover, first := newWire(dial(t)), newWire(dial(t)), newWire(dial(t)), newWire(dial(t))
	other.expect(t, "+OK", "CONFIG", "SET", "busy-reply-threshold", "1")
	other.expect(t, "+OK", "SET", "short", "v", "PX", "1000")
	b.mu.Lock() // what comes in meanwhile is one batch, on systems with a poller
	first.send(t, "PING")
	mover.send(t, "REDRPC.ADVANCE", "2000")
	caller.send(t, "EVAL", endless, "0")
	b.mu.Unlock()
	untilBusy(t, other)
	other.expect(t, "+OK", "SCRIPT", "KILL")
	if got := caller.reply(t); !strings.Contains(got, "killed") {
		t.Errorf("got %s", got)
	}
	if got := mover.reply(t); got != "+OK" {
		t.Errorf("got %s", got)
	}
	other.expect(t, "0", "EXISTS", "short")
}

// waitFor waits until something holds of the broker.
func waitFor(t *testing.T, b *Broker, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		b.mu.Lock()
		is := holds()
		b.mu.Unlock()
		switch {
		case is:
			return
		case time.Now().After(deadline):
			t.Fatal("it does not hold")
		}
	}
}

// Over a slow network others are answered while a script runs, and nothing overtakes.
func TestBusyScriptAndSlowNetwork(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		other, caller := newWire(dial(t)), newWire(dial(t))
		other.expect(t, "+OK", "CONFIG", "SET", "busy-reply-threshold", "1")
		if _, err := b.Inject(Fault{RTT: 2 * time.Millisecond, Upload: 2000}); err != nil {
			t.Fatal(err)
		}
		if _, err := caller.Write(slices.Concat(request("EVAL", endless, "0"), request("ECHO", "under way when the script begins"))); err != nil {
			t.Fatal(err)
		}
		waitFor(t, b, func() bool { return b.postponers&busy != 0 })
		untilBusy(t, other)
		caller.send(t, "ECHO", "sent later")
		other.expect(t, "+OK", "SCRIPT", "KILL")
		for _, want := range []string{"-ERR Script killed", `"under way`, `"sent later`} {
			if got := caller.reply(t); !strings.HasPrefix(got, want) {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

// Faults do not hold up what can end a script.
func TestKillIsNotPostponed(t *testing.T) {
	for name, f := range map[string]Fault{
		"delay": {Command: "script|kill", Delay: Fixed(time.Millisecond)},
		"stall": {Command: "script|kill", Stall: time.Millisecond},
		"func":  {Command: "script|kill", Func: (*Command).Pass},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, Options{})
			if _, err := b.Inject(f); err != nil {
				t.Fatal(err)
			}
			caller, other := busyBroker(t, b, func(t testing.TB) net.Conn { return inMemory(t, b).Conn }, endless)
			other.expect(t, "+OK", "SCRIPT", "KILL")
			if got := caller.reply(t); !strings.Contains(got, "killed") {
				t.Errorf("got %s", got)
			}
		})
	}
}

// A handler of the log may wait for the end of the script that is logged, and gets the records
// in order.
func TestHandlerWaitsForScript(t *testing.T) {
	for _, network := range []string{"memory", "tcp"} {
		t.Run(network, func(t *testing.T) {
			h := &waitingHandler{Handler: slog.DiscardHandler, got: make(chan string, 10)}
			b := newBroker(t, Options{Logger: slog.New(h)})
			h.broker = b
			dial := func(t testing.TB) net.Conn { return inMemory(t, b).Conn }
			if network == "tcp" {
				dial = serve(t, b, network)
			}
			caller, other := busyBroker(t, b, dial, "redis.log(redis.LOG_WARNING, 'words') "+endless)
			other.expect(t, "+OK", "SCRIPT", "KILL")
			if got := caller.reply(t); !strings.Contains(got, "killed") {
				t.Errorf("got %s", got)
			}
			for _, want := range []string{"words", "slow script"} {
				select {
				case got := <-h.got:
					if !strings.HasPrefix(got, want) {
						t.Errorf("logged %s, want %s", got, want)
					}
				case <-time.After(patience):
					t.Fatalf("the handler that logs %q does not return", want)
				}
			}
		})
	}
}

// A waitingHandler is one that asks for a snapshot.
type waitingHandler struct {
	slog.Handler
	broker *Broker
	got    chan string
}

func (h *waitingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *waitingHandler) Handle(_ context.Context, r slog.Record) error {
	h.broker.Snapshot()
	h.got <- r.Message
	return nil
}

// A script that was delayed lets others in, too, where another client's command finds that
// its time has come.
func TestDelayedBusyScript(t *testing.T) {
	transports(t, Options{ManualTime: time.Unix(1e9, 0)}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		other, caller, finder := newWire(dial(t)), newWire(dial(t)), newWire(dial(t))
		other.expect(t, "+OK", "CONFIG", "SET", "busy-reply-threshold", "1")
		if _, err := b.Inject(Fault{Command: "eval", Delay: Fixed(time.Second)}); err != nil {
			t.Fatal(err)
		}
		caller.send(t, "EVAL", endless, "0")
		waitFor(t, b, func() bool { return len(b.postponements.all) == 1 })
		b.mu.Lock()
		b.clock.now += int64(time.Second)
		b.mu.Unlock()
		go finder.Write(request("PING"))
		waitFor(t, b, func() bool { return b.postponers&busy != 0 })
		untilBusy(t, other)
		other.expect(t, "+OK", "SCRIPT", "KILL")
		if got := caller.reply(t); !strings.Contains(got, "killed") {
			t.Errorf("got %s", got)
		}
	})
}

// What a fault drops of a reply does not depend on how long the script took.
func TestBusyScriptIsDropped(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		other, caller := newWire(dial(t)), newWire(dial(t))
		other.expect(t, "+OK", "CONFIG", "SET", "busy-reply-threshold", "1")
		if _, err := b.Inject(Fault{Command: "eval", Drop: DropHalf}); err != nil {
			t.Fatal(err)
		}
		go caller.Write(slices.Concat(request("PING"), request("EVAL", untilGo, "0")))
		untilBusy(t, other)
		letGo(b)
		if got, err := io.ReadAll(caller.in); string(got) != "+PONG\r\n$4\r\nd" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// The scripts of a transaction end with the broker, each of them.
func TestCloseEndsAllScripts(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		other, caller := newWire(dial(t)), newWire(dial(t))
		other.expect(t, "+OK", "CONFIG", "SET", "busy-reply-threshold", "1")
		ended := make(chan struct{})
		go func() {
			caller.Write(slices.Concat(request("MULTI"), request("EVAL", endless, "0"), request("EVAL", endless, "0"), request("EXEC")))
			close(ended)
		}()
		untilBusy(t, other)
		b.mu.Lock()
		b.options.busyAfter = 0 // the next one lets nobody in
		b.mu.Unlock()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the second script goes on")
		}
	})
}

// A client receives the invalidations that its own script causes after the script's reply,
// even if other clients ran commands in between.
func TestOwnInvalidationAfterBusyScript(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		other, caller := newWire(dial(t)), newWire(dial(t))
		other.expect(t, "+OK", "CONFIG", "SET", "busy-reply-threshold", "1")
		caller.do(t, "HELLO", "3")
		caller.expect(t, "+OK", "CLIENT", "TRACKING", "ON")
		caller.expect(t, "nil", "GET", "k")
		go caller.Write(request("EVAL", "redis.call('set', 'k', 'v') "+untilGo, "0"))
		untilBusy(t, other)
		other.expect(t, "+OK", "MULTI")
		letGo(b)
		for _, want := range []string{"done", ">[invalidate [k]]"} {
			if got := caller.reply(t); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

// The time that a script takes is not that of its commands.
func TestCommandsOfScriptsAreMeasured(t *testing.T) {
	b := newBroker(t, Options{})
	if _, err := b.Do("EVAL", "for i = 1, 1e6 do end return redis.call('get', 'k')", 0); err != nil {
		t.Fatal(err)
	}
	by := b.Stats().ByCommand
	if get, eval := by["get"].Took, by["eval"].Took; get > eval/2 {
		t.Errorf("GET took %v, and the script %v", get, eval)
	}
}

// A script that takes long is over later than it began, for what the client sends behind it.
func TestTimeAfterBusyScript(t *testing.T) {
	b := newBroker(t, Options{})
	other, caller := inMemory(t, b), inMemory(t, b)
	other.expect(t, "+OK", "CONFIG", "SET", "busy-reply-threshold", "1")
	go caller.Write(slices.Concat(request("TIME"), request("EVAL", untilGo, "0"), request("TIME")))
	untilBusy(t, other)
	letGo(b)
	before, _, after := caller.reply(t), caller.reply(t), caller.reply(t)
	micros := func(reply string) int {
		var seconds, micros int
		if _, err := fmt.Sscanf(reply, `["%d" "%d"]`, &seconds, &micros); err != nil {
			t.Fatalf("%s: %v", reply, err)
		}
		return seconds*1_000_000 + micros
	}
	if micros(before) >= micros(after) {
		t.Errorf("it was %s before, and %s after the script", before, after)
	}
}

// Clients track the keys that they name for a script that reads, as with redis-server, and
// are told of what a script of theirs changes in spite of NOLOOP in broadcast mode.
func TestTrackingInScripts(t *testing.T) {
	b := newBroker(t, Options{})
	caller, other := inMemory(t, b), inMemory(t, b)
	caller.do(t, "HELLO", "3")
	caller.expect(t, "+OK", "CLIENT", "TRACKING", "ON")
	caller.expect(t, "nil", "EVAL", "redis.call('get', 'hidden') return redis.call('get', KEYS[1])", "1", "k")
	other.expect(t, "+OK", "SET", "hidden", "v")
	other.expect(t, "+OK", "SET", "k", "v")
	if got := caller.reply(t); got != ">[invalidate [k]]" {
		t.Errorf("got %s", got)
	}
	caller.expect(t, "+OK", "CLIENT", "TRACKING", "OFF")
	caller.expect(t, "+OK", "CLIENT", "TRACKING", "ON", "BCAST", "NOLOOP")
	caller.expect(t, "1", "EVAL", "return redis.call('del', KEYS[1])", "1", "k")
	if got := caller.reply(t); got != ">[invalidate [k]]" {
		t.Errorf("got %s", got)
	}
}

package broker

import (
	"net"
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
	for deadline := time.Now().Add(patience); !strings.HasPrefix(other.do(t, "GET", "k"), "-BUSY "); {
		if time.Now().After(deadline) {
			t.Fatal("nobody is told that a script is running")
		}
	}
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
	b.scripting.engine = script.New(panickingHost{scriptHost{b}})
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

package broker

import (
	"net"
	"regexp"
	"strings"
	"testing"

	"redrpc/broker/internal/script"
)

const slowLibrary = "#!lua name=slow\n" +
	"redis.register_function('loop', function(keys, args) if args[1] then redis.call('set', keys[1], args[1]) end while redis.call('exists', 'go') == 0 do end return 'done' end)"

// busyWithFunction is a broker in which a function runs that has let others in; its caller
// has yet to read its reply.
func busyWithFunction(t *testing.T, dial func(testing.TB) net.Conn, args ...string) (caller, other *wire) {
	t.Helper()
	other, caller = newWire(dial(t)), newWire(dial(t))
	other.expect(t, "slow", "FUNCTION", "LOAD", slowLibrary)
	other.expect(t, "+OK", "CONFIG", "SET", "busy-reply-threshold", "1")
	go caller.Write(request(append([]string{"FCALL", "LOOP"}, args...)...))
	untilBusy(t, other)
	return caller, other
}

const onlyFunctionKill = "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."

// While a function runs for long the others are answered, and can end it by the command that
// is for functions.
func TestBusyFunction(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		caller, other := busyWithFunction(t, dial, "1", "k")
		other.expect(t, onlyFunctionKill, "FUNCTION", "LIST")
		other.expect(t, onlyFunctionKill, "FUNCTION", "LOAD", slowLibrary)
		other.expect(t, onlyFunctionKill, "SHUTDOWN")
		other.expect(t, onlyFunctionKill, "SCRIPT", "KILL")
		if _, err := b.Do("GET", "k"); err == nil || "-"+err.Error() != onlyFunctionKill {
			t.Errorf("Do: %v", err)
		}
		got := other.do(t, "FUNCTION", "STATS")
		if want := regexp.MustCompile(`^\[running_script \[name loop command \[FCALL LOOP "1" k\] duration_ms \d+\] engines \[LUA \[libraries_count 1 functions_count 1\]\]\]$`); !want.MatchString(got) {
			t.Errorf("got %s", got)
		}
		other.expect(t, "+OK", "FUNCTION", "KILL")
		if got := caller.reply(t); got != "-ERR Script killed by user with SCRIPT KILL... script: loop, on @user_function:2." {
			t.Errorf("got %s", got)
		}
		other.expect(t, "-NOTBUSY No scripts in execution right now.", "FUNCTION", "KILL")
		other.expect(t, "[running_script nil engines [LUA [libraries_count 1 functions_count 1]]]", "FUNCTION", "STATS")
	})
}

// FUNCTION KILL and FUNCTION STATS are not for scripts of EVAL.
func TestFunctionCommandsWhileScriptRuns(t *testing.T) {
	b := newBroker(t, Options{})
	caller, other := busyBroker(t, b, func(t testing.TB) net.Conn { return inMemory(t, b).Conn }, endless)
	const onlyScriptKill = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
	other.expect(t, onlyScriptKill, "FUNCTION", "KILL")
	other.expect(t, onlyScriptKill, "FUNCTION", "STATS")
	other.expect(t, "+OK", "SCRIPT", "KILL")
	if got := caller.reply(t); !strings.Contains(got, "killed") {
		t.Errorf("got %s", got)
	}
}

// A function that has written is not killed, whichever command asks for it, and goes on.
func TestUnkillableFunction(t *testing.T) {
	b := newBroker(t, Options{})
	caller, other := busyWithFunction(t, func(t testing.TB) net.Conn { return inMemory(t, b).Conn }, "1", "k", "v")
	for _, command := range []string{"FUNCTION", "SCRIPT"} {
		if got := other.do(t, command, "KILL"); !strings.HasPrefix(got, "-UNKILLABLE Sorry the script already executed write commands") {
			t.Errorf("%s KILL: got %s", command, got)
		}
	}
	letGo(b)
	if got := caller.reply(t); got != "done" {
		t.Errorf("got %s", got)
	}
}

// Functions are part of a snapshot. FLUSHALL leaves them alone.
func TestSnapshotOfFunctions(t *testing.T) {
	b := newBroker(t, Options{ManualTime: noon})
	const seed = `FUNCTION LOAD REPLACE "#!lua name=a\nredis.register_function('f', function() return 'it is \"a\"' end)"
FUNCTION LOAD REPLACE "#!lua name=b\nredis.register_function('g', function(keys) return redis.call('get', keys[1]) end)\n"
SET k v
`
	for _, before := range []string{"", "FLUSHALL\n", "FLUSHALL\nFUNCTION FLUSH\n"} {
		if err := b.Seed(before + seed); err != nil {
			t.Fatal(err)
		}
		if got := b.Snapshot(); got != seed {
			t.Errorf("after %q: got\n%s", before, got)
		}
	}
	w := inMemory(t, b)
	w.expect(t, "+OK", "FLUSHALL")
	w.expect(t, "+OK", "SET", "k", "w")
	w.expect(t, "w", "FCALL", "g", "1", "k")
	w.expect(t, `"it is \"a\""`, "FCALL", "f", "0")
	if info := w.do(t, "INFO", "memory"); !strings.Contains(info, `number_of_functions:2\r\nnumber_of_libraries:2\r\n`) {
		t.Errorf("got %s", info)
	}
}

// A mistake in the broker costs one call its reply. The libraries stay.
func TestFunctionThatPanics(t *testing.T) {
	b := newBroker(t, Options{})
	w := inMemory(t, b)
	w.expect(t, "+OK", "SET", "go", "1")
	b.mu.Lock()
	b.scripting.cache = script.NewCache(&panickingOnce{scriptHost: scriptHost{b}})
	b.mu.Unlock()
	w.expect(t, "slow", "FUNCTION", "LOAD", slowLibrary)
	if got := w.do(t, "FCALL", "loop", "0"); !strings.HasPrefix(got, "-ERR internal error in 'fcall'") {
		t.Errorf("got %s", got)
	}
	w.expect(t, "done", "FCALL", "loop", "0")
}

type panickingOnce struct {
	scriptHost
	panicked bool
}

func (h *panickingOnce) SetProtocol(version int) {
	if !h.panicked {
		h.panicked = true
		panic("a mistake")
	}
	h.scriptHost.SetProtocol(version)
}

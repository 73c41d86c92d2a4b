package broker

import (
	"strings"
	"testing"
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

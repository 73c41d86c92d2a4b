package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// checkViolations compares them as lines, without time of day and what is behind it in
// the line of where a client was dialled.
func checkViolations(t *testing.T, b *Broker, want ...string) {
	t.Helper()
	var got []string
	for _, v := range b.Violations() {
		line, _, _ := strings.Cut(v.String(), "; dialled=")
		words := strings.SplitN(line, " ", 3)
		got = append(got, words[0]+" "+words[2])
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestStrict(t *testing.T) {
	b := newBroker(t, Options{Strict: true, ManualTime: noon})
	w, closes, stays, fine := inMemory(t, b), inMemory(t, b), inMemory(t, b), inMemory(t, b)
	for _, args := range [][]string{
		{"PING"}, {"SET", "k", "v"}, {"INCR", "k"}, {"SET", "k", "v", "NONSENSE"}, // errors, but no violations
		{"CLIENT", "SETINFO", "lib-name", "x"}, {"client", "maint_notifications"},
		{"EVAX", "return 1", "0"}, {"CLIENT", "NONSENSE"}, {"GET"}, {"PING", "a", "b"}, {"CLIENT", "UNBLOCK", "1", "ERROR", "x"},
		{"MULTI"}, {"GET"}, {"EXEC"}, {"MULTI"}, {"PING", "a", "b"}, {"EXEC"},
		{"WATCH", "k"}, {"UNWATCH"}, {"WATCH", "k"}, {"MULTI"}, {"EXEC"}, {"MULTI"}, {"DISCARD"}, {"MULTI"}, {"RESET"},
	} {
		w.do(t, args...)
	}
	if _, err := b.Do("NONSENSE"); err == nil {
		t.Error("Do took it")
	}
	closes.do(t, "CLIENT", "SETNAME", "closer")
	closes.do(t, "WATCH", "a", "b")
	closes.do(t, "UNWATCH")
	closes.do(t, "WATCH", "b", "c")
	closes.Close()
	stays.do(t, "WATCH", "a")
	stays.do(t, "MULTI")
	stays.do(t, "PING")
	fine.do(t, "WATCH", "a")
	fine.do(t, "RESET")
	want := []string{
		`7 client 1 db 0: EVAX "return 1" 0 -> refused: ERR unknown command 'EVAX'`,
		`8 client 1 db 0: CLIENT NONSENSE -> refused: ERR unknown subcommand 'NONSENSE'. Try CLIENT HELP.`,
		`9 client 1 db 0: GET -> refused: ERR wrong number of arguments for 'get' command`,
		`10 client 1 db 0: PING a b -> failed: ERR wrong number of arguments for 'ping' command`,
		`11 client 1 db 0: CLIENT UNBLOCK 1 ERROR x -> failed: ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.`,
		`13 client 1 db 0: GET -> refused: ERR wrong number of arguments for 'get' command`,
		`17 client 1 db 0: PING a b -> failed: ERR wrong number of arguments for 'ping' command`,
		`32 client 2 (closer) db 0: WATCH b c -> value; the connection ended before EXEC or UNWATCH (watched: 2)`,
	}
	checkViolations(t, b, want...)
	if got := b.Violations()[0].Dialled; !strings.HasPrefix(got, "wire_test.go:") {
		t.Errorf("dialled at %q", got)
	}
	b.Close()
	checkViolations(t, b, append(want, `34 client 3 db 0: MULTI -> value; the connection ended before EXEC or DISCARD (queued: 1)`)...)
}

// A broker that is not strict, and a client without end, note nothing more.
func TestStrictLimits(t *testing.T) {
	lenient := newBroker(t, Options{LogSize: 10})
	w := inMemory(t, lenient)
	w.do(t, "NONSENSE")
	w.do(t, "MULTI")
	w.Close()
	checkViolations(t, lenient)

	b := newBroker(t, Options{Strict: true, LogSize: 1})
	w = inMemory(t, b)
	for i := range maxViolations + 10 {
		w.do(t, fmt.Sprint("NONSENSE", i))
	}
	if v := b.Violations(); len(v) != maxViolations || v[maxViolations-1].Record.Args[0] != fmt.Sprint("NONSENSE", maxViolations-1) {
		t.Errorf("%d violations", len(v))
	}
}

// What client libraries try when they connect is no violation, also where Redis 7.0
// does not have it.
func TestProbesAreNoViolations(t *testing.T) {
	b := newBroker(t, Options{Strict: true})
	w := inMemory(t, b)
	for _, probe := range []string{
		"HELLO 3", "HELLO 2 SETNAME me", "CLIENT SETNAME me", "CLIENT SETINFO LIB-NAME lib", "CLIENT MAINT_NOTIFICATIONS ON", "CLIENT NO-EVICT ON",
		"CLIENT NO-TOUCH ON", "client no-touch on", "CLIENT CAPA redirect", "CLIENT ID", "CLIENT INFO", "CLIENT LIST", "CLIENT TRACKING ON", "CLIENT TRACKING OFF",
		"CLUSTER INFO", "CLUSTER NODES", "CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER MYID", "READONLY", "READWRITE", "ROLE", "INFO server", "INFO replication",
		"SENTINEL masters", "sentinel get-master-addr-by-name mymaster", "COMMAND", "COMMAND DOCS", "COMMAND COUNT", "CONFIG GET databases", "CONFIG GET slave-read-only",
		"MODULE LIST", "ACL WHOAMI", "MEMORY USAGE k", "LATENCY LATEST", "SLOWLOG GET", "ECHO x", "TIME", "DBSIZE", "SELECT 0", "PING",
	} {
		w.do(t, strings.Fields(probe)...)
	}
	checkViolations(t, b)
}

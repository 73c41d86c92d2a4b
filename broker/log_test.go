package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// logLines are the records of a log as lines, without number and time of day.
func logLines(b *Broker) []string {
	var lines []string
	for _, r := range b.Log() {
		lines = append(lines, strings.SplitN(r.String(), " ", 3)[2])
	}
	return lines
}

func checkLog(t *testing.T, b *Broker, want ...string) {
	t.Helper()
	if got := logLines(b); !slices.Equal(got, want) {
		t.Errorf("the log has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The log has every command once, in the order in which they ran, and how each
// ended; one that waits has another record for the end.
func TestLog(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0), LogSize: 100})
	a, w := inMemory(t, b), inMemory(t, b)
	w.expect(t, "+OK", "CLIENT", "SETNAME", "worker")
	a.do(t, "SELECT", "1")
	a.do(t, "SET", "k", "two words")
	a.do(t, "GET", "none")
	a.do(t, "LPUSH", "k", "x")
	a.do(t, "NOSUCH", "x")
	a.do(t, "GET")
	for _, args := range [][]string{{"MULTI"}, {"INCR", "n"}, {"BLPOP", "q", "0"}, {"EXEC"}} {
		a.do(t, args...)
	}
	w.send(t, "BLPOP", "q", "0")
	b.Advance(1500 * time.Millisecond)
	if _, err := b.Do("RPUSH", "q", "job"); err != nil {
		t.Fatal(err)
	}
	w.reply(t)
	w.send(t, "BRPOP", "q", "1")
	b.Advance(time.Second)
	w.reply(t)
	w.send(t, "BLMOVE", "q", "r", "left", "left", "0")
	w.Close()
	if _, err := b.Do("MULTI"); err == nil {
		t.Error("Do took MULTI")
	}
	checkLog(t, b,
		`client 2 (worker) db 0: CLIENT SETNAME worker -> value`,
		`client 1 db 1: SELECT 1 -> value`,
		`client 1 db 1: SET k "two words" -> value`,
		`client 1 db 1: GET none -> nil`,
		`client 1 db 1: LPUSH k x -> failed: WRONGTYPE Operation against a key holding the wrong kind of value`,
		`client 1 db 1: NOSUCH x -> refused: ERR unknown command 'NOSUCH'`,
		`client 1 db 1: GET -> refused: ERR wrong number of arguments for 'get' command`,
		`client 1 db 1: MULTI -> value`,
		`client 1 db 1: INCR n -> queued`,
		`client 1 db 1: BLPOP q 0 -> queued`,
		`client 1 db 1: INCR n -> value`,
		`client 1 db 1: BLPOP q 0 -> nil`,
		`client 1 db 1: EXEC -> value`,
		`client 2 (worker) db 0: BLPOP q 0 -> blocked`,
		`Do db 0: RPUSH q job -> value`,
		`client 2 (worker) db 0: BLPOP q 0 -> value after 1.5s`,
		`client 2 (worker) db 0: BRPOP q 1 -> blocked`,
		`client 2 (worker) db 0: BRPOP q 1 -> nil after 1s`,
		`client 2 (worker) db 0: BLMOVE q r left left 0 -> blocked`,
		`client 2 (worker) db 0: BLMOVE q r left left 0 -> dropped`,
		`Do db 0: MULTI -> refused: ERR 'multi' is about a client's own connection, which there is none of here`,
	)
	log := b.Log()
	if r := log[5]; r.Number != 6 || r.Command != "" || r.Outcome != Refused || r.Client != 1 || !r.Time.Equal(time.Unix(1_700_000_000, 0)) {
		t.Errorf("got %#v", r)
	}
	if r := log[0]; r.Command != "client|setname" || r.Took <= 0 {
		t.Errorf("got %#v", r)
	}
}

// The log keeps the last commands only, without new memory, and nothing if it is
// not asked to.
func TestLogSize(t *testing.T) {
	b := newBroker(t, Options{LogSize: 3})
	c := inMemory(t, b)
	for i := range 10 {
		c.do(t, "ECHO", fmt.Sprint(i))
	}
	var numbers []int64
	for _, r := range b.Log() {
		numbers = append(numbers, r.Number)
	}
	if want := []int64{8, 9, 10}; !slices.Equal(numbers, want) {
		t.Errorf("got %v, want %v", numbers, want)
	}
	if log := newBroker(t, Options{}).Log(); len(log) != 0 {
		t.Errorf("without LogSize: %v", log)
	}

	l := &fakeTransport{mute: true}
	b.enter()
	if err := b.open(l); err != nil {
		t.Fatal(err)
	}
	b.leave()
	command := request("SET", "k", "value")
	if n := testing.AllocsPerRun(1000, func() { b.receive(l.session, command) }); n > 0 {
		t.Errorf("a command that is logged allocates %v times", n)
	}
}

// No log shows a password, however wrong the command is that has it.
func TestLogHidesSecrets(t *testing.T) {
	b := newBroker(t, Options{LogSize: 100})
	c := inMemory(t, b)
	for _, args := range [][]string{
		{"AUTH", "hunter2"}, {"AUTH", "default", "hunter2"}, {"AUTH", "default", "hunter2", "hunter2"}, {"auth", "hunter2", "x", "y", "z"},
		{"HELLO", "3", "AUTH", "default", "hunter2"}, {"HELLO", "3", "SETNAME", "x", "AUTH", "default", "hunter2"}, {"HELLO", "9", "AUTH", "default", "hunter2"},
		{"CONFIG", "SET", "RequirePass", "hunter2"}, {"CONFIG", "SET", "masterauth", "hunter2", "timeout", "0"},
		{"CONFIG", "SET", "requirepass", "hunter2", "hunter2"}, {"CONFIG", "SET", "timeout", "0", "requirepass", "hunter2"},
		{"ACL", "SETUSER", "me", "on", ">hunter2"}, {"MIGRATE", "host", "6379", "k", "0", "100", "AUTH2", "me", "hunter2"},
		{"RESET"}, {"AUTH", "hunter2"}, {"CONFIG", "SET", "requirepass", ""}, {"CONFIG", "SET", "requirepass", "hunter2"}, {"GET", "k"},
	} {
		c.do(t, args...)
	}
	lines := logLines(b)
	if len(lines) != 18 {
		t.Errorf("the log has %d lines", len(lines))
	}
	for _, line := range lines {
		if strings.Contains(line, "hunter2") {
			t.Error(line)
		}
	}
}

func TestKeptArguments(t *testing.T) {
	many := make([]string, 33)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for _, c := range []struct{ args, want []string }{
		{[]string{"GET", ""}, []string{"GET", ""}},
		{[]string{"GET", strings.Repeat("x", 128)}, []string{"GET", strings.Repeat("x", 128)}},
		{[]string{"GET", strings.Repeat("x", 129)}, []string{"GET", strings.Repeat("x", 128) + "... (1 more bytes)"}},
		{many[:32], many[:32]},
		{many, append(slices.Clone(many[:31]), "... (2 more arguments)")},
		{[]string{"CONFIG", "SET", "save", "requirepass", "timeout", "0"}, []string{"CONFIG", "SET", "save", "requirepass", "timeout", "0"}},
		{[]string{"AUTH", "x"}, []string{"AUTH", "(redacted)"}},
	} {
		args := make([][]byte, len(c.args))
		for i, arg := range c.args {
			args[i] = []byte(arg)
		}
		cmd, _ := table.Lookup(args)
		if got := keptArgumentsOf(appendArguments(nil, cmd, args)); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.args, got, c.want)
		}
	}
}

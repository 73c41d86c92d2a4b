package broker

import (
	"io"
	"net"
	"redrpc/internal/redistest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What DEBUG tells of keys and tables.
func TestDebugObject(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0)})
	w := inMemory(t, b)
	w.do(t, "RPUSH", "l", "a", "b")
	w.do(t, "SET", "k", "value", "EX", "1000")
	w.do(t, "SADD", "s", "a", "b", "c")
	b.Advance(time.Minute)
	for _, c := range []struct {
		args string
		want string // a regular expression
	}{
		{"OBJECT k", `\+Value at:0x[0-9a-f]+ refcount:1 encoding:embstr serializedlength:6 lru:\d+ lru_seconds_idle:60`},
		{"OBJECT l", `\+Value at:0x[0-9a-f]+ refcount:1 encoding:quicklist serializedlength:\d+ lru:\d+ lru_seconds_idle:60`},
		{"SDSLEN k", `\+key_sds_len:1, key_sds_avail:0, key_zmalloc: \d+, val_sds_len:5, val_sds_avail:\d+, val_zmalloc: \d+`},
		{"HTSTATS 0", `"\[Dictionary HT\]\\nHash table 0 stats \(main hash table\):\\n table size: \d+\\n number of elements: 3\\n\[Expires HT\]\\nHash table 0 stats \(main hash table\):\\n number of elements: 1\\n"`},
		{"HTSTATS-KEY s", `"Hash table 0 stats \(main hash table\):\\n number of elements: 3\\n"`},
		{"POPULATE 9223372036854775807", "-ERR value is out of range"},
		{"POPULATE 1 k 9223372036854775807", "-ERR value is out of range"},
		{"RELOAD NOSAVE", "-ERR Error trying to load the RDB dump, check server logs."},
		{"LOADAOF", `\+OK`},
	} {
		if got := w.do(t, append([]string{"DEBUG"}, strings.Fields(c.args)...)...); !regexp.MustCompile("^" + c.want + "$").MatchString(got) {
			t.Errorf("DEBUG %s: got %s, want %s", c.args, got, c.want)
		}
	}
}

// DEBUG RELOAD keeps everything, and what RDB does not know begins anew.
func TestDebugReload(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0), MaxMemory: 1 << 30})
	w := inMemory(t, b)
	for name, v := range dumpable() {
		w.do(t, append([]string{v[0], name}, v[1:]...)...)
	}
	w.do(t, "SET", "expiring", "v", "EX", "1000")
	w.do(t, "SELECT", "1")
	w.do(t, "SET", "elsewhere", "v")
	before, digest := b.Snapshot(), w.do(t, "DEBUG", "DIGEST")
	b.Advance(time.Second)
	w.expect(t, "+OK", "DEBUG", "RELOAD")
	w.expect(t, digest, "DEBUG", "DIGEST")
	w.expect(t, "1700000001", "LASTSAVE")
	w.expect(t, "0", "OBJECT", "IDLETIME", "elsewhere")
	w.expect(t, "+OK", "DEBUG", "RELOAD", "NOFLUSH", "MERGE")
	if after := b.Snapshot(); strings.ReplaceAll(after, "PX 999000", "PX 1000000") != before {
		t.Errorf("after DEBUG RELOAD:\n%s, before:\n%s", after, before)
	}
}

// Digests are those of Redis, of values at the edges, too.
func TestDebugDigest(t *testing.T) {
	redis := newWire(dial(t, redistest.Start(t, "--enable-debug-command", "yes").TCPAddr()))
	broker := inMemory(t, newBroker(t, Options{}))
	for name, v := range dumpable() {
		for _, w := range []*wire{redis, broker} {
			w.do(t, append([]string{v[0], name}, v[1:]...)...)
		}
		if got, want := broker.do(t, "DEBUG", "DIGEST-VALUE", name), redis.do(t, "DEBUG", "DIGEST-VALUE", name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got, want := broker.do(t, "DEBUG", "DIGEST"), redis.do(t, "DEBUG", "DIGEST"); got != want {
		t.Errorf("all: %s, want %s", got, want)
	}
}

// In RESP3 an attribute stands before the reply that it is about.
func TestDebugAttribute(t *testing.T) {
	for protocol, want := range map[string]string{
		"2": "$39\r\nSome real reply following the attribute\r\n+PONG\r\n",
		"3": "|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n$39\r\nSome real reply following the attribute\r\n+PONG\r\n",
	} {
		w := inMemory(t, newBroker(t, Options{}))
		w.do(t, "HELLO", protocol)
		if _, err := w.Write(append(request("DEBUG", "PROTOCOL", "ATTRIB"), request("PING")...)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(w.in, got); err != nil || string(got) != want {
			t.Errorf("RESP%s: got %q, %v, want %q", protocol, got, err, want)
		}
	}
}

// Who may use DEBUG is Redis's enable-debug-command. Nothing of it ends the process.
func TestDebugAllowed(t *testing.T) {
	const denied = `-ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.`
	for _, c := range []struct{ option, shown, want string }{{"", "yes", "+OK"}, {"yes", "yes", "+OK"}, {"local", "local", "+OK"}, {"no", "no", denied}} {
		transports(t, Options{DebugCommand: c.option}, func(t *testing.T, _ *Broker, dial func(testing.TB) net.Conn) {
			w := newWire(dial(t))
			w.expect(t, "[enable-debug-command "+c.shown+"]", "CONFIG", "GET", "enable-debug-command")
			w.expect(t, c.want, "DEBUG", "LOG", "x")
		})
	}
	b := newBroker(t, Options{DebugCommand: "local"})
	l := &fakeTransport{remote: true}
	b.enter()
	b.options.Unprotected = true
	if err := b.open(l); err != nil {
		t.Fatal(err)
	}
	b.leave()
	b.receive(l.session, request("DEBUG", "LOG", "x"))
	if got := string(l.got); got != denied+"\r\n" {
		t.Errorf("a client on another machine got %s", got)
	}
	w := inMemory(t, b)
	for _, name := range []string{"ASSERT", "CRASH-AND-RECOVER", "OOM", "PANIC", "RESTART", "SEGFAULT"} {
		w.expect(t, "-ERR the broker does not crash on purpose; a fault can drop connections or commands", "DEBUG", name)
	}
	if _, err := New(Options{DebugCommand: "maybe"}); err == nil {
		t.Error("DebugCommand may be anything")
	}
}

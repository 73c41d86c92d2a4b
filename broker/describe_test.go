package broker

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

// CLIENT LIST has Redis's fields, in Redis's order, and says of the connection what is so.
func TestClientFields(t *testing.T) {
	clientInfo := func(w *wire) string {
		info := w.do(t, "CLIENT", "INFO")
		line, err := strconv.Unquote(info)
		if err != nil {
			t.Fatalf("%s: %v", info, err)
		}
		return line
	}
	want := fieldNames(clientInfo(newWire(dial(t, redistest.Start(t).TCPAddr()))))
	transports(t, Options{}, func(t *testing.T, _ *Broker, dial func(testing.TB) net.Conn) {
		conn := dial(t)
		info := clientInfo(newWire(conn))
		if got := fieldNames(info); !slices.Equal(got, want) {
			t.Errorf("fields\n%q, want\n%q", got, want)
		}
		network := conn.LocalAddr().Network()
		if isUnix := strings.Contains(info, " flags=U "); isUnix != (network == "unix") {
			t.Errorf("network %s: %s", network, info)
		}
		if none := strings.Contains(info, " fd=-1 "); none != (network == "memory") {
			t.Errorf("network %s: %s", network, info)
		}
	})
}

func fieldNames(line string) (names []string) {
	for field := range strings.FieldsSeq(line) {
		name, _, _ := strings.Cut(field, "=")
		names = append(names, name)
	}
	return names
}

// What CLIENT LIST says of memory is so.
func TestClientMemory(t *testing.T) {
	b := newBroker(t, Options{})
	w := inMemory(t, b)
	field := func(name string) int {
		_, rest, _ := strings.Cut(" "+b.Clients()[0], " "+name+"=")
		rest, _, _ = strings.Cut(rest, " ")
		n, err := strconv.Atoi(rest)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	expect := func(name string, want int) {
		t.Helper()
		if got := field(name); got != want {
			t.Errorf("%s=%d, want %d", name, got, want)
		}
	}
	idle := field("tot-mem")
	w.expect(t, "+OK", "MULTI")
	w.expect(t, "+QUEUED", "ECHO", "abcdefgh")
	expect("rbp", len("+QUEUED\r\n"))
	if got := field("multi-mem"); got < len("ECHOabcdefgh") || got > 1000 {
		t.Errorf("multi-mem=%d for a command in a transaction", got)
	}
	w.expect(t, "[abcdefgh]", "EXEC")
	expect("multi-mem", 0)

	w.send(t, "ECHO", "abcdefgh")
	expect("omem", len("$8\r\nabcdefgh\r\n"))
	expect("oll", 1)
	if line := b.Clients()[0]; !strings.Contains(line, " events=rw ") {
		t.Errorf("what is to be read is not told: %s", line)
	}
	w.reply(t)
	expect("omem", 0)
	expect("oll", 0)

	command := request("ECHO", strings.Repeat("x", 100_000))
	for _, part := range [][]byte{command[:50_000], command[50_000:]} {
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		if len(part) == 50_000 {
			expect("qbuf", 50_000)
			if got := field("tot-mem"); got < idle+50_000 {
				t.Errorf("tot-mem=%d, and %d before 50,000 bytes of a command came", got, idle)
			}
		}
	}
	w.reply(t)
	expect("qbuf", 0)
}

// A client is killed by its address, or by that of the broker.
func TestKillByAddress(t *testing.T) {
	for _, filter := range []func(local, remote string) []string{
		func(local, _ string) []string { return []string{local} },
		func(local, _ string) []string { return []string{"ADDR", local} },
		func(_, remote string) []string { return []string{"LADDR", remote, "TYPE", "pubsub"} },
	} {
		b := newBroker(t, Options{})
		addr := listen(t, b, "tcp", "")
		killer, victim := newWire(dial(t, addr)), newWire(dial(t, addr))
		victim.expect(t, "[subscribe x 1]", "SUBSCRIBE", "x")
		args := filter(victim.LocalAddr().String(), victim.RemoteAddr().String())
		want := "1"
		if len(args) == 1 {
			want = "+OK"
		}
		killer.expect(t, want, append([]string{"CLIENT", "KILL"}, args...)...)
		if got, err := victim.read(); err == nil {
			t.Errorf("CLIENT KILL %q: the client got %s instead of being closed", args, got)
		}
		killer.expect(t, "+PONG", "PING")
	}
}

// go-redis reads what the broker tells of a client.
func TestClientInfoOfGoRedis(t *testing.T) {
	b := newBroker(t, Options{})
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial, ClientName: "me"})
	t.Cleanup(func() { rdb.Close() })
	info, err := rdb.ClientInfo(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	if info.Addr != "memory:1" || info.Name != "me" || info.LastCmd != "client|info" || info.Multi != -1 {
		t.Errorf("got %+v", info)
	}
}

package broker

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Whatever a client does, a limit that is set holds on every kind of connection: the
// client is told or closed, and the broker takes no more memory than the limit
// says, and some for the connections. Others are served as before.
func TestLimitsHold(t *testing.T) {
	const limit = 1 << 20
	kilobyte := strings.Repeat("x", 1000)
	for _, c := range []struct {
		name    string
		options Options
		attack  func(t *testing.T, dial func(testing.TB) net.Conn) (told string)
		told    string // how what the attacker is told begins
	}{
		{"clients", Options{MaxClients: 10}, func(t *testing.T, dial func(testing.TB) net.Conn) (told string) {
			for i := range 200 {
				w := newWire(dial(t))
				if i >= 9 { // one is there already
					told = w.reply(t)
				} else {
					w.expect(t, "+PONG", "PING")
				}
			}
			return told
		}, "-ERR max number of clients reached"},
		{"largest argument", Options{MaxBulk: limit}, func(t *testing.T, dial func(testing.TB) net.Conn) string {
			w := newWire(dial(t))
			w.expect(t, "+OK", "SET", "k", strings.Repeat("x", limit))
			return flood(t, w, fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", limit+1), kilobyte)
		}, "-ERR Protocol error: invalid bulk length"},
		{"arguments", Options{MaxArguments: 1000}, func(t *testing.T, dial func(testing.TB) net.Conn) string {
			w := newWire(dial(t))
			w.expect(t, "0", append([]string{"EXISTS"}, make([]string, 999)...)...)
			return flood(t, w, "*1001\r\n$6\r\nEXISTS\r\n", "$0\r\n\r\n")
		}, "-ERR Protocol error: invalid multibulk length"},
		{"a line", Options{MaxInline: 1000}, func(t *testing.T, dial func(testing.TB) net.Conn) string {
			w := newWire(dial(t))
			io.WriteString(w, "ECHO "+strings.Repeat("x", 990)+"\r\n")
			if got := w.reply(t); got != strings.Repeat("x", 990) {
				t.Error(got)
			}
			return flood(t, w, "ECHO ", kilobyte)
		}, "-ERR Protocol error: too big inline request"},
		{"an argument that does not end", Options{MaxQuery: limit}, func(t *testing.T, dial func(testing.TB) net.Conn) string {
			return flood(t, newWire(dial(t)), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\n", kilobyte)
		}, "closed"},
		{"arguments that do not end", Options{MaxQuery: limit}, func(t *testing.T, dial func(testing.TB) net.Conn) string {
			return flood(t, newWire(dial(t)), "*1000000\r\n", "$0\r\n\r\n")
		}, "closed"},
		{"commands behind one that blocks", Options{MaxQuery: limit}, func(t *testing.T, dial func(testing.TB) net.Conn) string {
			return flood(t, newWire(dial(t)), string(request("BLPOP", "nothing", "0")), string(request("PING")))
		}, "closed"},
		{"commands in a transaction", Options{MaxQuery: limit, Pending: PendingLimit{Hard: limit}}, func(t *testing.T, dial func(testing.TB) net.Conn) string {
			w := newWire(dial(t))
			w.expect(t, "+OK", "MULTI")
			return flood(t, w, "", string(request("PING")))
		}, "closed"},
		{"replies that are not read", Options{Pending: PendingLimit{Hard: limit}}, func(t *testing.T, dial func(testing.TB) net.Conn) string {
			return flood(t, newWire(dial(t)), "", string(request("ECHO", kilobyte)))
		}, "closed"},
		{"messages that are not read", Options{PendingPubSub: PendingLimit{Hard: limit}}, func(t *testing.T, dial func(testing.TB) net.Conn) string {
			slow, publisher := newWire(dial(t)), newWire(dial(t))
			slow.expect(t, "[subscribe news 1]", "SUBSCRIBE", "news")
			for range 100_000 {
				if publisher.do(t, "PUBLISH", "news", kilobyte) == "0" {
					return "closed"
				}
			}
			return "nothing"
		}, "closed"},
		{"data", Options{MaxMemory: keyspace.EmptyBytes + limit}, func(t *testing.T, dial func(testing.TB) net.Conn) (told string) {
			w := newWire(dial(t))
			for i := 0; i < 100_000 && !strings.HasPrefix(told, "-"); i++ {
				told = w.do(t, "SET", fmt.Sprint("key", i), kilobyte)
			}
			return told
		}, "-OOM command not allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			transports(t, c.options, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
				other := newWire(dial(t))
				other.expect(t, "+PONG", "PING")
				before := heap()
				if told := c.attack(t, dial); !strings.HasPrefix(told, c.told) {
					t.Errorf("the client was told %s, expected %s", told, c.told)
				}
				other.expect(t, "+PONG", "PING")
				// Twice as much for slices that grow, and the buffers of package tls.
				if after := heap(); after > before+6<<20 {
					t.Errorf("the limit is 1 MiB or less, and the memory grew by %d kB", (after-before)>>10)
				}
			})
		})
	}
}

// flood sends a beginning, and then the same again and again up to 64 MiB, until the
// broker says something or closes the connection. It returns what it said.
func flood(t *testing.T, w *wire, beginning, again string) string {
	t.Helper()
	if err := w.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	piece := []byte(strings.Repeat(again, 64<<10/len(again)))
	_, err := io.WriteString(w, beginning)
	for sent := 0; err == nil && sent < 64<<20; sent += len(piece) {
		_, err = w.Write(piece)
	}
	if err == nil || errors.Is(err, net.ErrClosed) {
		return fmt.Sprintf("nothing: %v", err)
	}
	if w.in.Buffered() == 0 { // what was said before the connection was closed
		if err := w.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := readReply(w.in); err == nil && strings.HasPrefix(got, "-") {
		return got
	}
	return "closed"
}

// heap is how much memory is in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Lists may be nested in a reply as deep as the option says. What is deeper, even
// without end, is replaced by an error, and costs no stack.
func TestMaxDepth(t *testing.T) {
	nested := func(depth int) resp.Reply {
		r := resp.One
		for range depth {
			r = resp.Array(r)
		}
		return r
	}
	endless := resp.Array(resp.One)
	endless.Items[0] = resp.Reply{Kind: resp.KindArray, Items: endless.Items}
	replies := map[string]resp.Reply{"1": nested(1), "5": nested(5), "6": nested(6), "endless": endless}
	addRow(t, &command.Command{Name: "nested", Arity: 2, Run: func(_ *keyspace.Call, args [][]byte) resp.Reply { return replies[string(args[1])] }})
	const tooDeep = "-ERR the reply has lists nested more than 5 deep, the limit of Options.MaxDepth"
	transports(t, Options{MaxDepth: 5}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		w := newWire(dial(t))
		w.expect(t, "[1]", "NESTED", "1")
		w.expect(t, "[[[[[1]]]]]", "NESTED", "5")
		w.expect(t, tooDeep, "NESTED", "6")
		w.expect(t, tooDeep, "NESTED", "endless")
		w.expect(t, "+OK", "MULTI")
		w.expect(t, "+QUEUED", "NESTED", "6")
		w.expect(t, "+QUEUED", "PING")
		w.expect(t, "["+tooDeep+" +PONG]", "EXEC")
		if _, err := b.Do("NESTED", "endless"); err == nil || "-"+err.Error() != tooDeep {
			t.Errorf("Do: %v", err)
		}
	})
	w := inMemory(t, newBroker(t, Options{MaxDepth: 1}))
	w.expect(t, "[subscribe a 1]", "SUBSCRIBE", "a", "b") // several replies are not nested
	if got := w.reply(t); got != "[subscribe b 2]" {
		t.Error(got)
	}
}

// What is drawn many times is refused, not made until there is no memory left.
func TestDrawnTooOften(t *testing.T) {
	b := newBroker(t, Options{MaxBulk: 1 << 20})
	long := strings.Repeat("x", 1<<19)
	for _, args := range [][]any{
		{"HSET", "small-h", "a", "b"}, {"SADD", "small-s", "a"}, {"SADD", "small-i", "1"}, {"ZADD", "small-z", "1", "a"},
		{"HSET", "large-h", long, "b"}, {"SADD", "large-s", long}, {"ZADD", "large-z", "1", long},
	} {
		if _, err := b.Do(args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		command, key string
		most         int
	}{
		{"HRANDFIELD", "small-h", 10_000}, {"SRANDMEMBER", "small-s", 10_000}, {"SRANDMEMBER", "small-i", 10_000}, {"ZRANDMEMBER", "small-z", 10_000},
		{"HRANDFIELD", "large-h", 1}, {"SRANDMEMBER", "large-s", 1}, {"ZRANDMEMBER", "large-z", 1},
	} {
		reply, err := b.Do(c.command, c.key, -c.most)
		if drawn, _ := reply.([]any); err != nil || len(drawn) != c.most {
			t.Errorf("%s %s %d: %d drawn, %v", c.command, c.key, -c.most, len(drawn), err)
		}
		for _, count := range []int64{int64(-3 * c.most), -1_000_000_000, -math.MaxInt64} {
			if _, err := b.Do(c.command, c.key, count); err == nil || err.Error() != "ERR value is out of range" {
				t.Errorf("%s %s %d: %v", c.command, c.key, count, err)
			}
		}
	}
}

// addRow adds a command to the table until the test ends.
func addRow(t testing.TB, c *command.Command) {
	t.Helper()
	before := table
	if before.Named([]byte(c.Name)) != nil {
		t.Fatalf("there is a command %s", c.Name)
	}
	table = before.With([]command.Command{*c})
	t.Cleanup(func() { table = before })
}

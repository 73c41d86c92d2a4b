package broker

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// allocated is how many bytes a function allocates.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// muteClient is a client whose output is thrown away.
func muteClient(t testing.TB, b *Broker) *fakeTransport {
	l := &fakeTransport{mute: true}
	b.enter()
	defer b.leave()
	if err := b.open(l); err != nil {
		t.Fatal(err)
	}
	return l
}

// A long list in a reply is encoded element by element, and takes little memory besides
// its encoding.
func TestLongListsAreNotBuilt(t *testing.T) {
	const n = 20_000
	for _, c := range []struct {
		name     string
		command  []string
		perValue int // bytes that may be allocated for an element besides
	}{
		{"KEYS", []string{"KEYS", "*"}, 0},
		{"KEYS of some", []string{"KEYS", "key:*"}, 50},
		{"SCAN", []string{"SCAN", "0", "COUNT", "1000000"}, 50},
		{"LRANGE", []string{"LRANGE", "l", "0", "-1"}, 0},
		{"LPOP", []string{"LPOP", "l", "1000000"}, 24},
		{"RPOP", []string{"RPOP", "l", "1000000"}, 24},
		{"LMPOP", []string{"LMPOP", "1", "l", "LEFT", "COUNT", "1000000"}, 24},
		{"BLMPOP", []string{"BLMPOP", "0", "1", "l", "LEFT", "COUNT", "1000000"}, 24},
	} {
		for _, protocol := range []string{"2", "3"} {
			b := newBroker(t, Options{})
			l := muteClient(t, b)
			b.receive(l.session, request("HELLO", protocol))
			for i := 0; i < n; {
				values, elements := []string{"MSET"}, []string{"RPUSH", "l"}
				for range 500 {
					name := fmt.Sprintf("key:%010d", i)
					values, elements = append(values, name, "v"), append(elements, name)
					i++
				}
				b.receive(l.session, request(values...))
				b.receive(l.session, request(elements...))
			}
			size := n * len("$14\r\nkey:0000000000\r\n")
			sent := b.stats.bytesOut
			got := allocated(func() { b.receive(l.session, request(c.command...)) })
			if most := 1<<18 + size + n*c.perValue; got > most {
				t.Errorf("%s in RESP%s: %d bytes are allocated for %d, want %d at most", c.name, protocol, got, size, most)
			}
			if sent = b.stats.bytesOut - sent; sent < int64(size) {
				t.Errorf("%s in RESP%s: %d bytes were sent, want %d", c.name, protocol, sent, size)
			}
		}
	}
}

// What a client does not read is kept once, and no longer than until it is read.
func TestUnreadRepliesAreKeptOnce(t *testing.T) {
	const total = 16 << 20
	for _, size := range []int{100, 20_000, 1 << 20} {
		transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
			w := newWire(dial(t))
			w.expect(t, "+OK", "SET", "k", strings.Repeat("x", size))
			reply := fmt.Sprintf("$%d\r\n%s\r\n", size, strings.Repeat("x", size))
			n := total / len(reply)
			commands := bytes.Repeat(request("GET", "k"), n)
			commands = append(commands, request("RPUSH", "done", "1")...)
			other := newWire(dial(t))
			other.send(t, "BLPOP", "done", "0")
			base := heap()
			got := allocated(func() {
				if _, err := w.Write(commands); err != nil {
					t.Fatal(err)
				}
				other.reply(t)
			})
			if got > total*3/2 {
				t.Errorf("replies of %d bytes: %d bytes are allocated for %d", size, got, total)
			}
			if _, err := io.CopyN(io.Discard, w.Conn, int64(n*len(reply))); err != nil {
				t.Fatal(err)
			}
			if got := w.reply(t); got != "1" {
				t.Error(got)
			}
			if kept := int(heap()) - int(base); kept > total/8 {
				t.Errorf("replies of %d bytes: %d bytes are kept when they have been read", size, kept)
			}
		})
	}
}

// A large argument that comes in pieces becomes the value that is stored.
func TestLargeArgumentBecomesTheValue(t *testing.T) {
	const size = 8 << 20
	value := strings.Repeat("x", size)
	for _, c := range []struct {
		name          string
		before, after [][]byte
		command       []string
	}{
		{"SET", nil, nil, []string{"SET", "k", value}},
		{"SETEX", nil, nil, []string{"SETEX", "k", "100", value}},
		{"MSET", nil, nil, []string{"MSET", "other", "small", "k", value}},
		{"APPEND", nil, nil, []string{"APPEND", "k", value}},
		{"GETSET", [][]byte{request("SET", "k", "old")}, nil, []string{"GETSET", "k", value}},
		{"MULTI", [][]byte{request("MULTI")}, [][]byte{request("EXEC")}, []string{"SET", "k", value}},
		{"CLIENT PAUSE", [][]byte{request("CLIENT", "PAUSE", "1000")}, nil, []string{"SET", "k", value}},
	} {
		b := newBroker(t, frozen)
		l := muteClient(t, b)
		for _, p := range c.before {
			b.receive(l.session, p)
		}
		input := request(c.command...)
		got := allocated(func() {
			for len(input) > 0 {
				n := min(len(input), 64<<10)
				b.receive(l.session, input[:n])
				input = input[n:]
			}
			for _, p := range c.after {
				b.receive(l.session, p)
			}
			b.Advance(2 * time.Second)
		})
		if got > size*5/4 {
			t.Errorf("%s: %d bytes are allocated for a value of %d", c.name, got, size)
		}
		if n := l.session.requests.Buffered() + l.session.requests.Spare(); n > size/2 {
			t.Errorf("%s: the reader keeps the argument", c.name)
		}
		if n, _ := b.Do("STRLEN", "k"); n != int64(size) {
			t.Errorf("%s: the value has %v bytes", c.name, n)
		}
	}
}

// Values share no memory with each other, with what is stored elsewhere, or with what was
// sent before.
func TestLargeValuesAreApart(t *testing.T) {
	large := strings.Repeat("x", 100_000)
	b := newBroker(t, Options{})
	l := muteClient(t, b)
	var input []byte
	for _, command := range [][]string{
		{"SET", "a", large}, {"COPY", "a", "b"}, {"SETRANGE", "a", "0", "y"}, {"SET", "c", large}, {"RPUSH", "l", large},
		{"MULTI"}, {"SET", "d", large}, {"MSET", "e", large, "f", large}, {"SETRANGE", "d", "5", "y"}, {"EXEC"}, {"SETRANGE", "e", "7", "y"},
	} {
		input = append(input, request(command...)...)
	}
	for len(input) > 0 {
		n := min(len(input), 10_000)
		piece := bytes.Clone(input[:n])
		b.receive(l.session, piece)
		clear(piece)
		input = input[n:]
	}
	for key, want := range map[string]string{
		"a": "y" + large[1:], "b": large, "c": large, "d": large[:5] + "y" + large[6:], "e": large[:7] + "y" + large[8:], "f": large,
	} {
		if got, _ := b.Do("GET", key); got != want {
			t.Errorf("%s holds something else", key)
		}
	}
	if got, _ := b.Do("LINDEX", "l", "0"); got != large {
		t.Error("the list holds something else")
	}
}

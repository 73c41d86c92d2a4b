package broker

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait of a test for something that should happen at once.
const patience = time.Minute

// A wire is a client that shows what comes over the connection, byte for byte.
type wire struct {
	net.Conn
	in *bufio.Reader
	id int64 // as CLIENT ID tells; 0: not asked yet
}

func newWire(conn net.Conn) *wire { return &wire{Conn: conn, in: bufio.NewReader(conn)} }

// inMemory connects to a broker in memory.
func inMemory(t testing.TB, b *Broker) *wire {
	t.Helper()
	conn, err := b.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return newWire(conn)
}

// newBroker starts a broker that ends with the test.
func newBroker(t testing.TB, o Options) *Broker {
	t.Helper()
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// request encodes a command.
func request(args ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b
}

// send writes a command.
func (w *wire) send(t testing.TB, args ...string) {
	t.Helper()
	if _, err := w.Write(request(args...)); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
}

// do writes a command and returns the reply in readable form.
func (w *wire) do(t testing.TB, args ...string) string {
	t.Helper()
	w.send(t, args...)
	return w.reply(t)
}

// expect writes a command and fails the test unless it is answered as expected.
func (w *wire) expect(t testing.TB, want string, args ...string) {
	t.Helper()
	if got := w.do(t, args...); got != want {
		t.Fatalf("%q: got %s, want %s", args, got, want)
	}
}

// reply reads one reply in readable form: +OK, -ERR text, 1, word, "quoted", nil,
// nil-list, [array], {map}, ~[set], >[push],
// txt:"verbatim", (big number or #boolean.
func (w *wire) reply(t testing.TB) string {
	t.Helper()
	s, err := w.read()
	if err != nil {
		t.Fatalf("no reply: %v", err)
	}
	return s
}

func (w *wire) read() (string, error) {
	if err := w.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	return readReply(w.in)
}

func readReply(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	if !strings.HasSuffix(line, "\r\n") {
		return "", fmt.Errorf("the line %q does not end in CRLF", line)
	}
	kind, rest := line[0], line[1:len(line)-2]
	switch kind {
	case '+', '-':
		return string(kind) + rest, nil
	case ':', ',':
		return rest, nil
	case '(', '#':
		return line[:len(line)-2], nil
	case '_':
		return "nil", nil
	}
	n, err := strconv.Atoi(rest)
	if err != nil {
		return "", fmt.Errorf("unexpected line %q", line)
	}
	switch kind {
	case '$', '=':
		if n < 0 {
			return "nil", nil
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return "", err
		}
		text := string(b[:n])
		if kind == '=' {
			return text[:4] + strconv.Quote(text[4:]), nil
		}
		return quoted(text), nil
	case '*':
		if n < 0 {
			return "nil-list", nil
		}
		return readItems(in, "[", n, "]")
	case '~', '>':
		return readItems(in, string(kind)+"[", n, "]")
	case '%':
		return readItems(in, "{", 2*n, "}")
	}
	return "", fmt.Errorf("unexpected line %q", line)
}

func readItems(in *bufio.Reader, opening string, n int, closing string) (string, error) {
	items := make([]string, n)
	for i := range items {
		var err error
		if items[i], err = readReply(in); err != nil {
			return "", err
		}
	}
	return opening + strings.Join(items, " ") + closing, nil
}

// quoted leaves words as they are, and quotes what could be taken for something
// else.
func quoted(s string) string {
	if s == "" || s == "nil" || s == "nil-list" || strings.ContainsAny(s[:1], "+-:0123456789") {
		return strconv.Quote(s)
	}
	for _, c := range s {
		if c <= ' ' || c > '~' || strings.ContainsRune(`"[]{}~>\`, c) {
			return strconv.Quote(s)
		}
	}
	return s
}

package rpc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func readerOf(input string) *reader {
	r := newReader(strings.NewReader(input), 64)
	return &r
}

func TestAppendCommand(t *testing.T) {
	if got := string(appendCommand(nil, "SET", "", "ż")); got != "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$2\r\nż\r\n" {
		t.Errorf("got %q", got)
	}
}

// TestReader reads one reply and says what it was.
func TestReader(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	status := func(r *reader) (any, error) { return r.status("OK") }
	integer := func(r *reader) (any, error) { return r.integer() }
	bulk := func(r *reader) (any, error) { b, err := r.bulk(nil); return string(b), err }
	view := func(r *reader) (any, error) { b, err := r.view(); return string(b), err }
	array := func(r *reader) (any, error) { return r.array() }
	discard := func(r *reader) (any, error) { return nil, r.discard() }
	for _, c := range []struct {
		input string
		read  func(*reader) (any, error)
		want  any
		err   string // part of it
	}{
		{"+OK\r\n", status, true, ""},
		{"+QUEUED\r\n", status, false, ""},
		{":1\r\n", status, nil, `expected a status of Redis, got ":1"`},
		{"-ERR no\r\n", status, nil, "ERR no"},
		{":-12\r\n", integer, -12, ""},
		{":1x\r\n", integer, nil, "invalid syntax"},
		{"$3\r\na\r\n\r\n", bulk, "a\r\n", ""},
		{"$0\r\n\r\n", bulk, "", ""},
		{"$-1\r\n", bulk, nil, "null"},
		{"_\r\n", bulk, nil, "null"},
		{"*-1\r\n", bulk, nil, "null"},
		{"$-2\r\n", bulk, nil, "expected a length"},
		{"$536870913\r\n", bulk, nil, "expected a length"},
		{"$536870912\r\nx", bulk, nil, "unexpected EOF"},
		{"$9999999999999999999\r\n", bulk, nil, "expected a length"},
		{fmt.Sprintf("$%d\r\n%s\r\n", len(long), long), bulk, long, ""},
		{"$3\r\nabc\r\n", view, "abc", ""},
		{"$100\r\n" + strings.Repeat("y", 100) + "\r\n", view, strings.Repeat("y", 100), ""},
		{"*2\r\n", array, 2, ""},
		{"*-1\r\n", array, nil, "null"},
		{"%1\r\n", array, nil, "expected an array"},
		{"OK\r\n", status, nil, `expected a status of Redis, got "OK"`},
		{"\r\n", status, nil, "expected a line"},
		{"+OK\n", status, nil, "expected a line"},
		{"+" + strings.Repeat("x", 100) + "\r\n", status, nil, "buffer full"},
		{"", status, nil, "EOF"},
		{"*3\r\n$1\r\na\r\n%1\r\n+k\r\n*1\r\n:1\r\n-ERR in it\r\n", discard, nil, ""},
		{"|1\r\n+ttl\r\n:1\r\n$1\r\nx\r\n", discard, nil, ""},
		{"-ERR itself\r\n", discard, nil, "ERR itself"},
		{",1.5\r\n", discard, nil, ""}, {"#t\r\n", discard, nil, ""}, {"(12345678901234567890\r\n", discard, nil, ""},
		{"=5\r\ntxt:a\r\n", discard, nil, ""}, {"!3\r\nERR\r\n", discard, nil, ""}, {"~1\r\n_\r\n", discard, nil, ""},
	} {
		for name, in := range map[string]io.Reader{"at once": strings.NewReader(c.input + "+next\r\n"), "byte by byte": iotest.OneByteReader(strings.NewReader(c.input + "+next\r\n"))} {
			if c.input == "" || strings.HasPrefix(c.input, "$536870912\r") {
				in = strings.NewReader(c.input)
			}
			if len(c.input) > 1<<20 && name != "at once" {
				continue
			}
			r := newReader(in, 64)
			got, err := c.read(&r)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%.60q, %s: got error %v, want %q", c.input, name, err, c.err)
				}
				continue
			}
			if err != nil || got != c.want {
				t.Errorf("%.60q, %s: got %.60v, %v, want %.60v", c.input, name, got, err, c.want)
			}
			if ok, err := r.status("next"); !ok || err != nil {
				t.Errorf("%.60q, %s: what follows is not read next: %v, %v", c.input, name, ok, err)
			}
		}
	}
}

// TestPushMessages: they may stand before any value, also within another.
func TestPushMessages(t *testing.T) {
	invalidate := func(key string) string {
		return fmt.Sprintf(">2\r\n$10\r\ninvalidate\r\n*1\r\n$%d\r\n%s\r\n", len(key), key)
	}
	r := readerOf(invalidate("a") + "*2\r\n" + invalidate("b") + ":1\r\n" + ">2\r\n$10\r\ninvalidate\r\n_\r\n" + ">0\r\n" +
		">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nd\r\n" + invalidate(strings.Repeat("k", 100)) + ":2\r\n")
	var got []string
	r.pushed = func(elements int) error {
		return readInvalidation(r, elements, func(key []byte) {
			if key == nil {
				got = append(got, "all")
			} else {
				got = append(got, string(key))
			}
		})
	}
	n, err := r.array()
	one, err1 := r.integer()
	two, err2 := r.integer()
	if err := errors.Join(err, err1, err2); err != nil || n != 2 || one != 1 || two != 2 {
		t.Errorf("got %d, %d, %d, %v, want 2, 1, 2", n, one, two, err)
	}
	if want := "a b all " + strings.Repeat("k", 100); strings.Join(got, " ") != want {
		t.Errorf("got invalidations %q, want %q", got, want)
	}
}

// FuzzReader: whatever comes, everything is read or refused, and nothing is
// allocated that has not come.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "*2\r\n:1\r\n$-1\r\n", ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n:1\r\n", "*536870912\r\n", "$536870912\r\n", "|1\r\n_\r\n_\r\n_\r\n", "%2147483647\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		r := newReader(bytes.NewReader(input), 32)
		r.pushed = func(elements int) error { return readInvalidation(&r, elements, func([]byte) {}) }
		for {
			if err := r.discard(); err != nil && !isReply(err) {
				break
			}
		}
		r = newReader(bytes.NewReader(input), 32)
		for {
			if _, err := r.bulk(nil); err != nil && !isReply(err) && err != errNull {
				break
			}
		}
		r = newReader(bytes.NewReader(input), 32)
		fates := make([]fate, 2)
		for readPushes(&r, fates) == nil {
		}
	})
}

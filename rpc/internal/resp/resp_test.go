package resp

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAppendCommand(t *testing.T) {
	if got := string(AppendCommand(nil, "SET", "", "ż")); got != "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$2\r\nż\r\n" {
		t.Errorf("got %q", got)
	}
}

// TestReader reads one reply and says what it was.
func TestReader(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	bulk := func(r *Reader) (any, error) { b, err := r.Bulk(nil); return string(b), err }
	reused := func(r *Reader) (any, error) { b, err := r.Bulk([]byte("longer than three")); return string(b), err }
	array := func(r *Reader) (any, error) { return r.Array() }
	list := func(r *Reader) (any, error) {
		all, err := r.Strings([][]byte{[]byte("0")}, func() []byte { return nil })
		return string(bytes.Join(all, []byte(","))), err
	}
	skip := func(r *Reader) (any, error) {
		refused, broken := r.Skip()
		return fmt.Sprint(refused), broken
	}
	clock := func(r *Reader) (any, error) {
		micros, ok, err := r.Time()
		return fmt.Sprint(micros, ok), err
	}
	for _, c := range []struct {
		input string
		read  func(*Reader) (any, error)
		want  any
		err   string // part of it
	}{
		{"$3\r\na\r\n\r\n", bulk, "a\r\n", ""},
		{"$0\r\n\r\n", bulk, "", ""},
		{"$-1\r\n", bulk, nil, "null"},
		{"*-1\r\n", bulk, nil, "null"},
		{"$-2\r\n", bulk, nil, "expected a length"},
		{"$536870913\r\n", bulk, nil, "expected a length"},
		{"$536870912\r\nx", bulk, nil, "unexpected EOF"},
		{"$9999999999999999999\r\n", bulk, nil, "expected a length"},
		{fmt.Sprintf("$%d\r\n%s\r\n", len(long), long), bulk, long, ""},
		{"$3\r\nabc\r\n", reused, "abc", ""},
		{"$100\r\n" + strings.Repeat("y", 100) + "\r\n", reused, strings.Repeat("y", 100), ""},
		{"*2\r\n", array, 2, ""},
		{"*-1\r\n", array, nil, "null"},
		{"%1\r\n", array, nil, "expected an array"},
		{"*2\r\n$1\r\na\r\n$0\r\n\r\n", list, "0,a,", ""},
		{"*0\r\n", list, "0", ""},
		{"*-1\r\n", list, nil, "null"},
		{"*2\r\n$1\r\na\r\n:1\r\n", list, nil, "expected a string"},
		{"-WRONGTYPE no\r\n", list, nil, "WRONGTYPE no"},
		{"*3\r\n$1\r\na\r\n*2\r\n+k\r\n*1\r\n:1\r\n-ERR in it\r\n", skip, "<nil>", ""},
		{"$-1\r\n", skip, "<nil>", ""},
		{"*-1\r\n", skip, "<nil>", ""},
		{"-ERR itself\r\n", skip, "ERR itself", ""},
		{"$3\r\nab", skip, nil, "EOF"},
		{"*2\r\n$10\r\n1800000000\r\n$6\r\n000012\r\n", clock, "1800000000000012 true", ""},
		{"-NOPERM no\r\n", clock, "0 false", ""},
		{"*1\r\n$10\r\n1800000000\r\n", clock, nil, "expected seconds and microseconds"},
		{"*2\r\n$1\r\nx\r\n$1\r\n0\r\n", clock, nil, "expected numbers from TIME"},
	} {
		for name, in := range map[string]io.Reader{"at once": strings.NewReader(c.input + "+next\r\n"), "byte by byte": iotest.OneByteReader(strings.NewReader(c.input + "+next\r\n"))} {
			if c.input == "" || c.input == "$3\r\nab" || strings.HasPrefix(c.input, "$536870912\r") {
				in = strings.NewReader(c.input)
			}
			if len(c.input) > 1<<20 && name != "at once" {
				continue
			}
			r := NewReader(in, 64)
			got, err := c.read(r)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%.60q, %s: got error %v, want %q", c.input, name, err, c.err)
				}
				continue
			}
			if err != nil || got != c.want {
				t.Errorf("%.60q, %s: got %.60v, %v, want %.60v", c.input, name, got, err, c.want)
			}
			if _, err := r.Skip(); err != nil {
				t.Errorf("%.60q, %s: what follows is not read next: %v", c.input, name, err)
			}
		}
	}
}

// FuzzReader: whatever comes, everything is read or refused, and nothing is
// allocated that has not come.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "*2\r\n:1\r\n$-1\r\n", "*2\r\n$1\r\na\r\n$1\r\nb\r\n", "*536870912\r\n", "$536870912\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, read := range []func(*Reader) error{
			func(r *Reader) error { _, err := r.Skip(); return err },
			func(r *Reader) error { _, err := r.Bulk(nil); return err },
			func(r *Reader) error { _, err := r.Strings(nil, func() []byte { return nil }); return err },
			func(r *Reader) error { _, _, err := r.Time(); return err },
		} {
			r := NewReader(bytes.NewReader(input), 32)
			for {
				if err := read(r); err != nil && !IsError(err) && err != ErrNull {
					break
				}
			}
		}
	})
}

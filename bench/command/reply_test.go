package command

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

var replyTests = []struct {
	in      string
	refused ReplyError
	null    bool
}{
	{in: "+OK\r\n"},
	{in: "+\r\n"},
	{in: ":-12\r\n"},
	{in: "$3\r\nabc\r\n"},
	{in: "$0\r\n\r\n"},
	{in: "$-1\r\n", null: true},
	{in: "*-1\r\n", null: true},
	{in: "_\r\n", null: true},
	{in: "*0\r\n", null: true},
	{in: "%0\r\n", null: true},
	{in: "~1\r\n~0\r\n"},
	{in: "*2\r\n*1\r\n:1\r\n$1\r\na\r\n"},
	{in: "*2\r\n-ERR inner\r\n:1\r\n"},
	{in: "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n,1.5\r\n"},
	{in: "~1\r\n#t\r\n"},
	{in: "(12345678901234567890\r\n"},
	{in: "=7\r\ntxt:abc\r\n"},
	{in: "|1\r\n+ttl\r\n:1\r\n$1\r\na\r\n"},
	{in: ">2\r\n+invalidate\r\n*1\r\n+k\r\n:1\r\n"},
	{in: "-WRONGTYPE no\r\n", refused: "WRONGTYPE no"},
	{in: ">1\r\n+x\r\n-ERR no\r\n", refused: "ERR no"},
	{in: "$40000\r\n" + strings.Repeat("x", 40000) + "\r\n"},
}

// All replies come one after the other, in pieces of any size.
func TestReplies(t *testing.T) {
	var all strings.Builder
	for _, c := range replyTests {
		all.WriteString(c.in)
	}
	for name, from := range map[string]io.Reader{
		"whole": strings.NewReader(all.String()),
		"bytes": iotest.OneByteReader(strings.NewReader(all.String())),
		"half":  iotest.HalfReader(strings.NewReader(all.String())),
	} {
		r := newReplyReader(from)
		for _, c := range replyTests {
			refused, err := r.read()
			if err != nil || refused != c.refused || r.null != c.null {
				t.Fatalf("%s: %.40q: got %q, %v, null %v", name, c.in, refused, err, r.null)
			}
		}
		if _, err := r.read(); err != io.EOF {
			t.Errorf("%s: got %v at the end", name, err)
		}
	}
}

func TestMalformedReplies(t *testing.T) {
	for _, in := range []string{"\r\n", "x\r\n", "$\r\n", "$x\r\n", "*-2\r\n", "$99999999999999999999\r\n", "*\r\n", ":\r\n", "+" + strings.Repeat("x", readerSize)} {
		if _, err := newReplyReader(strings.NewReader(in)).read(); err == nil || !strings.Contains(err.Error(), "expected a reply in the protocol of Redis") {
			t.Errorf("%.20q: got %v", in, err)
		}
	}
}

func FuzzReplies(f *testing.F) {
	for _, c := range replyTests {
		f.Add([]byte(c.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newReplyReader(bytes.NewReader(in))
		for {
			if _, err := r.read(); err != nil {
				return
			}
		}
	})
}

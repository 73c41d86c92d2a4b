package resp

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// parseAll feeds input in pieces of the given size and returns the commands in
// it, and the error that ended it.
func parseAll(input []byte, piece int) (commands []string, err error) {
	r := NewReader(&Limits{MaxArguments: 1 << 20, MaxBulk: 1 << 20, MaxInline: 64 << 10})
	for len(input) > 0 {
		n := min(piece, len(input))
		fed := bytes.Clone(input[:n])
		r.Feed(fed)
		for {
			args, err := r.Next(true)
			if errors.Is(err, ErrIncomplete) {
				break
			}
			if err != nil {
				return commands, err
			}
			commands = append(commands, fmt.Sprintf("%q", args))
		}
		r.Keep()
		clear(fed) // what was fed is not the reader's to keep
		input = input[n:]
	}
	return commands, nil
}

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		input string
		want  []string
	}{
		{"", nil},
		{"*1\r\n$4\r\nPING\r\n", []string{`["PING"]`}},
		{"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", []string{`["ECHO" ""]`}},
		{"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n", []string{`["ECHO" "\r\n\r\n"]`}},
		{"*0\r\n", []string{`[]`}},
		{"*-1\r\nPING\r\n", []string{`[]`, `["PING"]`}},
		{"PING\n", []string{`["PING"]`}},
		{"\r\n", []string{`[]`}},
		{"  SET k 'it\\'s' \r\n", []string{`["SET" "k" "it's"]`}},
		{`SET k "a\x41\n\t\"\q"` + "\r\n", []string{`["SET" "k" "aA\n\t\"q"]`}},
		{`SET k "a"` + "\r\n", []string{`["SET" "k" "a"]`}},
		{`SET k a"b c"` + "\r\n", []string{`["SET" "k" "ab c"]`}},
		{`SET k ""` + "\r\n", []string{`["SET" "k" ""]`}},
		{"PING\x00 hidden\r\n", []string{`["PING"]`}},
		{"*1\r\n$4\r\nPING\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n", []string{`["PING"]`, `["PING"]`, `["QUIT"]`}},
		{"*1\r\n$4\r\nPINGxxPING\r\n", []string{`["PING"]`, `["PING"]`}}, // as in Redis, the end of an argument is not looked at
	} {
		for piece := 1; piece <= len(c.input)+1; piece++ {
			got, err := parseAll([]byte(c.input), piece)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%q in pieces of %d: got %s, %v; want %s", c.input, piece, got, err, c.want)
				break
			}
		}
	}
}

// A large argument is the same however it is cut, and what follows it.
func TestLargeArguments(t *testing.T) {
	large := strings.Repeat("0123456789", LargeArgument/10+1)
	input := slices.Concat(request("MSET", "a", large, "b", "small", "c", large[1:]), request("PING"), request("ECHO", large))
	want, err := parseAll(input, len(input))
	if len(want) != 3 || err != nil {
		t.Fatalf("%d commands, %v", len(want), err)
	}
	pieces := []int{1, 2, 3, 100, 16 << 10, LargeArgument - 1, LargeArgument, 64 << 10}
	for cut := LargeArgument - 10; cut < LargeArgument+150; cut++ { // around every border of an argument
		pieces = append(pieces, cut, 2*cut)
	}
	for _, piece := range pieces {
		got, err := parseAll(input, piece)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: %d commands, %v; want %d", piece, len(got), err, len(want))
		}
	}
}

// However input is cut into pieces, the commands are the same.
func FuzzRequests(f *testing.F) {
	f.Add([]byte("*1\r\n$4\r\nPING\r\nSET k \"v\"\r\n*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n"), 3)
	f.Add([]byte("*1\r\n$9223372036854775807\r\n"), 1)
	f.Add([]byte("*1099511627776\r\n*0\r\n*-1\r\n"), 2)
	f.Add([]byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$-1\r\n"), 5)
	f.Add([]byte("'unbalanced\r\n"), 4)
	f.Fuzz(func(t *testing.T, input []byte, piece int) {
		whole, wholeErr := parseAll(input, len(input)+1)
		pieces, piecesErr := parseAll(input, max(1, piece))
		if fmt.Sprint(whole) != fmt.Sprint(pieces) || fmt.Sprint(wholeErr) != fmt.Sprint(piecesErr) {
			t.Errorf("%q: whole %s, %v; in pieces of %d %s, %v", input, whole, wholeErr, piece, pieces, piecesErr)
		}
	})
}

// request is a command as clients send it.
func request(args ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b
}

//go:build unix

package broker

import (
	"fmt"
	"slices"
	"strings"
)

// A step is what one client does.
type step struct {
	client int
	args   []string // a command; "{b}" is the id of client b. None: it closes its connection
	joined bool     // sent together with the next step, if that is of the same client
	brief  bool     // a key that it makes ends soon, and what follows may see it or not
	form   stepForm
	cut    int // after so many bytes what is sent is cut in two, if it is that long
}

// A stepForm is how a command is sent.
type stepForm int

const (
	asArray stepForm = iota
	inline           // as a line
	raw              // the one argument as it is: no command
)

// String marks a step in a transcript.
func (f stepForm) String() string { return []string{">", " (inline)>", " (raw)>"}[f] }

func (s step) encode(args []string) []byte {
	switch s.form {
	case inline:
		return []byte(asTyped(args) + "\r\n")
	case raw:
		return []byte(args[0])
	}
	return request(args...)
}

func (s step) as(f stepForm) step {
	s.form = f
	return s
}

// step makes a step of the client whose turn it is.
func (g *generator) step(args []string) step {
	s := step{client: g.client, args: args, brief: g.brief}
	g.brief = false
	return s
}

// together is how many of the first steps can be sent at once.
func together(steps []step) int {
	n := 1
	for n < len(steps) && steps[n-1].joined && steps[n-1].args != nil && steps[n].args != nil && steps[n].client == steps[0].client {
		n++
	}
	return n
}

// join lets steps be sent together as far as that is clear: nothing behind what ends
// soon, a command that a rule is about ends what is sent, and nothing is sent
// together with EXEC, a page of a scan or what is no command. RESET may make a client one that has to
// give a password, and then redis-server closes it for long replies unread. It reads
// 16 KiB at once, and broadcasts invalidations before it reads on.
func join(steps []step) []step {
	size := 0
	for i, s := range steps {
		if i+1 == len(steps) {
			return steps
		}
		row, next := rowOf(s.args), steps[i+1]
		size += len(s.encode(s.args))
		steps[i].joined = !s.brief && s.form != raw && row != "exec" && row != "quit" && !isLoose(row) &&
			next.form != raw && !next.isPage() && !slices.Contains([]string{"exec", "reset"}, rowOf(next.args)) && size+len(next.encode(next.args)) < 15<<10
		if !steps[i].joined {
			size = 0
		}
	}
	return steps
}

// asTyped writes a command as a line that splitLine reads.
func asTyped(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = arg
		if arg == "" || strings.ContainsFunc(arg, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`"'\`, c) }) {
			var w strings.Builder
			for _, c := range []byte(arg) {
				switch {
				case c == '"' || c == '\\':
					w.WriteString(`\` + string(c))
				case strings.IndexByte("\n\r\t\b\a", c) >= 0:
					w.WriteString(`\` + string("nrtba"[strings.IndexByte("\n\r\t\b\a", c)]))
				case c < ' ' || c > '~':
					fmt.Fprintf(&w, `\x%02x`, c)
				default:
					w.WriteByte(c)
				}
			}
			words[i] = `"` + w.String() + `"`
		}
	}
	return strings.Join(words, " ")
}

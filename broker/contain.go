package broker

import (
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"
)

// A panic inside the broker is a mistake of the broker, or of a net.Listener that it
// was given. It is logged, and costs the client whose work it was its answer or its
// connection; the process, the lock and everybody else are spared.

// run calls a handler. One that panics costs its client an error. The arguments are
// those of the command, for the log; nil where they are not known any more.
func (b *Broker) run(c *call, args [][]byte, handler func(*call) reply) (r reply) {
	defer func() {
		if p := recover(); p != nil {
			shown := c.command.fullName
			if args != nil {
				shown = c.command.withArguments(args)
			}
			b.log(slog.LevelError, "a command failed inside the broker",
				"command", shown, "client", c.session.String(), "panic", p, "stack", string(debug.Stack()))
			r = failuref("ERR internal error in '%s', which is a mistake of the broker", c.command.fullName)
		}
	}()
	return handler(c)
}

// contain is to be deferred by what is done for a client under the lock. A panic
// costs the client its connection, as nobody knows what of its answer is missing.
func (s *session) contain() {
	if p := recover(); p != nil {
		s.fatal(p)
	}
}

// fatal closes the connection of a client whose work panicked.
func (s *session) fatal(p any) {
	command := "none"
	if s.command != nil {
		command = s.command.fullName
	}
	s.broker.log(slog.LevelError, "a client is closed, as something failed inside the broker",
		"command", command, "client", s.String(), "panic", p, "stack", string(debug.Stack()))
	s.abort()
}

// contain is to be deferred by what is done for no client under the lock.
func (b *Broker) contain() {
	if p := recover(); p != nil {
		b.log(slog.LevelError, "something failed inside the broker", "panic", p, "stack", string(debug.Stack()))
	}
}

// containIn is to be deferred by what is done without the lock, with a listener or a
// connection that others may have written. It closes what can be of no more use.
func (b *Broker) containIn(what string, useless ...io.Closer) {
	if p := recover(); p != nil {
		b.options.Logger.Error("a connection failed", "in", what, "panic", p, "stack", string(debug.Stack()))
		for _, c := range useless {
			c.Close()
		}
	}
}

// maxShown is how many bytes of a command are logged.
const maxShown = 256

// withArguments writes a command with its arguments for people: without secrets, in
// printable characters, and cut short.
func (c *command) withArguments(args [][]byte) string {
	var out strings.Builder
	out.WriteString(c.fullName)
	from := 1 + strings.Count(c.fullName, "|")
	for i := from; i < len(args); i++ {
		if out.Len() >= maxShown {
			fmt.Fprintf(&out, " ... (%d more arguments)", len(args)-i)
			break
		}
		switch arg := args[i]; {
		case c.isSecret(args, i):
			out.WriteString(" (redacted)")
		case len(arg) > maxShown:
			fmt.Fprintf(&out, " %s... (%d bytes)", strconv.QuoteToASCII(string(arg[:maxShown/2])), len(arg))
		default:
			out.WriteString(" " + strconv.QuoteToASCII(string(arg)))
		}
	}
	return out.String()
}

// isSecret reports whether an argument is not to be shown: a password, or what may
// hold one.
func (c *command) isSecret(args [][]byte, i int) bool {
	switch c.fullName {
	case "auth":
		return true
	case "hello": // AUTH user password
		return i > 2 && is(args[i-1], "AUTH") || i > 3 && is(args[i-2], "AUTH")
	case "config|set":
		return i%2 == 1 && is(args[i-1], "REQUIREPASS")
	}
	return false
}

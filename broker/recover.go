package broker

import (
	"io"
	"log/slog"
	"runtime/debug"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// A panic inside the broker is a mistake of the broker, or of a net.Listener that it
// was given. It is logged, and costs the client whose work it was its answer or its
// connection; the process, the lock and everybody else are spared.

// guard calls a handler, and sets its reply. One that panics costs its client an error. The arguments are
// those of the command; nil if the client was blocked, and has kept them.
func (b *Broker) guard(c *call, args [][]byte, handler keyspace.Handler, r *resp.Reply) {
	defer func() {
		if p := recover(); p != nil {
			kept := c.session.blockedArgs
			if args != nil {
				kept = appendArguments(nil, c.command, args)
			}
			b.log(slog.LevelError, "a command failed inside the broker",
				"command", asLine(kept), "client", c.session.String(), "panic", p, "stack", string(debug.Stack()))
			*r = resp.Errorf("ERR internal error in '%s', which is a mistake of the broker", c.command.FullName)
		}
	}()
	*r = handler(&c.Call, args)
}

// asLine writes arguments of appendArguments as a client would type them.
func asLine(kept []byte) string {
	var line []byte
	for i, arg := range keptArgumentsOf(kept) {
		if i > 0 {
			line = append(line, ' ')
		}
		line = resp.AppendQuoted(line, []byte(arg))
	}
	return string(line)
}

// recoverPanic is to be deferred by what is done for a client under the lock. A panic
// costs the client its connection, as nobody knows what of its answer is missing.
func (s *session) recoverPanic() {
	if p := recover(); p != nil {
		s.fatal(p)
	}
}

// fatal closes the connection of a client whose work panicked.
func (s *session) fatal(p any) {
	command := "none"
	if s.command != nil {
		command = s.command.FullName
	}
	s.broker.log(slog.LevelError, "a client is closed, as something failed inside the broker",
		"command", command, "client", s.String(), "panic", p, "stack", string(debug.Stack()))
	s.Abort()
}

// recoverPanic is to be deferred by what is done for no client under the lock.
func (b *Broker) recoverPanic() {
	if p := recover(); p != nil {
		b.log(slog.LevelError, "something failed inside the broker", "panic", p, "stack", string(debug.Stack()))
	}
}

// recoverIn is to be deferred by what is done without the lock, with a listener or a
// connection that others may have written. It closes what can be of no more use.
func (b *Broker) recoverIn(what string, useless ...io.Closer) {
	if p := recover(); p != nil {
		b.connFailed(what, p, useless)
	}
}

func (b *Broker) connFailed(what string, panicked any, useless []io.Closer) {
	b.logger.Error("a connection failed", "in", what, "panic", panicked, "stack", string(debug.Stack()))
	for _, c := range useless {
		c.Close()
	}
}

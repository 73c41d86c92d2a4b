package broker

import (
	"fmt"
	"slices"
	"strings"

	"redrpc/broker/internal/transport"
)

// Strict mode: what a client gets away with in Redis, but is a mistake in a program
// nearly always.

// A Violation is what Options.Strict does not let pass: an unknown command or
// sub-command, a wrong number of arguments, or a client whose connection ends inside
// MULTI, or while it watches keys. What client libraries try when they connect, and
// know how to do without, is none (CLIENT SETINFO, SENTINEL).
type Violation struct {
	// Record is the command in the log: the one that was refused, or the MULTI or WATCH
	// that the client left behind.
	Record Record

	// Left says what was left open, and how many commands or keys that concerns; "" for
	// a command that was refused.
	Left string

	// Dialled is where the client was dialled, FILE:LINE, if it is in memory and that is
	// known.
	Dialled string
}

// String is the violation as a line: the record, and what is wrong.
func (v Violation) String() string {
	line := v.Record.String()
	if v.Left != "" {
		line += "; the connection ended " + v.Left
	}
	if v.Dialled != "" {
		line += "; dialled=" + v.Dialled
	}
	return line
}

// Violations returns what clients have done that Options.Strict does not let pass, the
// first 1000 of it. A client that is still connected has not left anything behind yet:
// after Close none is.
func (b *Broker) Violations() []Violation {
	b.enter()
	defer b.leave()
	return slices.Clone(b.violations)
}

const maxViolations = 1000

func (s *session) addViolation(r Record, left string) {
	b := s.broker
	if len(b.violations) == maxViolations {
		return
	}
	v := Violation{Record: r, Left: left}
	if l, inMemory := s.transport.(transport.Memory); inMemory {
		v.Dialled = l.DialledAt()
	}
	b.violations = append(b.violations, v)
}

// misuses begin the errors that are violations.
var misuses = []string{"ERR unknown command", "ERR unknown subcommand", "ERR wrong number of arguments"}

// probes are what client libraries try when they connect, and what Redis 7.0 does not
// have: sub-commands of later versions and of Valkey, and the command of a sentinel.
var probes = []string{"client setinfo", "client maint_notifications", "client no-touch", "client capa", "sentinel"}

// checkStrict looks at a command that has run, or was refused.
func (s *session) checkStrict(l *logEntry) {
	switch {
	case !s.broker.options.Strict || l.client == 0:
	case l.err != "":
		isMisuse := func(beginning string) bool { return strings.HasPrefix(l.err, beginning) }
		if r := l.record(); slices.ContainsFunc(misuses, isMisuse) && !isProbe(r.Args) {
			s.addViolation(r, "")
		}
	case l.command.Name == "multi" || l.command.Name == "watch":
		r := l.record()
		s.multiOrWatch = &r
	}
}

func isProbe(args []string) bool {
	name := strings.ToLower(args[0])
	return slices.Contains(probes, name) || len(args) > 1 && slices.Contains(probes, name+" "+strings.ToLower(args[1]))
}

// checkStrictAtEnd looks at what a client leaves behind.
func (s *session) checkStrictAtEnd() {
	t := &s.transaction
	switch {
	case s.multiOrWatch == nil:
	case t.open:
		s.addViolation(*s.multiOrWatch, fmt.Sprintf("before EXEC or DISCARD (queued: %d)", len(t.queue)))
	case len(t.watched) > 0:
		s.addViolation(*s.multiOrWatch, fmt.Sprintf("before EXEC or UNWATCH (watched: %d)", len(t.watched)))
	}
}

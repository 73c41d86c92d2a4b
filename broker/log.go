package broker

import (
	"fmt"
	"strings"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// The log of commands, for tests that want to know what happened.

// A Record is a command in the log of a broker.
type Record struct {
	Number int64     // of the commands that were ever logged, counted from 1
	Time   time.Time // by the broker's clock; commands that came together have the same
	Client int64     // its id, as in CLIENT LIST; 0: Do
	Name   string    // of the client, as CLIENT SETNAME set it
	DB     int       // that it used

	// Command is the full name in lower case, such as "get" or "client|list", or "" if
	// the broker knows no such command.
	Command string

	// Args are what was sent, the command's name first: no more than 32, and no more
	// than 128 bytes of each. What is left out is counted in the last one, or at its
	// end. Passwords are replaced by "(redacted)".
	Args []string

	// Took is how long the command ran, by the machine's monotonic clock, without
	// waiting: Options.ManualTime has no say in it.
	Took time.Duration

	Outcome Outcome
	Error   string        // of one that Failed, or was Refused
	Waited  time.Duration // how long it was Blocked before, by the broker's clock
}

// An Outcome is what has become of a command.
type Outcome int

const (
	Answered Outcome = iota // with a value
	Nil                     // answered with null
	Failed                  // answered with an error
	Refused                 // answered with an error, without having run: unknown, a wrong number of arguments, no password, and the like
	Queued                  // by MULTI; when EXEC runs it there is another record, before that of EXEC
	Blocked                 // it waits; when that ends there is another record
	Dropped                 // it ended without an answer, as the connection did
)

// outcome says what a reply makes of a command.
func outcomeOf(r *resp.Reply) (o Outcome, err string) {
	switch r.Kind {
	case resp.KindError:
		return Failed, r.Text
	case resp.KindNull, resp.KindNullArray:
		return Nil, ""
	case resp.KindWait:
		return Blocked, ""
	}
	return Answered, ""
}

var outcomeNames = [...]string{"value", "nil", "failed", "refused", "queued", "blocked", "dropped"}

func (o Outcome) String() string { return outcomeNames[o] }

// String is the record as a line. The same commands at the same times of a manual
// clock give the same lines: what depends on the machine is left out.
func (r Record) String() string {
	var line strings.Builder
	fmt.Fprintf(&line, "%d %s ", r.Number, r.Time.UTC().Format("15:04:05.000000"))
	if r.Client == 0 {
		line.WriteString("Do")
	} else {
		fmt.Fprintf(&line, "client %d", r.Client)
	}
	if r.Name != "" {
		fmt.Fprintf(&line, " (%s)", r.Name)
	}
	fmt.Fprintf(&line, " db %d:", r.DB)
	for _, arg := range r.Args {
		line.Write(resp.AppendQuoted([]byte{' '}, []byte(arg)))
	}
	line.WriteString(" -> " + r.Outcome.String())
	if r.Error != "" {
		line.WriteString(": " + r.Error)
	}
	if r.Waited > 0 {
		fmt.Fprintf(&line, " after %v", r.Waited)
	}
	return line.String()
}

// Log returns the last Options.LogSize commands, the oldest first: all that were
// carried out, were refused, or wait. A test picks what it wants with a loop.
func (b *Broker) Log() []Record {
	b.enter()
	defer b.leave()
	return b.records()
}

func (b *Broker) records() []Record {
	records := make([]Record, len(b.history.items))
	for i := range records {
		records[i] = b.history.at(i).record()
	}
	return records
}

// A logged is a Record as it is kept.
type logged struct {
	number, at, client int64
	name               string
	db                 int
	command            *command.Command
	args               []byte // see appendArguments; its memory is used again
	took, waited       int64
	outcome            Outcome
	err                string
}

func (l *logged) record() Record {
	r := Record{
		Number: l.number, Time: time.Unix(0, l.at), Client: l.client, Name: l.name, DB: l.db, Args: keptArgumentsOf(l.args),
		Took: time.Duration(l.took), Outcome: l.outcome, Error: l.err, Waited: time.Duration(l.waited),
	}
	if l.command != nil {
		r.Command = l.command.FullName
	}
	return r
}

// note makes a record of a command, with the arguments to be set, or returns nil if
// there is no log.
func (s *session) note(cmd *command.Command, outcome Outcome, err string, took int64) *logged {
	b := s.broker
	if b.history.most == 0 {
		return nil
	}
	b.noted++
	l := b.history.put()
	*l = logged{
		number: b.noted, at: b.keys.Now, client: s.id, name: s.name, db: s.db.Index, command: cmd,
		args: l.args[:0], took: took, outcome: outcome, err: err,
	}
	return l
}

// noteEnd makes a record of how the waiting of a client ends.
func (s *session) noteEnd(outcome Outcome, err string) {
	if l := s.note(s.command, outcome, err, s.waiter.took); l != nil {
		l.args = append(l.args, s.kept...)
		l.waited = s.broker.keys.Now - s.waiter.since
	}
}

// noteDropped makes the last record one of a command that ended without an answer.
func (b *Broker) noteDropped() {
	if n := len(b.history.items); b.observed && n > 0 {
		l := b.history.at(n - 1)
		l.outcome, l.err = Dropped, ""
	}
}

// noteUnrun makes a record of a command that was not run. An error need not repeat the
// arguments, which may be secret.
func (s *session) noteUnrun(cmd *command.Command, args [][]byte, outcome Outcome, err string) {
	err, _, _ = strings.Cut(err, ", with args beginning with:")
	if l := s.note(cmd, outcome, err, 0); l != nil {
		l.args = appendArguments(l.args, cmd, args)
		s.judge(l)
	}
}

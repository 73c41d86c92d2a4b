package broker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// A Record is a command in the log of a broker.
type Record struct {
	Number int64     // of all commands logged, counted from 1
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

	// Took is how long the command ran, without blocking, by the machine's monotonic clock,
	// also with Options.ManualTime.
	Took time.Duration

	Outcome Outcome
	Error   string        // of one that Failed, or was Refused
	Waited  time.Duration // how long it was Blocked before, by the broker's clock
}

// An Outcome is how a command ended.
type Outcome int

const (
	Answered Outcome = iota // with a value
	Nil                     // answered with null
	Failed                  // answered with an error
	Refused                 // rejected with an error before it ran: unknown, wrong number of arguments, not authenticated, and the like
	Queued                  // by MULTI; when EXEC runs it there is another record, before that of EXEC
	Blocked                 // when it is served or times out there is another record
	Dropped                 // the connection ended before the reply
)

// outcomeOf is the outcome of a command with a reply.
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

// String is the record as one line. It is deterministic with manual time: what depends on
// the machine is left out.
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

// Log returns the last Options.LogSize commands, the oldest first, including those that
// were refused or are blocked.
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

// A logEntry is a stored Record.
type logEntry struct {
	number, at, client int64
	name               string
	db                 int
	command            *command.Command
	args               []byte // see appendArguments; its memory is reused
	took, waited       int64
	outcome            Outcome
	err                string
}

func (l *logEntry) record() Record {
	r := Record{
		Number: l.number, Time: time.Unix(0, l.at), Client: l.client, Name: l.name, DB: l.db, Args: keptArgumentsOf(l.args),
		Took: time.Duration(l.took), Outcome: l.outcome, Error: l.err, Waited: time.Duration(l.waited),
	}
	if l.command != nil {
		r.Command = l.command.FullName
	}
	return r
}

// logCommand logs a command; the caller sets the arguments. It returns nil if there is no
// log.
func (s *session) logCommand(cmd *command.Command, outcome Outcome, err string, took int64) *logEntry {
	b := s.broker
	if b.history.most == 0 {
		return nil
	}
	b.logged++
	l := b.history.put()
	*l = logEntry{
		number: b.logged, at: b.keys.Now, client: s.id, name: s.name, db: s.db.Index, command: cmd,
		args: l.args[:0], took: took, outcome: outcome, err: err,
	}
	return l
}

// logUnblocked logs the end of a blocked command.
func (s *session) logUnblocked(outcome Outcome, err string) {
	if l := s.logCommand(s.command, outcome, err, s.waiter.took); l != nil {
		l.args = append(l.args, s.blockedArgs...)
		l.waited = s.broker.keys.Now - s.waiter.since
	}
}

// logDropped changes the last record's outcome to Dropped.
func (b *Broker) logDropped() {
	if n := len(b.history.items); b.observed && n > 0 {
		l := b.history.at(n - 1)
		l.outcome, l.err = Dropped, ""
	}
}

// logNotRun logs a command that did not run. Arguments, which may be secret, are removed
// from the error.
func (s *session) logNotRun(cmd *command.Command, args [][]byte, outcome Outcome, err string) {
	err, _, _ = strings.Cut(err, ", with args beginning with:")
	if l := s.logCommand(cmd, outcome, err, 0); l != nil {
		l.args = appendArguments(l.args, cmd, args)
		s.checkStrict(l)
	}
}

// The logs keep as much of the arguments as Redis's slow log, without secrets.

const (
	keptArguments = 32  // of a command
	keptBytes     = 128 // of an argument
	redacted      = "(redacted)"
)

// appendArguments appends to b what is kept of the arguments, each preceded by its length
// in a byte. cmd is nil for an unknown command.
func appendArguments(b []byte, cmd *command.Command, args [][]byte) []byte {
	for i, arg := range args {
		at := len(b)
		b = append(b, 0)
		left := len(args) - i
		switch {
		case i == keptArguments-1 && left > 1:
			b = append(strconv.AppendInt(append(b, "... ("...), int64(left), 10), " more arguments)"...)
			b[at] = byte(len(b) - at - 1)
			return b
		case isSecret(cmd, args, i):
			b = append(b, redacted...)
		case len(arg) > keptBytes:
			b = append(append(b, arg[:keptBytes]...), "... ("...)
			b = append(strconv.AppendInt(b, int64(len(arg)-keptBytes), 10), " more bytes)"...)
		default:
			b = append(b, arg...)
		}
		b[at] = byte(len(b) - at - 1)
	}
	return b
}

// keptArgumentsOf decodes what appendArguments has written.
func keptArgumentsOf(b []byte) []string {
	var args []string
	for len(b) > 0 {
		end := 1 + int(b[0])
		args = append(args, string(b[1:end]))
		b = b[end:]
	}
	return args
}

// secretSettings are those that Redis hides, too.
var secretSettings = []string{"requirepass", "masterauth", "masteruser", "tls-key-file-pass", "tls-client-key-file-pass"}

// isSecret reports whether an argument is or may be a password. c is nil for an unknown
// command.
func isSecret(c *command.Command, args [][]byte, i int) bool {
	name := ""
	if c != nil {
		name = c.FullName
	}
	switch {
	case i == 0:
		return false
	case name == "auth":
		return true
	case name == "hello": // AUTH user password
		return i > 2 && resp.Is(args[i-1], "AUTH") || i > 3 && resp.Is(args[i-2], "AUTH")
	case name == "config|set":
		if len(args)%2 != 0 { // which of them are values is unknown
			return slices.ContainsFunc(args[2:max(i, 2)], isSecretSetting)
		}
		return i%2 == 1 && isSecretSetting(args[i-1])
	case name == "acl|setuser":
		return i > 1
	case name == "migrate": // AUTH password, AUTH2 user password
		return i > 6 && (resp.Is(args[i-1], "AUTH") || resp.Is(args[i-1], "AUTH2")) || i > 7 && resp.Is(args[i-2], "AUTH2")
	case c == nil: // of another version, for example
		hidesAll := func(arg []byte) bool { return resp.Is(arg, "AUTH") || resp.Is(arg, "AUTH2") || resp.Is(arg, "SETUSER") }
		return slices.ContainsFunc(args[:i], hidesAll)
	}
	return false
}

func isSecretSetting(name []byte) bool {
	return slices.Contains(secretSettings, strings.ToLower(string(name)))
}

// A ring is a ring buffer.
type ring[T any] struct {
	most   int // capacity
	items  []T
	oldest int // index
}

// put returns a pointer to a new item, which the caller sets: it may be the oldest one,
// reused. The capacity must not be 0.
func (r *ring[T]) put() *T {
	if len(r.items) < r.most {
		var empty T
		r.items = append(r.items, empty)
		return &r.items[len(r.items)-1]
	}
	item := &r.items[r.oldest]
	r.oldest = (r.oldest + 1) % r.most
	return item
}

// at returns an item by its age: 0 is the oldest.
func (r *ring[T]) at(i int) *T { return &r.items[(r.oldest+i)%len(r.items)] }

// resize changes the capacity. The oldest items are dropped.
func (r *ring[T]) resize(most int) {
	if most == r.most {
		return
	}
	all := slices.Concat(r.items[r.oldest:], r.items[:r.oldest])
	r.most, r.oldest = most, 0
	r.items = slices.Clip(all[max(0, len(all)-most):])
}

// clear drops all items.
func (r *ring[T]) clear() { r.items, r.oldest = nil, 0 }

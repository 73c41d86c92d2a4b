package broker

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"redrpc/broker/internal/glob"
)

// A Fault says which commands fail, and how. [Broker.Inject] adds it as a rule;
// [ParseFault] parses one.
//
//	broker.Fault{Command: "blpop", Key: "jobs:*", Nth: 3, Drop: broker.DropAfter}
//	broker.Fault{Client: "worker-*", Delay: broker.Fixed(50 * time.Millisecond)}
//	broker.Fault{Command: "set", Probability: 0.1, Error: "OOM command not allowed"}
//	broker.Fault{RTT: 20 * time.Millisecond, Upload: 100_000}
type Fault struct {
	// Which commands. A command has to match all three; "" matches any.
	//
	// The patterns are Redis's: *, ?, [a-c], and \ to escape. Command is matched with the
	// name, for a sub-command such as "client|list"; "client" alone stands for all its
	// sub-commands. Key is matched with each of the command's keys; a command without
	// keys, such as PING or EXEC, does not match. Client is matched with the name that the
	// client has set by CLIENT SETNAME or HELLO; one without a name does not match.
	Command string
	Key     string
	Client  string

	// Which of the commands that match, counted since the rule was added. Without a
	// Command this includes the HELLO and CLIENT by which libraries connect.
	Nth         int     // only the nth, counted from 1; 0: each
	Times       int     // at most so many; 0: any number
	Probability float64 // each with this probability; 0: always
	Seed        uint64  // random seed of Probability and Delay

	// What happens to them, in this order. At most one of Func, Error and Drop.
	Stall time.Duration          // the whole broker stops for so long, see [Broker.Stall]
	Delay Delay                  // the command is delayed, and those that the client sends after it; nil: no delay
	Func  func(*Command) Verdict // decides; see [Broker.Intercept]
	Error string                 // the error reply, such as "ERR no"; the command does not run
	Drop  Drop                   // the connection is closed

	// Refuse makes the broker refuse new connections. In memory Dial returns an error; a
	// socket is closed as soon as it has connected. It can be combined with Nth, Times,
	// Probability and Seed only.
	Refuse bool

	// A slow network (netem) between the broker and the clients whose name matches Client:
	// the round-trip time, and the rates in bytes per second from and to the client, 0
	// meaning unlimited. With several such rules for a client the times add up, and the
	// lowest rate counts. Connecting is not delayed. These can be combined with Client only.
	RTT              time.Duration
	Upload, Download int
}

// A Drop is when a connection is closed. The client receives all earlier replies; its later
// commands do not run.
type Drop int

// When a connection is closed.
const (
	DropBefore Drop = iota + 1 // instead of running the command
	DropAfter                  // when the command has run, before its reply; if it blocks, when it is served or times out
	DropHalf                   // the same, but the first half of the reply is sent
)

var dropNames = []string{"never", "before", "after", "half"}

// String is the word in the text of a fault.
func (d Drop) String() string {
	if d < 0 || int(d) >= len(dropNames) {
		return fmt.Sprintf("Drop(%d)", int(d))
	}
	return dropNames[d]
}

// check returns an error that names the field if a fault is invalid.
func (f *Fault) check() error {
	wrong := func(field, format string, args ...any) error {
		return fmt.Errorf("broker: Fault.%s %s", field, fmt.Sprintf(format, args...))
	}
	network := f.RTT != 0 || f.Upload != 0 || f.Download != 0
	for _, c := range []struct {
		field         string
		set           bool
		forCommands   bool // it selects commands, or says what happens to them
		forConnecting bool // it can be combined with Refuse
	}{
		{field: "Command", set: f.Command != "", forCommands: true},
		{field: "Key", set: f.Key != "", forCommands: true},
		{field: "Nth", set: f.Nth != 0, forCommands: true, forConnecting: true},
		{field: "Times", set: f.Times != 0, forCommands: true, forConnecting: true},
		{field: "Probability", set: f.Probability != 0, forCommands: true, forConnecting: true},
		{field: "Seed", set: f.Seed != 0, forCommands: true, forConnecting: true},
		{field: "Stall", set: f.Stall != 0, forCommands: true},
		{field: "Delay", set: f.Delay != nil, forCommands: true},
		{field: "Func", set: f.Func != nil, forCommands: true},
		{field: "Error", set: f.Error != "", forCommands: true},
		{field: "Drop", set: f.Drop != 0, forCommands: true},
		{field: "Client", set: f.Client != ""},
		{field: "RTT", set: f.RTT != 0},
		{field: "Upload", set: f.Upload != 0},
		{field: "Download", set: f.Download != 0},
	} {
		switch {
		case c.set && f.Refuse && !c.forConnecting:
			return wrong(c.field, "is set together with Refuse: expected only Nth, Times, Probability and Seed beside it")
		case c.set && network && c.forCommands:
			return wrong(c.field, "is set together with RTT, Upload or Download: expected only Client beside them")
		}
	}
	for _, c := range []struct {
		field string
		value int64
		zero  string
	}{
		{"Nth", int64(f.Nth), "each"},
		{"Times", int64(f.Times), "any number"},
		{"Upload", int64(f.Upload), "any speed"},
		{"Download", int64(f.Download), "any speed"},
		{"RTT", int64(f.RTT), "no time"},
		{"Stall", int64(f.Stall), "no stall"},
	} {
		if c.value < 0 {
			return wrong(c.field, "is %d: expected 0 (%s) or more", c.value, c.zero)
		}
	}
	switch {
	case !(f.Probability >= 0 && f.Probability <= 1): // NaN too
		return wrong("Probability", "is %v: expected a number from 0 (always) to 1", f.Probability)
	case f.Drop < 0 || int(f.Drop) >= len(dropNames):
		return wrong("Drop", "is %d: expected 0, DropBefore, DropAfter or DropHalf", int(f.Drop))
	case f.Error != "" && f.Drop != 0:
		return wrong("Drop", "is set together with Error: expected one of them, as a client that is dropped receives no error")
	case f.Func != nil && f.Error != "":
		return wrong("Error", "is set together with Func, which decides: expected one of them")
	case f.Func != nil && f.Drop != 0:
		return wrong("Drop", "is set together with Func, which decides: expected one of them")
	case f.Error != "" && !isErrorText(f.Error):
		return wrong("Error", "is %q: expected a line such as \"READONLY You can't write\", without the - before it", f.Error)
	case f.Command != "" && f.rows() == nil:
		return wrong("Command", "is %q: the broker has no command of that name", f.Command)
	case !f.Refuse && !network && f.Stall == 0 && f.Delay == nil && f.Func == nil && f.Error == "" && f.Drop == 0:
		return errors.New("broker: Fault has no effect: expected Stall, Delay, Func, Error, Drop, Refuse, RTT, Upload or Download to be set")
	}
	if c, is := f.Delay.(interface{ check() string }); is {
		if expected := c.check(); expected != "" {
			return wrong("Delay", "is %v: expected %s", f.Delay, expected)
		}
	}
	return nil
}

// isErrorText reports whether a text can be an error reply.
func isErrorText(s string) bool {
	return s[0] != '-' && s[0] != ' ' && !strings.ContainsAny(s, "\r\n")
}

// forCommands reports whether a fault is about commands, not connecting or the network.
func (f *Fault) forCommands() bool { return !f.Refuse && !f.slows() }

// slows reports whether the fault is a slow network.
func (f *Fault) slows() bool { return f.RTT > 0 || f.Upload > 0 || f.Download > 0 }

// rows reports for each command, by index, whether its name matches; nil if none does.
// Commands of Options.TestCommands never match.
func (f *Fault) rows() []bool {
	matches := make([]bool, table.Count)
	any := false
	for name, c := range table.All() {
		container, _, _ := strings.Cut(name, "|")
		if glob.Match(f.Command, name, true) || glob.Match(f.Command, container, true) {
			matches[c.Index], any = true, true
		}
	}
	if !any {
		return nil
	}
	return matches
}

// A Delay is a distribution of delays: Fixed, Uniform, Normal, Exponential or a DelayFunc.
// Negative delays count as 0.
type Delay interface {
	// Draw returns the next delay. The random numbers come from the rule's seed.
	Draw(*rand.Rand) time.Duration
}

// Fixed is always the same delay.
type Fixed time.Duration

// Uniform is a uniformly distributed delay from Min to Max.
type Uniform struct{ Min, Max time.Duration }

// Normal is a normally distributed delay.
type Normal struct{ Mean, Deviation time.Duration }

// Exponential is an exponentially distributed delay.
type Exponential struct{ Mean time.Duration }

// A DelayFunc is a function that draws a delay. It is called under the broker's lock, so it
// must not call the broker or block.
type DelayFunc func(*rand.Rand) time.Duration

func (d Fixed) Draw(*rand.Rand) time.Duration { return time.Duration(d) }

func (d Uniform) Draw(r *rand.Rand) time.Duration {
	return d.Min + time.Duration(r.Float64()*float64(d.Max-d.Min))
}

func (d Normal) Draw(r *rand.Rand) time.Duration {
	return toDuration(float64(d.Mean) + r.NormFloat64()*float64(d.Deviation))
}

func (d Exponential) Draw(r *rand.Rand) time.Duration {
	return toDuration(r.ExpFloat64() * float64(d.Mean))
}

func (d DelayFunc) Draw(r *rand.Rand) time.Duration { return d(r) }

// The texts are those of ParseFault.

func (d Fixed) String() string       { return time.Duration(d).String() }
func (d Uniform) String() string     { return fmt.Sprintf("uniform(%v,%v)", d.Min, d.Max) }
func (d Normal) String() string      { return fmt.Sprintf("normal(%v,%v)", d.Mean, d.Deviation) }
func (d Exponential) String() string { return fmt.Sprintf("exponential(%v)", d.Mean) }
func (d DelayFunc) String() string   { return "function" }

// check returns what was expected, or "".

func (d Fixed) check() string {
	if d <= 0 {
		return "a time longer than 0"
	}
	return ""
}

func (d Uniform) check() string {
	if d.Min < 0 || d.Max < d.Min || d.Max == 0 {
		return "a least time of 0 or more, and a longest that is not shorter"
	}
	return ""
}

func (d Normal) check() string {
	if d.Mean < 0 || d.Deviation < 0 || d.Mean+d.Deviation == 0 {
		return "a mean and a deviation of 0 or more"
	}
	return ""
}

func (d Exponential) check() string {
	if d.Mean <= 0 {
		return "a mean longer than 0"
	}
	return ""
}

func (d DelayFunc) check() string {
	if d == nil {
		return "a function"
	}
	return ""
}

// toDuration converts nanoseconds, limited to 0 to 146 years.
func toDuration(ns float64) time.Duration {
	return time.Duration(max(0, min(ns, math.MaxInt64/2)))
}

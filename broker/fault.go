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

// A Fault says which commands something is to happen to, and what. [Broker.Inject]
// makes a rule of it; [ParseFault] reads one from a text.
//
//	broker.Fault{Command: "blpop", Key: "jobs:*", Nth: 3, Drop: broker.DropAfter}
//	broker.Fault{Client: "worker-*", Delay: broker.Fixed(50 * time.Millisecond)}
//	broker.Fault{Command: "set", Probability: 0.1, Error: "OOM command not allowed"}
//	broker.Fault{RTT: 20 * time.Millisecond, Upload: 100_000}
type Fault struct {
	// Which commands. A command has to match all three; "" matches any.
	//
	// The patterns are Redis's: *, ?, [a-c], and \ before what is meant literally.
	// Command is compared with the name, of a sub-command "client|list" for example;
	// the name of a container, "client", stands for all its sub-commands. Key is
	// compared with each of the command's keys; a command without keys, such as PING
	// or EXEC, does not match. Client is compared with the name that the client has
	// given itself by CLIENT SETNAME or HELLO; one without a name does not match.
	Command string
	Key     string
	Client  string

	// Which of the commands that match, counted from when the rule was made. Without a
	// Command these are also the HELLO and CLIENT that libraries send to connect.
	Nth         int     // only the nth, counted from 1; 0: each
	Times       int     // at most so many; 0: any number
	Probability float64 // each with this probability; 0: always
	Seed        uint64  // for Probability and Delay: the same seed has the same outcome

	// What happens to them, in this order. At most one of Func, Error and Drop.
	Stall time.Duration          // the whole broker stops for so long, see [Broker.Stall]
	Delay Delay                  // the command waits, and what the client sends behind it; nil: it does not
	Func  func(*Command) Verdict // decides; see [Broker.Intercept]
	Error string                 // the client gets this error, such as "ERR no", instead of having the command run
	Drop  Drop                   // the connection is closed

	// Refuse makes the broker refuse new connections. A client in memory gets an error
	// from Dial; one on a socket is closed as soon as it has connected. Of the other
	// fields only Nth, Times, Probability and Seed go with it.
	Refuse bool

	// A slow network between the broker and the clients whose name matches Client: the
	// time that bytes take there and back in all, and how many of them pass in a
	// second from and to the client, 0 meaning any number. Several such rules for a
	// client work together: times add up, and the least speed counts. To connect takes
	// no time. No other field but Client goes with these.
	RTT              time.Duration
	Upload, Download int
}

// A Drop is when a connection is closed. What the client was sent before, it
// receives; after a drop nothing of it runs.
type Drop int

// When a connection is closed.
const (
	DropBefore Drop = iota + 1 // instead of running the command
	DropAfter                  // when the command has run, before its reply; if it waits, for an element or until its time is up, then when it has
	DropHalf                   // the same, but the first half of the reply is sent
)

var dropNames = []string{"never", "before", "after", "half"}

// String is the word for it in a fault's text.
func (d Drop) String() string {
	if d < 0 || int(d) >= len(dropNames) {
		return fmt.Sprintf("Drop(%d)", int(d))
	}
	return dropNames[d]
}

// check returns an error if a fault is not one. It names the field.
func (f *Fault) check() error {
	wrong := func(field, format string, args ...any) error {
		return fmt.Errorf("broker: Fault.%s %s", field, fmt.Sprintf(format, args...))
	}
	network := f.RTT != 0 || f.Upload != 0 || f.Download != 0
	for _, c := range []struct {
		field         string
		set           bool
		forCommands   bool // it says which commands, or what happens to them
		forConnecting bool // it goes with Refuse, too
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

// isErrorText reports whether a text can be an error reply as it is.
func isErrorText(s string) bool {
	return s[0] != '-' && s[0] != ' ' && !strings.ContainsAny(s, "\r\n")
}

// forCommands reports whether a fault is about commands that run, not about
// connecting or the network.
func (f *Fault) forCommands() bool { return !f.Refuse && !f.slows() }

// slows reports whether a fault is a slow network.
func (f *Fault) slows() bool { return f.RTT > 0 || f.Upload > 0 || f.Download > 0 }

// rows tells for each command, by its index, whether its name matches. nil means that
// none does. Commands for tests are never looked at.
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

// A Delay says how long a command waits: Fixed, Uniform, Normal, Exponential or a
// DelayFunc. What it draws is less than nothing counts as nothing.
type Delay interface {
	// Draw returns the next delay. The numbers come from the seed of the rule.
	Draw(*rand.Rand) time.Duration
}

// Fixed is always the same delay.
type Fixed time.Duration

// Uniform is a delay from Min to Max, all equally likely.
type Uniform struct{ Min, Max time.Duration }

// Normal is a delay that is normally distributed.
type Normal struct{ Mean, Deviation time.Duration }

// Exponential is an exponentially distributed delay: often short, sometimes several
// times the mean.
type Exponential struct{ Mean time.Duration }

// A DelayFunc is a function that draws a delay. It is called under the broker's lock:
// it must not call the broker, nor wait.
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

// toDuration turns nanoseconds into a time of 292 years at most.
func toDuration(ns float64) time.Duration {
	return time.Duration(max(0, min(ns, math.MaxInt64/2)))
}

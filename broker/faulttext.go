package broker

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"redrpc/broker/internal/resp"
)

// Faults as text: for command lines, and for tests in other languages.

// A faultWord is a word of a fault's text, name=value.
type faultWord struct {
	name string
	help string
	get  func(*Fault) string
	set  func(*Fault, string) error
}

// faultWords are all words, in the order in which String writes them.
var faultWords = []faultWord{
	textWord("command", "only commands of this name; a pattern such as blpop, client|list or l*", func(f *Fault) *string { return &f.Command }),
	textWord("key", "only those with a key that matches this pattern", func(f *Fault) *string { return &f.Key }),
	textWord("client", "only those of clients whose name matches this pattern", func(f *Fault) *string { return &f.Client }),
	countWord("nth", "only the nth of those", func(f *Fault) *int { return &f.Nth }),
	countWord("times", "at most this many of them", func(f *Fault) *int { return &f.Times }),
	{"probability", "only some of them, at random: 0.1 is one in ten", getProbability, setProbability},
	{"seed", "random seed", getSeed, setSeed},
	timeWord("stall", "the whole broker stops for this long", func(f *Fault) *time.Duration { return &f.Stall }),
	{"delay", "the command waits: 50ms, uniform(10ms,50ms), normal(50ms,10ms), exponential(50ms)", getDelay, setDelay},
	textWord("error", "the client gets this error instead", func(f *Fault) *string { return &f.Error }),
	{"drop", "the connection is closed: before or after it ran, or when half of the reply is sent", getDrop, setDrop},
	{"refuse", "not for commands: new connections are refused", getRefuse, setRefuse},
	timeWord("rtt", "not for commands: a slow network with this round-trip time", func(f *Fault) *time.Duration { return &f.RTT }),
	bytesWord("upload", "likewise, bytes per second from the client, such as 64kb", func(f *Fault) *int { return &f.Upload }),
	bytesWord("download", "likewise, bytes per second to the client", func(f *Fault) *int { return &f.Download }),
}

// ParseFault parses the text of a fault, and checks it as [Broker.Inject] does:
//
//	command=blpop key='jobs:*' nth=3 error="READONLY You can't write against a read only replica."
//	client=worker-* delay=normal(20ms,5ms)
//	command=set probability=0.1 seed=7 drop=after
//	refuse times=3
//	rtt=40ms upload=64kb download=1mb
//
// The words are the fields of [Fault] in lower case: command, key, client, nth, times,
// probability, seed, stall, delay, error, drop (before, after or half), refuse, rtt,
// upload and download. Each but refuse is followed by = and its value. Times have a unit,
// as in [time.ParseDuration]; a delay may be random: uniform(min,max),
// normal(mean,deviation) or exponential(mean). Values with spaces are quoted as in
// redis-cli: in single quotes only \' is an escape, in double quotes those of C are.
func ParseFault(text string) (Fault, error) {
	var f Fault
	words, closed := resp.SplitLine([]byte(text))
	if !closed {
		return f, fmt.Errorf("broker: the fault %q has a quote that is not closed, or is followed by something else than a space", text)
	}
	given := map[string]bool{}
	for _, word := range words {
		name, value, hasValue := strings.Cut(string(word), "=")
		w := findFaultWord(name)
		switch {
		case w == nil:
			return Fault{}, fmt.Errorf("broker: the fault %q has the word %q: expected %s", text, name, faultWordList())
		case given[name]:
			return Fault{}, fmt.Errorf("broker: the fault %q has %s twice", text, name)
		case hasValue == (name == "refuse") || hasValue && value == "":
			return Fault{}, fmt.Errorf("broker: the fault %q has %q: expected %s", text, word, w.usage())
		}
		given[name] = true
		if err := w.set(&f, value); err != nil {
			return Fault{}, fmt.Errorf("broker: the fault %q: %s is %q: %w", text, name, value, err)
		}
	}
	if err := f.check(); err != nil {
		return Fault{}, err
	}
	return f, nil
}

// String is the text that [ParseFault] parses; functions have none.
func (f Fault) String() string {
	var out []byte
	for _, w := range faultWords {
		value := w.get(&f)
		if value == "" {
			continue
		}
		if len(out) > 0 {
			out = append(out, ' ')
		}
		out = append(out, w.name...)
		if w.name != "refuse" {
			out = resp.AppendQuoted(append(out, '='), []byte(value))
		}
	}
	if f.Func != nil {
		out = append(out, " func"...)
	}
	return strings.TrimSpace(string(out))
}

// FaultUsage describes the words of a fault's text, one line each.
func FaultUsage() string {
	var out strings.Builder
	for _, w := range faultWords {
		fmt.Fprintf(&out, "%-12s %s\n", w.name, w.help)
	}
	return out.String()
}

func (w *faultWord) usage() string {
	if w.name == "refuse" {
		return "refuse alone"
	}
	return w.name + "=, followed by a value"
}

func findFaultWord(name string) *faultWord {
	for i := range faultWords {
		if faultWords[i].name == name {
			return &faultWords[i]
		}
	}
	return nil
}

func faultWordList() string {
	var names []string
	for _, w := range faultWords {
		names = append(names, w.name)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func textWord(name, help string, field func(*Fault) *string) faultWord {
	return faultWord{name, help,
		func(f *Fault) string { return *field(f) },
		func(f *Fault, value string) error { *field(f) = value; return nil },
	}
}

func countWord(name, help string, field func(*Fault) *int) faultWord {
	return faultWord{name, help,
		func(f *Fault) string { return nonZero(*field(f)) },
		func(f *Fault, value string) error {
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return errors.New("expected a number of 1 or more")
			}
			*field(f) = n
			return nil
		},
	}
}

func bytesWord(name, help string, field func(*Fault) *int) faultWord {
	return faultWord{name, help,
		func(f *Fault) string { return nonZero(*field(f)) },
		func(f *Fault, value string) error {
			n, isMemory := parseMemory(value)
			if !isMemory || n < 1 || n > math.MaxInt {
				return errors.New("expected a number of bytes of 1 or more, such as 1000 or 64kb")
			}
			*field(f) = int(n)
			return nil
		},
	}
}

func timeWord(name, help string, field func(*Fault) *time.Duration) faultWord {
	return faultWord{name, help,
		func(f *Fault) string {
			if *field(f) == 0 {
				return ""
			}
			return field(f).String()
		},
		func(f *Fault, value string) (err error) {
			*field(f), err = parseTime(value)
			if err == nil && *field(f) == 0 {
				err = errors.New("expected a time longer than 0")
			}
			return err
		},
	}
}

func nonZero(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func parseTime(value string) (time.Duration, error) {
	d, err := time.ParseDuration(strings.TrimSpace(value))
	if err != nil || d < 0 {
		return 0, errors.New("expected a time of 0 or more with a unit, such as 50ms or 1.5s")
	}
	return d, nil
}

func getProbability(f *Fault) string {
	if f.Probability == 0 {
		return ""
	}
	return strconv.FormatFloat(f.Probability, 'g', -1, 64)
}

func setProbability(f *Fault, value string) error {
	p, err := strconv.ParseFloat(value, 64)
	if err != nil || !(p > 0 && p <= 1) {
		return errors.New("expected a number above 0 and up to 1, such as 0.1")
	}
	f.Probability = p
	return nil
}

func getSeed(f *Fault) string {
	if f.Seed == 0 {
		return ""
	}
	return strconv.FormatUint(f.Seed, 10)
}

func setSeed(f *Fault, value string) error {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return errors.New("expected a whole number of 0 or more")
	}
	f.Seed = n
	return nil
}

func getDelay(f *Fault) string {
	if f.Delay == nil {
		return ""
	}
	return fmt.Sprint(f.Delay)
}

func setDelay(f *Fault, value string) error {
	name, inner, isCall := strings.Cut(value, "(")
	if !isCall {
		d, err := parseTime(value)
		f.Delay = Fixed(d)
		return err
	}
	var times []time.Duration
	inner, closed := strings.CutSuffix(strings.TrimSpace(inner), ")")
	for part := range strings.SplitSeq(inner, ",") {
		d, err := parseTime(part)
		if err != nil {
			return err
		}
		times = append(times, d)
	}
	switch name = strings.TrimSpace(name); {
	case closed && name == "uniform" && len(times) == 2:
		f.Delay = Uniform{times[0], times[1]}
	case closed && name == "normal" && len(times) == 2:
		f.Delay = Normal{times[0], times[1]}
	case closed && name == "exponential" && len(times) == 1:
		f.Delay = Exponential{times[0]}
	default:
		return errors.New("expected a time such as 50ms, uniform(10ms,50ms), normal(50ms,10ms) or exponential(50ms)")
	}
	return nil
}

func getDrop(f *Fault) string {
	if f.Drop == 0 {
		return ""
	}
	return f.Drop.String()
}

func setDrop(f *Fault, value string) error {
	for d := DropBefore; d <= DropHalf; d++ {
		if value == d.String() {
			f.Drop = d
			return nil
		}
	}
	return errors.New("expected before, after or half")
}

func getRefuse(f *Fault) string {
	if f.Refuse {
		return "refuse"
	}
	return ""
}

func setRefuse(f *Fault, _ string) error {
	f.Refuse = true
	return nil
}

package torture

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A journal is a file to which a process appends a line for each thing that happened. A
// line is one write, so what was written survives the process. Lines are
//
//	begin TIME CALL TIMEOUT WANT    a call is made
//	end TIME CALL KIND "TEXT"       it has ended
//	run TIME CALL                   a handler has begun with it
//	ran TIME CALL                   the handler has finished
//	stall TIME DURATION             the process, or a write of its journal, did not get on for so long, until TIME
//	left TIME "TEXT"                what was left over at the end of the process
//
// with times and durations in microseconds, the former since 1970. The Python peers write
// the same.
type journal struct {
	mu   sync.Mutex // guards what follows
	file *os.File
	line []byte
}

const (
	journalSuffix = ".journal"
	arenaJournal  = "arena" // with the proxies

	leastStall = 10 * time.Millisecond // that is noted
)

// openJournal opens the journal of a process in a directory.
func openJournal(dir, process string) (*journal, error) {
	f, err := os.OpenFile(filepath.Join(dir, process+journalSuffix), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return &journal{file: f}, err
}

// add writes a line. What it waits for the disk is noted: a call begins before its line is
// written, so that is part of its time, and not of its timeout.
func (j *journal) add(what string, at time.Time, fields ...string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	begun := time.Now()
	j.write(what, at, fields...)
	now := time.Now()
	if took := now.Sub(begun); took > leastStall {
		j.write("stall", now, micros(took))
	}
}

// write writes a line. A journal that cannot be written is the end of the process: its calls
// could not be judged. It is called under the lock.
func (j *journal) write(what string, at time.Time, fields ...string) {
	j.line = append(j.line[:0], what...)
	j.line = append(j.line, ' ')
	j.line = strconv.AppendInt(j.line, at.UnixMicro(), 10)
	for _, f := range fields {
		j.line = append(j.line, ' ')
		j.line = append(j.line, f...)
	}
	j.line = append(j.line, '\n')
	if _, err := j.file.Write(j.line); err != nil {
		fmt.Fprintln(os.Stderr, "journal:", err)
		os.Exit(1)
	}
}

func micros(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) }

// What calls are made for: how they have to end if nothing hurts them.
const (
	wantResult     = "result"
	wantFailure    = "failure"        // the handler returns an error
	wantPanic      = "panic"          // the handler panics
	wantTooLong    = "too-long"       // Redis does not take the result
	wantRefusal    = "refusal"        // Redis does not take the arguments
	wantCancel     = "cancel"         // the caller gives up soon
	wantDelivery   = "delivery"       // nobody waits for the result: rpc.Client.Send
	wantOldFailure = "python-failure" // the same, of a caller that knows no types of failures
	failureType    = "torturous"      // of a failure, as RemoteError.Type has it
)

// How calls end.
const (
	endResult    = "result"
	endRemote    = "remote" // and ":" and the type
	endNotSent   = "not-sent"
	endNoResult  = "no-result"
	endCancelled = "cancelled" // by the caller, and sent, as far as it is known
	endWithdrawn = "withdrawn" // by the caller, and not sent
	endDelivered = "delivered" // of Send
	endWrong     = "wrong"     // another's result, a result that cannot be read, or an error of no known kind
)

// A Call is what the journals say of one call.
type Call struct {
	ID      string
	Client  string // the process that made it
	Begin   time.Time
	Timeout time.Duration
	Want    string
	Ends    []End
	Runs    []Run
}

// An End is how a call ended; there should be one.
type End struct {
	At   time.Time
	Kind string
	Text string // of the error
}

// A Run is an execution of a call by a server.
type Run struct {
	Server string
	Begin  time.Time
	End    time.Time // zero if it did not come to its end
}

// A span is a time.
type span struct{ begin, end time.Time }

func (s span) overlap(o span) time.Duration {
	begin, end := s.begin, s.end
	if o.begin.After(begin) {
		begin = o.begin
	}
	if o.end.Before(end) {
		end = o.end
	}
	return max(0, end.Sub(begin))
}

// union is the span from the beginning of the first to the end of the last.
func (s span) union(o span) span {
	if o.begin.Before(s.begin) {
		s.begin = o.begin
	}
	if o.end.After(s.end) {
		s.end = o.end
	}
	return s
}

// saveIncidents writes what happened beside the journals.
func (h *History) saveIncidents(dir string) error {
	text, err := json.MarshalIndent(h.Incidents, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "incidents.json"), text, 0o600)
}

// ReadJournals adds to h what the journals in a directory say.
func (h *History) ReadJournals(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*"+journalSuffix))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := h.readJournal(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (h *History) readJournal(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	process := strings.TrimSuffix(filepath.Base(name), journalSuffix)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := h.add(process, lines.Text()); err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
	}
	return lines.Err()
}

// add adds a line of the journal of a process.
func (h *History) add(process, line string) error {
	fields := strings.SplitN(line, " ", 5)
	if len(fields) < 3 {
		return fmt.Errorf("expected a kind, a time, and more")
	}
	us, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return err
	}
	at := time.UnixMicro(us)
	switch what := fields[0]; {
	case what == "begin" && len(fields) == 5:
		timeout, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil {
			return err
		}
		c := h.call(fields[2])
		c.Client, c.Begin, c.Timeout, c.Want = process, at, time.Duration(timeout)*time.Microsecond, fields[4]
	case what == "end" && len(fields) == 5:
		text, err := strconv.Unquote(fields[4])
		if err != nil {
			return err
		}
		c := h.call(fields[2])
		c.Ends = append(c.Ends, End{at, fields[3], text})
	case what == "run":
		c := h.call(fields[2])
		c.Runs = append(c.Runs, Run{Server: process, Begin: at})
	case what == "ran":
		c := h.call(fields[2])
		for i := range c.Runs {
			if c.Runs[i].Server == process && c.Runs[i].End.IsZero() {
				c.Runs[i].End = at
				break
			}
		}
	case what == "stall":
		d, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return err
		}
		h.addStall(process, span{at.Add(-time.Duration(d) * time.Microsecond), at})
	case what == "left":
		h.Leftovers = append(h.Leftovers, process+": "+strings.Join(fields[2:], " "))
	default:
		return fmt.Errorf("expected a line of a journal")
	}
	return nil
}

// call is the call with an ID, which may be new.
func (h *History) call(id string) *Call {
	c := h.Calls[id]
	if c == nil {
		if h.Calls == nil {
			h.Calls = map[string]*Call{}
		}
		c = &Call{ID: id}
		h.Calls[id] = c
	}
	return c
}

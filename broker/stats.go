package broker

import (
	"maps"
	"slices"
	"strings"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// Stats are figures about a broker: those of INFO's sections Clients, Stats,
// Commandstats and Errorstats. What counts begins with New, or with the last CONFIG
// RESETSTAT.
type Stats struct {
	Clients  int // that are connected
	Blocked  int // of them, those that wait in a command such as BLPOP
	Tracking int // of them, those that CLIENT TRACKING is on for

	Connections int64 // that were accepted
	Rejected    int64 // of them, those over Options.MaxClients
	Refused     int64 // that a fault has refused
	Dropped     int64 // that a fault has closed

	Commands int64 // that were run, alone or in a transaction
	Unknown  int64 // commands and sub-commands that the broker does not know

	Errors     int64            // error replies
	ErrorCodes map[string]int64 // of them, by their first word, such as WRONGTYPE; at most 1,000 words

	Expired      int64 // keys that were deleted when their time had come
	Evicted      int64 // keys that were deleted as there was too little memory
	Hits, Misses int64 // keys that were read, and keys that were to be and did not exist

	Reads, Writes     int64 // pieces of input and of output
	BytesIn, BytesOut int64

	// Rate is how many commands were run per second, in the last 1.6 s.
	Rate float64

	// ByCommand has the commands that were sent, by their full names in lower case,
	// such as "get" or "client|list".
	ByCommand map[string]CommandStats
}

// CommandStats are figures about one command.
type CommandStats struct {
	Calls    int64 // how often it ran
	Failed   int64 // how often with an error
	Rejected int64 // how often it was refused, and did not run

	// Took is the time that all runs took together, by the machine's monotonic clock:
	// Options.ManualTime has no say in it. Waiting does not count.
	Took time.Duration
}

// Stats returns the broker's figures.
func (b *Broker) Stats() Stats {
	b.enter()
	defer b.leave()
	s := &b.stats
	byCommand := map[string]CommandStats{}
	for name, c := range b.table.All() {
		if u := &b.usage[c.Index]; u.calls+u.rejected+u.failed > 0 {
			byCommand[name] = CommandStats{Calls: u.calls, Failed: u.failed, Rejected: u.rejected, Took: time.Duration(u.time)}
		}
	}
	return Stats{
		Clients: len(b.sessions), Blocked: s.blocked, Tracking: b.tracking.clients,
		Connections: s.connections, Rejected: s.rejected, Refused: s.refused, Dropped: s.dropped,
		Commands: b.commandsRun(), Unknown: s.unknown,
		Errors: s.errors, ErrorCodes: maps.Clone(s.errorCodes),
		Expired: b.keys.Expired, Evicted: b.keys.Evicted, Hits: b.keys.Hits, Misses: b.keys.Misses,
		Reads: s.reads, Writes: s.writes, BytesIn: s.bytesIn, BytesOut: s.bytesOut,
		Rate: b.rate().commands, ByCommand: byCommand,
	}
}

// stats count what happened since the broker was made, or CONFIG RESETSTAT.
type stats struct {
	started           int64 // nanoseconds since 1970
	connections       int64
	rejected          int64
	refused, dropped  int64 // by faults
	unknown           int64
	errors            int64
	errorCodes        map[string]int64
	reads, writes     int64
	bytesIn, bytesOut int64
	input, output     recent // bytes of input waiting, and of one batch's output
	blocked           int    // clients now
	samples           ring[sample]
	nextSample        int64
}

// resetStats begins to count anew.
func (b *Broker) resetStats() {
	b.stats = stats{
		started: b.stats.started, blocked: b.stats.blocked,
		errorCodes: map[string]int64{}, samples: ring[sample]{most: rateSamples + 1},
	}
	b.keys.Expired, b.keys.Evicted, b.keys.Hits, b.keys.Misses = 0, 0, 0, 0
	b.saves.count, b.saves.rewrites = 0, 0
	clear(b.usage)
}

func (s *stats) codes() []string { return slices.Sorted(maps.Keys(s.errorCodes)) }

// commandsRun is how many commands have been run.
func (b *Broker) commandsRun() int64 {
	n := int64(0)
	for i := range b.usage {
		n += b.usage[i].calls
	}
	return n
}

// A sample is how far the counters were at some time. One is taken before the first
// thing that happens 100 ms after the last.
type sample struct{ at, commands, in, out int64 }

const (
	sampleInterval = int64(100 * time.Millisecond)
	rateSamples    = 16 // that the window of a rate spans
)

func (b *Broker) takeSample() {
	*b.stats.samples.put() = sample{b.keys.Now, b.commandsRun(), b.stats.bytesIn, b.stats.bytesOut}
	b.stats.nextSample = b.keys.Now + sampleInterval
}

// A rate is what happened per second.
type rate struct{ commands, in, out float64 }

// rate is that of the last 1.6 s, as Redis has it.
func (b *Broker) rate() rate {
	const window = rateSamples * sampleInterval
	r := &b.stats.samples
	for i := range r.items {
		from := r.at(i)
		if from.at < b.keys.Now-window {
			continue
		}
		perSecond := func(n int64) float64 { return float64(n) / time.Duration(window).Seconds() }
		return rate{perSecond(b.commandsRun() - from.commands), perSecond(b.stats.bytesIn - from.in), perSecond(b.stats.bytesOut - from.out)}
	}
	return rate{}
}

// A recent is the largest number noted in the last four to eight seconds.
type recent struct {
	since           int64 // nanoseconds since 1970
	current, before int   // since then, and in the four seconds before
}

func (r *recent) note(now int64, n int) {
	const span = int64(4 * time.Second)
	if age := now - r.since; age >= span {
		r.before = r.current
		if age >= 2*span {
			r.before = 0
		}
		r.since, r.current = now, 0
	}
	r.current = max(r.current, n)
}

func (r *recent) most(now int64) int {
	r.note(now, 0)
	return max(r.current, r.before)
}

// What the broker notes of every command that it runs.
//
// Commands are measured with the machine's monotonic clock, whatever the broker's
// own clock is: ManualTime has no say in it, and only in a testing/synctest bubble,
// whose clock stands still while a command runs, all take 0. The clock is read once
// per command, when it has been answered, which is the beginning of the next one of
// the batch. What that costs, and why nothing cheaper is right, stands in
// docs/decisions/007-measuring-commands.md.
//
// A command that waits takes what it took until it waited, and what it took to
// serve it: not the wait. DEBUG SLEEP takes as long as it sleeps.

// A usage is what has become of one command.
type usage struct {
	calls    int64      // how often it ran
	failed   int64      // how often with an error
	rejected int64      // how often it was refused, and did not run
	time     int64      // that all runs took, nanoseconds
	latency  *histogram // of the runs; nil: none yet
}

// diagnostics is what CONFIG SET says about it.
type diagnostics struct {
	slowFrom    int    // microseconds from which a command is in the slow log; negative: none is
	slowLength  int    // entries of the slow log
	spikeFrom   int    // milliseconds from which it is a spike for LATENCY; 0: it never is
	latencies   bool   // are counted, command by command
	percentiles string // of them, which INFO shows, separated by spaces
}

var defaultDiagnostics = diagnostics{slowFrom: 10_000, slowLength: 128, latencies: true, percentiles: "50 99 99.9"}

// startLap begins to measure the commands of a batch.
func (b *Broker) startLap() {
	now := b.clock.elapsed()
	if step := now - b.measuredUntil; step < 0 || step > longStep {
		b.checkClock()
	}
	b.measuredUntil = now
}

// endLap ends a measurement that began at a time of the same clock.
func (b *Broker) endLap(began int64) {
	b.measuredUntil = b.clock.elapsed()
	b.lastDuration = b.measuredUntil - began
}

// account notes that a command has run and been answered, or has begun to wait.
func (s *session) account(cmd *command.Command, args [][]byte, began int64, r *resp.Reply) {
	b := s.broker
	b.endLap(began)
	b.lastDuration += b.running.slept
	u := &b.usage[cmd.Index]
	u.calls++
	u.time += b.lastDuration
	if r.IsError() {
		u.failed++
	}
	if r.Kind == resp.KindWait {
		s.waiter.took = b.lastDuration
	} else {
		b.addLatency(u, b.lastDuration)
	}
	if b.lastDuration >= b.slowThreshold {
		s.recordSlow(cmd, args, r)
	}
}

// recordSlow notes what is only noted of commands that took long.
func (s *session) recordSlow(cmd *command.Command, args [][]byte, r *resp.Reply) {
	kind := commandSpike
	if cmd.Flags&command.Fast != 0 {
		kind = fastCommandSpike
	}
	took := s.broker.lastDuration
	s.broker.addSpike(kind, took)
	if r.Kind == resp.KindWait {
		return // it is not over yet
	}
	if e := s.addSlow(cmd, took); e != nil {
		e.args = appendArguments(e.args, cmd, args)
	}
}

// accountServed notes that a client that was blocked has been served.
func (s *session) accountServed(began int64, r *resp.Reply) {
	b := s.broker
	b.endLap(began)
	u := &b.usage[s.command.Index]
	u.time += b.lastDuration
	if r.IsError() {
		u.failed++
	}
	s.waiter.took += b.lastDuration
	b.addLatency(u, s.waiter.took)
	if s.waiter.took < b.slowThreshold {
		return
	}
	b.addSpike(unblockingSpike, b.lastDuration)
	if e := s.addSlow(s.command, s.waiter.took); e != nil {
		e.args = append(e.args, s.blockedArgs...)
	}
}

// accountUnblocked notes that CLIENT UNBLOCK ends the waiting of a client. As in Redis its command
// has failed, whatever it is answered.
func (s *session) accountUnblocked() {
	u := &s.broker.usage[s.command.Index]
	u.failed++
	s.broker.addLatency(u, s.waiter.took)
}

// observe adds a command that ran, or blocks, to the command log, and shows it to monitors.
func (s *session) observe(cmd *command.Command, args [][]byte, r *resp.Reply) {
	outcome, err := outcomeOf(r)
	if l := s.logCommand(cmd, outcome, err, s.broker.lastDuration); l != nil {
		l.args = appendArguments(l.args, cmd, args)
		s.checkStrict(l)
	}
	if cmd.Flags&command.SkipMonitor == 0 {
		s.broker.show(s, cmd, args)
	}
}

// addLatency counts how long a whole command took.
func (b *Broker) addLatency(u *usage, took int64) {
	if !b.options.diagnostics.latencies {
		return
	}
	if u.latency == nil {
		u.latency = new(histogram)
	}
	u.latency.add(took)
}

// countRejected notes that a command was refused. What the broker does not know has no
// usage.
func (b *Broker) countRejected(cmd *command.Command) {
	if cmd == nil {
		b.stats.unknown++
	} else {
		b.usage[cmd.Index].rejected++
	}
}

// maxErrorCodes is how many codes are counted, as scripts can make any.
const maxErrorCodes = 1000

// countError notes an error reply under its code, the first word.
func (b *Broker) countError(text string) {
	code, _, _ := strings.Cut(text, " ")
	b.stats.errors++
	if n, known := b.stats.errorCodes[code]; known {
		b.stats.errorCodes[code] = n + 1
	} else if len(b.stats.errorCodes) < maxErrorCodes {
		b.stats.errorCodes[strings.Clone(code)] = 1 // the text is not kept
	}
}

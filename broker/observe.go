package broker

import (
	"strings"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

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

// observing is what CONFIG SET says about it.
type observing struct {
	slowFrom    int    // microseconds from which a command is in the slow log; negative: none is
	slowLength  int    // entries of the slow log
	spikeFrom   int    // milliseconds from which it is a spike for LATENCY; 0: it never is
	latencies   bool   // are counted, command by command
	percentiles string // of them, which INFO shows, separated by spaces
}

var defaultObserving = observing{slowFrom: 10_000, slowLength: 128, latencies: true, percentiles: "50 99 99.9"}

// startLap begins to measure the commands of a batch.
func (b *Broker) startLap() { b.lap = b.clock.elapsed() }

// endLap ends a measurement that began at a time of the same clock.
func (b *Broker) endLap(began int64) {
	b.lap = b.clock.elapsed()
	b.took = b.lap - began
}

// account notes that a command has run and been answered, or has begun to wait.
func (s *session) account(cmd *command.Command, args [][]byte, began int64, r *resp.Reply) {
	b := s.broker
	b.endLap(began)
	b.took += b.running.slept
	u := &b.usage[cmd.Index]
	u.calls++
	u.time += b.took
	if r.IsError() {
		u.failed++
	}
	if r.Kind == resp.KindWait {
		s.waiter.took = b.took
	} else {
		b.measured(u, b.took)
	}
	if b.took >= b.notable {
		s.tookLong(cmd, args, r)
	}
}

// tookLong notes what is only noted of commands that took long.
func (s *session) tookLong(cmd *command.Command, args [][]byte, r *resp.Reply) {
	kind := commandSpike
	if cmd.Flags&command.Fast != 0 {
		kind = fastCommandSpike
	}
	took := s.broker.took
	s.broker.noteSpike(kind, took)
	if r.Kind == resp.KindWait {
		return // it is not over yet
	}
	if e := s.addSlow(cmd, took); e != nil {
		e.args = appendArguments(e.args, cmd, args)
	}
}

// served notes that a client that was blocked has been served.
func (s *session) served(began int64, r *resp.Reply) {
	b := s.broker
	b.endLap(began)
	u := &b.usage[s.command.Index]
	u.time += b.took
	if r.IsError() {
		u.failed++
	}
	s.waiter.took += b.took
	b.measured(u, s.waiter.took)
	if s.waiter.took < b.notable {
		return
	}
	b.noteSpike(unblockingSpike, b.took)
	if e := s.addSlow(s.command, s.waiter.took); e != nil {
		e.args = append(e.args, s.kept...)
	}
}

// givenUp notes that CLIENT UNBLOCK ends the waiting of a client. As in Redis its command
// has failed, whatever it is answered.
func (s *session) givenUp() {
	u := &s.broker.usage[s.command.Index]
	u.failed++
	s.broker.measured(u, s.waiter.took)
}

// observe tells whoever wants to hear of it that a command has run, or waits.
func (s *session) observe(cmd *command.Command, args [][]byte, r *resp.Reply) {
	outcome, err := outcomeOf(r)
	if l := s.note(cmd, outcome, err, s.broker.took); l != nil {
		l.args = appendArguments(l.args, cmd, args)
		s.judge(l)
	}
	s.broker.show(s, cmd, args)
}

// measured counts how long a whole command took.
func (b *Broker) measured(u *usage, took int64) {
	if !b.options.observing.latencies {
		return
	}
	if u.latency == nil {
		u.latency = new(histogram)
	}
	u.latency.add(took)
}

// reject notes that a command was refused. What the broker does not know has no
// usage.
func (b *Broker) reject(cmd *command.Command) {
	if cmd == nil {
		b.stats.unknown++
	} else {
		b.usage[cmd.Index].rejected++
	}
}

// countError notes an error reply under its code, the first word.
func (b *Broker) countError(text string) {
	code, _, _ := strings.Cut(text, " ")
	b.stats.errors++
	b.stats.errorCodes[code]++
}

package broker

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/resp"
)

// A Rule is a fault that has been injected into a broker. Its methods may be called by
// several goroutines at once.
type Rule struct {
	broker   *Broker
	id       int64
	fault    Fault
	commands []bool // whether a command matches, by its index; nil: any does
	random   *rand.Rand

	matched, fired int // guarded by the broker's lock
}

// Inject adds a fault as a rule, which applies from now on. An error names the field that
// is wrong.
//
// Rules apply to a command when it is received, in the order in which they were added:
// after it is checked (unknown commands, numbers of arguments, authentication, memory), and
// before MULTI queues it. Several rules may apply to a command: delays add up, and an
// error, a drop or a function that does not pass it on is final, so that later rules do
// not apply. So
//
//   - in a transaction the rules apply when a command is sent, not when EXEC runs it. A
//     delay delays the QUEUED, an error makes EXEC discard the transaction, as in Redis.
//   - EXEC is a command of its own, without keys. An error instead of EXEC ends the
//     transaction without running it.
//   - to a command that CLIENT PAUSE or a stall postpones the rules apply afterwards, once.
//   - to a blocking command such as BLPOP the rules apply before it blocks.
//
// The commands of one client run in order, so those after a delayed one wait, too. Delayed
// commands of clients that disconnect meanwhile still run, as in a slow server. Rules do
// not apply to commands of [Broker.Do] and [Options].TestCommands, nor to those that a
// script runs: they apply to its EVAL.
func (b *Broker) Inject(f Fault) (*Rule, error) {
	b.enter()
	defer b.leave()
	return b.inject(f)
}

func (b *Broker) inject(f Fault) (*Rule, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if b.closed {
		return nil, ErrClosed
	}
	r := &Rule{broker: b, fault: f, random: rand.New(rand.NewPCG(f.Seed, 0))}
	if f.Command != "" {
		r.commands = f.rows()
	}
	b.lastRule++
	r.id = b.lastRule
	b.rules = append(b.rules, r)
	b.rulesChanged(r)
	return r, nil
}

// Rules returns the rules in force, in the order in which they were added.
func (b *Broker) Rules() []*Rule {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.rules)
}

// ID is the number of the rule, counted from 1 in each broker.
func (r *Rule) ID() int64 { return r.id }

// Fault is the fault that was injected.
func (r *Rule) Fault() Fault { return r.fault }

// String is the text of the fault, see [ParseFault].
func (r *Rule) String() string { return r.fault.String() }

// Matched is how many commands, or new connections, have matched the rule. For a slow
// network it is the number of clients that got it.
func (r *Rule) Matched() int {
	r.broker.mu.Lock()
	defer r.broker.mu.Unlock()
	return r.matched
}

// Fired is how many of them the rule was applied to.
func (r *Rule) Fired() int {
	r.broker.mu.Lock()
	defer r.broker.mu.Unlock()
	return r.fired
}

// WaitFired returns once the rule has fired at least n times. It returns the context's
// error if that ends first, or ErrClosed.
func (r *Rule) WaitFired(ctx context.Context, n int) error {
	return r.broker.waitUntil(ctx, func() bool { return r.fired >= n })
}

// Remove ends the rule. Commands that it delays run at once, and bytes in flight in a slow
// network arrive at the new speed.
func (r *Rule) Remove() {
	r.broker.enter()
	defer r.broker.leave()
	r.remove()
}

func (r *Rule) remove() {
	b := r.broker
	at := slices.Index(b.rules, r)
	if at < 0 {
		return
	}
	b.rules = slices.Delete(slices.Clone(b.rules), at, at+1)
	b.rulesChanged(r)
	b.release(func(h *postponed) bool { return h.why == delayed && h.cursor.rule == r.id })
}

// rulesChanged is called when a rule was added or removed.
func (b *Broker) rulesChanged(r *Rule) {
	b.postponers &^= hasRules
	if slices.ContainsFunc(b.rules, func(r *Rule) bool { return r.fault.forCommands() }) {
		b.postponers |= hasRules
	}
	if r.fault.slows() {
		clients := map[*session]struct{}{}
		for _, s := range b.sessions {
			clients[s] = struct{}{}
		}
		maps.Copy(clients, b.netems) // also of disconnected clients
		for _, s := range sortedSessions(clients) {
			s.updateNetem()
		}
	}
}

// matches reports whether a rule is about a command of a client.
func (r *Rule) matches(s *session, cmd *command.Command, args [][]byte) bool {
	f := &r.fault
	switch {
	case !f.forCommands(),
		r.commands != nil && !r.commands[cmd.Index],
		f.Client != "" && !glob.Match(f.Client, s.name, false):
		return false
	case f.Key == "":
		return true
	case !cmd.HasKeys():
		return false
	}
	indexes, _ := cmd.KeyIndexes(args)
	return slices.ContainsFunc(indexes, func(i int) bool { return glob.Match(f.Key, string(args[i]), false) })
}

// fires counts a match, and reports whether the rule is applied to it.
func (r *Rule) fires() bool {
	f := &r.fault
	r.matched++
	if f.Nth > 0 && r.matched != f.Nth || f.Times > 0 && r.fired >= f.Times ||
		f.Probability > 0 && r.random.Float64() >= f.Probability {
		return false
	}
	r.fired++
	r.broker.checkConditions()
	return true
}

// action returns what a rule that fires does to a command.
func (r *Rule) action() faultAction {
	f := &r.fault
	what := faultAction{stall: f.Stall, function: f.Func, err: f.Error, drop: f.Drop}
	if f.Delay != nil {
		what.delay = f.Delay.Draw(r.random)
	}
	return what
}

// refuses reports whether a rule refuses a new connection.
func (b *Broker) refuses() bool {
	for _, r := range b.rules {
		if r.fault.Refuse && r.fires() {
			b.stats.refused++
			return true
		}
	}
	return false
}

// applyFault drops the connection or sends the reply if the fault says so. It reports
// false if the command is to run.
func (s *session) applyFault(cmd *command.Command, args [][]byte, f *faultAction) bool {
	outcome, err := Dropped, ""
	switch {
	case f.drop == DropBefore:
		s.drop(s.out.Len(), DropBefore)
	case f.err != "" || f.answer != nil:
		if f.err != "" {
			r := resp.ErrorReply(f.err)
			f.answer = &r
		}
		if f.answer.Kind == resp.KindError {
			s.transaction.failed = s.transaction.open
			s.broker.countRejected(cmd)
		}
		if cmd.FullName == "exec" {
			s.endTransaction()
		}
		s.reply(f.answer)
		if outcome, err = outcomeOf(f.answer); outcome == Failed {
			outcome = Refused
		}
	default:
		return false
	}
	if s.broker.observed {
		if l := s.logCommand(cmd, outcome, err, 0); l != nil {
			l.args = appendArguments(l.args, cmd, args)
		}
	}
	return true
}

// drop closes the connection. Of the output since a mark the client receives nothing, or
// with DropHalf the first half.
func (s *session) drop(mark int, d Drop) {
	s.broker.stats.dropped++
	s.multiOrWatch = nil // an open transaction is then no violation
	if rest := s.out.Len() - mark; rest > 0 {
		if d == DropHalf {
			mark += rest / 2
		}
		s.out.Truncate(mark)
	}
	s.finish()
}

// Package command makes any command of Redis a load for package bench.
//
// A Load has connections to one Redis, to the master that Sentinel names, or to the
// masters of a Cluster. Its Do, which is a Config.Do of package bench, sends one command
// and waits for its reply. Commands are text with the placeholders of memtier_benchmark:
// __key__ is the number of a key, and __data__ bytes. Both depend only on the seed and the
// number of the command: two runs with the same seed send the same commands.
//
// All arguments that are keys, as COMMAND GETKEYS tells, get the prefix of the Load, so
// that its keys are told from those of others, and can be deleted.
package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/bench"
)

// A Command is one of those that a load sends.
type Command struct {
	// Text is the command as one types it into redis-cli, with its quotes, and with
	// __key__ and __data__ in arguments where a number of a key and bytes stand. Each
	// __key__ is another one.
	Text string

	// Weight is how often this command comes, compared with the others. 0 is 1.
	Weight int
}

// Options say what a Load sends, and how. Commands are needed.
type Options struct {
	Commands []Command

	// Prepare are commands that Load.Prepare sends once for each key, before the run.
	Prepare []string

	// Prefix stands before all keys, with a colon behind it. Empty leaves keys as
	// they are.
	Prefix string

	// Keys is how many keys there are, from 0 to Keys-1. 0 is 10,000.
	Keys int

	// Pattern is in which order they come.
	Pattern Pattern

	// Data is how many bytes __data__ has.
	Data Size

	// Connections is how many there are, in a Cluster to each master, and Pipeline how
	// many commands each has in flight at most. A command that comes when there are as
	// many waits for one to end, which is part of its time. 0 is 50, and 1.
	Connections, Pipeline int

	// Batch tells that the commands of a pipeline are sent at once, and the next ones
	// when all are answered, by DoBatch alone. A Cluster takes no batches.
	Batch bool

	// Protocol is that of Redis: 2 or 3. 0 is that of the client's options.
	Protocol int

	// Seed is that of what is random.
	Seed uint64

	// Timeout is how long a command may take. One that takes longer fails, and its
	// connection is closed with all that is in flight on it. 0 is 5 s.
	Timeout time.Duration

	// AllowDangerous is for commands that may harm others who use that Redis, such as
	// FLUSHALL: Open refuses them without it.
	AllowDangerous bool
}

// mostConnections is more than a machine has ports for.
const mostConnections = 100_000

// check fills in the defaults.
func (o *Options) check() error {
	wrong := func(field, expected string, got any) error {
		return fmt.Errorf("command: Options.%s: expected %s, got %v", field, expected, got)
	}
	o.Keys = cmp.Or(o.Keys, 10_000)
	o.Connections, o.Pipeline = cmp.Or(o.Connections, 50), cmp.Or(o.Pipeline, 1)
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	switch {
	case len(o.Commands) == 0:
		return wrong("Commands", "one or more", "none")
	case o.Keys < 0:
		return wrong("Keys", "1 or more, or 0 for 10,000", o.Keys)
	case o.Connections < 0 || o.Connections > mostConnections:
		return wrong("Connections", fmt.Sprintf("1 to %d, or 0 for 50", mostConnections), o.Connections)
	case o.Pipeline < 0:
		return wrong("Pipeline", "1 or more, or 0 for 1", o.Pipeline)
	case o.Protocol != 0 && o.Protocol != 2 && o.Protocol != 3:
		return wrong("Protocol", "2 or 3, or 0 for that of the client", o.Protocol)
	case o.Timeout < 0:
		return wrong("Timeout", "more than 0, or 0 for 5 s", o.Timeout)
	}
	if err := o.Pattern.check(); err != nil {
		return fmt.Errorf("command: Options.Pattern: %w", err)
	}
	if err := o.Data.check(); err != nil {
		return fmt.Errorf("command: Options.Data: %w", err)
	}
	for i, c := range o.Commands {
		if c.Weight < 0 {
			return wrong(fmt.Sprintf("Commands[%d].Weight", i), "1 or more, or 0 for 1", c.Weight)
		}
	}
	return nil
}

// A Load sends commands. Its methods may be used by several goroutines at once.
type Load struct {
	// Options are those of Open, with their defaults, and without Batch in a Cluster. They
	// are not to be changed.
	Options

	mix
	cluster
	clustered bool
	rdb       redis.UniversalClient
	options   redis.Options // of a connection
	prepare   []*template

	seats   chan *request // of which each may have one command in flight
	queued  atomic.Int64  // commands that wait for a seat
	ticks   atomic.Int64  // of the watch
	doubts  chan struct{} // whether the Cluster is as it was
	stop    context.CancelFunc
	running sync.WaitGroup

	streams sync.Mutex // guards what follows
	open    map[*stream]struct{}
	closed  bool
}

// Labels are the texts of the commands if there are several: a Config.Labels of package
// bench, for Do and DoBatch tell which a call is.
func (l *Load) Labels() []string {
	if len(l.templates) == 1 {
		return nil
	}
	var texts []string
	for i, t := range l.templates {
		text := t.text
		if slices.Contains(texts, text) {
			text += fmt.Sprintf(" (%d)", i+1)
		}
		texts = append(texts, text)
	}
	return texts
}

// Do sends command number a.Number and waits for its reply. An error is a ReplyError, if
// Redis answered with one; Kind tells what it is. Do returns soon after ctx ends, for
// which it closes the connection that the command is on.
func (l *Load) Do(ctx context.Context, a *bench.Attempt) error {
	began := l.ticks.Load()
	r, err := l.seat(ctx)
	if err != nil {
		return err
	}
	r.ctx, r.began = ctx, began
	l.encode(r, a.Number)
	a.Label = r.command
	err = l.send(r, l.route(r, a.Number))
	r.ctx = nil
	l.seats <- r
	return err
}

// seat waits for a free one.
func (l *Load) seat(ctx context.Context) (*request, error) {
	select {
	case r := <-l.seats:
		return r, nil
	default:
	}
	l.queued.Add(1)
	defer l.queued.Add(-1)
	over := time.NewTimer(l.Timeout)
	defer over.Stop()
	select {
	case r := <-l.seats:
		return r, nil
	case <-over.C:
		return nil, timeoutError(l.Timeout)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// DoBatch sends all commands of a batch at once, and tells it when each is answered. It is
// a Config.DoBatch of package bench.
func (l *Load) DoBatch(ctx context.Context, b *bench.Batch) {
	began := l.ticks.Load()
	r, err := l.seat(ctx)
	if err != nil {
		for i := range b.Numbers {
			b.Done(i, err)
		}
		return
	}
	r.ctx, r.began = ctx, began
	r.all = r.all[:0]
	for i, n := range b.Numbers {
		l.encode(r, n)
		b.Label(i, r.command)
		r.all = append(r.all, r.encoded...)
	}
	l.nodes[0].conns[r.conn].doBatch(r, b)
	r.ctx = nil
	l.seats <- r
}

// Queued is how many commands wait until one of those in flight has ended, as there may be
// no more.
func (l *Load) Queued() int { return int(l.queued.Load()) }

// send sends a request to a node, and on to where that says it belongs.
func (l *Load) send(r *request, to *node) error {
	for range mostRedirections {
		c := to.conns[r.conn]
		err := c.do(r)
		refused, ok := err.(ReplyError)
		if !ok {
			if err != nil && l.clustered {
				l.doubt()
			}
			return err
		}
		if to = l.redirected(r, to, refused); to == nil {
			if Kind(refused) == "READONLY" { // Sentinel knows who is the master now
				c.drop()
			}
			return refused
		}
	}
	return ReplyError("MOVED too often: the Cluster is being rebuilt")
}

// errClosed is why the commands of a Load fail that was closed.
var errClosed = errors.New("the load is closed")

// Close closes all connections. Commands in flight fail.
func (l *Load) Close() error {
	l.stop()
	l.streams.Lock()
	l.closed = true
	open := l.open
	l.open = nil
	l.streams.Unlock()
	for s := range open {
		s.end(errClosed)
	}
	l.running.Wait()
	return nil
}

// watch ends streams on which commands take too long, until ctx ends.
func (l *Load) watch(ctx context.Context) {
	const ticksOfTimeout = 50
	ticker := time.NewTicker(min(max(l.Timeout/ticksOfTimeout, time.Millisecond), 100*time.Millisecond))
	defer ticker.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Since(began)
		l.ticks.Store(int64(now))
		l.streams.Lock()
		open := make([]*stream, 0, len(l.open))
		for s := range l.open {
			if s.ended() {
				delete(l.open, s)
				continue
			}
			open = append(open, s)
		}
		l.streams.Unlock()
		for _, s := range open {
			s.overdue(int64(now-l.Timeout), l.Timeout)
		}
	}
}

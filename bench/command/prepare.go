package command

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redact"
)

// atOnce is how many commands are sent together where nothing is measured.
const atOnce = 1000

// Prepare sends Options.Prepare for each key, or once to each master if they have no
// __key__, and then each of Options.Commands once, so that what is wrong with one is known
// before the run. It returns notes for people.
func (l *Load) Prepare(ctx context.Context) (notes []string, err error) {
	for _, t := range l.prepare {
		if err := l.prepareAll(ctx, t); err != nil {
			return nil, fmt.Errorf("to prepare by %q: %w", redact.Command(t.text), err)
		}
	}
	for _, t := range l.templates {
		null, err := l.try(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("command %q: %w", redact.Command(t.text), err)
		}
		if null && t.reads {
			notes = append(notes, fmt.Sprintf("%q found nothing: keys that are to be there have to be prepared", redact.Command(t.text)))
		}
	}
	return notes, nil
}

func (l *Load) prepareAll(ctx context.Context, t *template) error {
	if t.keys == 0 && len(t.at) == 0 {
		return eachMaster(ctx, l.rdb, func(ctx context.Context, master *redis.Client) error {
			return failure(master.Do(ctx, l.anyOf(t, 0)...).Err())
		})
	}
	n := int64(1)
	if t.keys > 0 {
		n = int64(l.Keys)
	}
	return l.inBatches(ctx, n, func(pipe redis.Pipeliner, i int64) { pipe.Do(ctx, l.anyOf(t, i)...) })
}

// anyOf is a command for go-redis.
func (l *Load) anyOf(t *template, number int64) []any {
	d := newDraw(l.Seed, number)
	var args []any
	for _, word := range t.with(number, string(l.data(&d))) {
		args = append(args, word)
	}
	return args
}

// inBatches sends what add adds for each number up to n.
func (l *Load) inBatches(ctx context.Context, n int64, add func(pipe redis.Pipeliner, i int64)) error {
	for from := int64(0); from < n; from += atOnce {
		cmds, err := l.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i := from; i < min(n, from+atOnce); i++ {
				add(pipe, i)
			}
			return nil
		})
		for _, cmd := range cmds { // err may be that a reply is null
			if err := failure(cmd.Err()); err != nil {
				return err
			}
		}
		if failure(err) != nil {
			return err
		}
	}
	return nil
}

// failure is an error of go-redis, unless it says that a reply is null.
func failure(err error) error {
	if err == redis.Nil {
		return nil
	}
	return err
}

// tryBlocked is how long a command that blocks is tried: what is wrong with it is answered
// at once.
const tryBlocked = 250 * time.Millisecond

// try sends a command for the first key, and says whether its reply is null or empty.
func (l *Load) try(ctx context.Context, t *template) (null bool, err error) {
	waiting := ctx
	if t.blocks {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, tryBlocked)
		defer cancel()
	}
	began := l.ticks.Load()
	r, err := l.seat(ctx)
	if err != nil {
		return false, err
	}
	defer func() { l.seats <- r }()
	r.ctx, r.began = waiting, began
	d := newDraw(l.seed, 0)
	l.fill(r, t, &d, 0)
	err = l.send(r, l.route(r, 0))
	if t.blocks && err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return false, nil // it is blocked
	}
	return r.null, err
}

// Names is how many keys Delete looks for.
func (l *Load) Names() int {
	n := 0
	for _, arg := range l.keyArguments() {
		if arg.count(keyNumber) > 0 {
			n += l.Keys
		} else {
			n++
		}
	}
	return n
}

// keyArguments are all that are keys, each once.
func (l *Load) keyArguments() map[string]argument {
	all := make(map[string]argument)
	for _, list := range [][]*template{l.templates, l.prepare} {
		for _, t := range list {
			for _, i := range t.at {
				arg := t.args[i]
				n := int64(-1) // no number of a key
				if arg.count(keyNumber) == 0 {
					n = 0
				}
				all[fmt.Sprint(n, arg.with(n, ""))] = arg
			}
		}
	}
	return all
}

// Delete deletes all keys that the commands can have made. Call it when no command is in
// flight. With an empty Prefix it deletes nothing, as the keys may be those of others.
func (l *Load) Delete(ctx context.Context) error {
	if l.Prefix == "" {
		return nil
	}
	for _, arg := range l.keyArguments() {
		n := int64(1)
		if arg.count(keyNumber) > 0 {
			n = int64(l.Keys)
		}
		if err := l.inBatches(ctx, n, func(pipe redis.Pipeliner, i int64) { pipe.Unlink(ctx, arg.with(i, "")) }); err != nil {
			return fmt.Errorf("the keys %s:* could not all be deleted: %w", l.Prefix, err)
		}
	}
	return nil
}

// eachMaster calls f with the one Redis, or with each master of a Cluster.
func eachMaster(ctx context.Context, rdb redis.UniversalClient, f func(context.Context, *redis.Client) error) error {
	if c, ok := rdb.(*redis.ClusterClient); ok {
		return c.ForEachMaster(ctx, f)
	}
	return f(ctx, rdb.(*redis.Client)) // as ofNode has made sure
}

package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redact"
)

// Open makes a Load for the Redis of rdb, a *redis.Client (one of Sentinel, too) or a
// *redis.ClusterClient: it looks at the commands, and makes the connections. The options
// of rdb say how to connect; rdb itself is used for what is not measured, and stays the
// caller's.
//
// Errors name the command that is wrong: one that Redis does not know, that is dangerous,
// that would change what a connection does (SUBSCRIBE, MULTI), or that blocks in a
// pipeline.
func Open(ctx context.Context, rdb redis.UniversalClient, o Options) (_ *Load, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	l := &Load{Options: o, rdb: rdb, open: make(map[*stream]struct{}), seats: make(chan *request, o.Connections*o.Pipeline)}
	if _, clustered := rdb.(*redis.ClusterClient); clustered {
		l.Batch = false
	}
	l.doubts = make(chan struct{}, 1)
	l.byAddr = make(map[string]*node)
	l.seed = o.Seed
	l.mix.chooser = newChooser(o.Pattern, int64(o.Keys), o.Data, o.Seed)
	if l.options, err = ofNode(rdb); err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	if o.Protocol != 0 {
		l.options.Protocol = o.Protocol
	}
	sum := int64(0)
	for _, c := range o.Commands {
		t, err := l.take(ctx, c.Text)
		if err != nil {
			return nil, err
		}
		sum += int64(max(1, c.Weight))
		l.templates, l.until = append(l.templates, t), append(l.until, sum)
	}
	for _, text := range o.Prepare {
		t, err := l.take(ctx, text)
		if err != nil {
			return nil, err
		}
		l.prepare = append(l.prepare, t)
	}
	if c, ok := rdb.(*redis.ClusterClient); ok {
		l.clustered = true
		if err := l.learn(ctx, c); err != nil {
			return nil, err
		}
	} else {
		l.nodeAt(l.options.Addr)
	}
	seats := o.Connections * o.Pipeline
	if l.Batch {
		seats = o.Connections
	}
	for i := range seats {
		l.seats <- &request{conn: i % o.Connections, done: make(chan struct{}, 1)}
	}
	watching, stop := context.WithCancel(context.Background())
	l.stop = stop
	l.running.Go(func() { l.watch(watching) })
	if c, ok := rdb.(*redis.ClusterClient); ok {
		l.running.Go(func() { l.relearn(watching, c) })
	}
	if err := l.connectAll(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// connectAll makes all connections, dialling some at a time.
func (l *Load) connectAll(ctx context.Context) error {
	const atATime = 32
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var dialling sync.WaitGroup
	free := make(chan struct{}, atATime)
	for _, n := range l.nodes {
		for _, c := range n.conns {
			select {
			case free <- struct{}{}:
			case <-ctx.Done():
				dialling.Wait()
				return context.Cause(ctx)
			}
			dialling.Go(func() {
				defer func() { <-free }()
				if _, err := c.connected(ctx); err != nil {
					cancel(err)
				}
			})
		}
	}
	dialling.Wait()
	return context.Cause(ctx)
}

// take parses a command and finds out about it.
func (l *Load) take(ctx context.Context, text string) (*template, error) {
	t, err := parse(text)
	if err == nil {
		err = l.inspect(ctx, t)
	}
	if err == nil {
		var at []int
		if at, err = l.keysOf(ctx, t); err == nil {
			prefix := l.Prefix
			if prefix != "" {
				prefix += ":"
			}
			err = t.put(prefix, at)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("command %q: %w", redact.Command(text), err)
	}
	return t, nil
}

// unfit are commands that change what comes on their connection, which many use in turn.
var unfit = []string{
	"subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe", "monitor", "sync", "psync", "replconf",
	"multi", "exec", "discard", "watch", "unwatch", "select", "auth", "hello", "reset", "quit", "asking", "readonly", "readwrite",
	"client|reply", "client|tracking", "client|caching",
}

var (
	// Redis has these among the @dangerous or @admin, but they harm nobody.
	harmless = []string{
		"info", "lastsave", "role", "sort", "sort_ro", "restore", "config|get", "client|list", "slowlog|get", "slowlog|len",
		"latency|history", "latency|latest", "latency|histogram", "acl|list", "acl|users", "acl|getuser",
	}
	// And these not, though they take something from everybody.
	harmful = []string{
		"script|flush", "script|kill", "function|flush", "function|kill", "function|delete", "function|load", "function|restore",
	}
)

// inspect asks Redis what kind of command it is.
func (l *Load) inspect(ctx context.Context, t *template) error {
	name := strings.ToLower(t.args[0].with(0, ""))
	full := name
	if len(t.args) > 1 {
		full += "|" + strings.ToLower(t.args[1].with(0, ""))
	}
	if slices.Contains(unfit, name) || slices.Contains(unfit, full) {
		return errors.New("it changes what its connection does, which commands share: it cannot be measured like this")
	}
	rows, err := l.rdb.Do(ctx, "command", "info", name, full).Slice()
	if err != nil {
		return fmt.Errorf("expected COMMAND INFO to say what it is: %w", err)
	}
	var info []any
	for _, row := range rows {
		if of, ok := row.([]any); ok && len(of) >= 6 {
			info = of // that of the sub-command, if there is one
		}
	}
	if info == nil {
		return fmt.Errorf("this Redis has no command %s", t.name())
	}
	flags := words(info[2])
	if len(info) > 6 {
		flags = append(flags, words(info[6])...)
	}
	has := func(flag string) bool { return slices.Contains(flags, flag) }
	dangerous := (has("@dangerous") || has("@admin") || has("admin")) && !slices.Contains(harmless, name) && !slices.Contains(harmless, full)
	if (dangerous || slices.Contains(harmful, full)) && !l.AllowDangerous {
		return errDangerous
	}
	t.reads = has("readonly")
	t.blocks = has("blocking") && (name != "xread" && name != "xreadgroup" || slices.ContainsFunc(t.with(0, ""), func(word string) bool {
		return strings.EqualFold(word, "block")
	}))
	if t.blocks && l.Pipeline > 1 {
		return errors.New("it may block, and those behind it in its pipeline would wait: expected a pipeline of 1")
	}
	return nil
}

// errDangerous says why a command is refused without AllowDangerous.
var errDangerous = errors.New("it may harm others who use this Redis, so it has to be allowed")

// IsDangerous reports whether Open refused a command that AllowDangerous would allow.
func IsDangerous(err error) bool { return errors.Is(err, errDangerous) }

func words(list any) (all []string) {
	items, _ := list.([]any)
	for _, item := range items {
		if word, ok := item.(string); ok {
			all = append(all, strings.ToLower(word))
		}
	}
	return all
}

// keysOf finds out which arguments of a command are keys: those that change what COMMAND
// GETKEYS answers when they are changed.
func (l *Load) keysOf(ctx context.Context, t *template) (at []int, err error) {
	const mark = "-marked-"
	sample := t.with(0, "0")
	if len(sample) == 1 {
		return nil, nil
	}
	pipe := l.rdb.Pipeline()
	for i := range sample {
		changed := slices.Clone(sample)
		if i > 0 { // the first stays, and answers for all
			changed[i] += mark
		}
		args := []any{"command", "getkeys"}
		for _, word := range changed {
			args = append(args, word)
		}
		pipe.Do(ctx, args...)
	}
	answers, err := pipe.Exec(ctx)
	if err != nil && !isReply(err) {
		return nil, err
	}
	for i, answer := range answers {
		keys, err := answer.(*redis.Cmd).StringSlice()
		switch {
		case i == 0 && err != nil && strings.Contains(err.Error(), "no key arguments"):
			return nil, nil
		case i == 0 && err != nil:
			return nil, err
		case i > 0 && err == nil && slices.Contains(keys, sample[i]+mark):
			at = append(at, i)
		}
	}
	return at, nil
}

func isReply(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

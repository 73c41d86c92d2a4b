package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"redrpc/bench"
	"redrpc/bench/command"
	"redrpc/bench/report"
	"redrpc/internal/terminal"
)

// commandFlags are the flags of a load of Redis commands instead of calls.
type commandFlags struct {
	commands    []command.Command
	weighted    []bool // which of these have a --weight
	prepare     []string
	keys        int
	pattern     command.Pattern
	data        command.Size
	connections int
	pipeline    int
	protocol    string
	rawKeys     bool
	dangerous   bool
}

// commandOnly are the flags that are about commands, and callsOnly those that are about calls of
// functions. f is the flag that all of the first need.
var (
	commandOnly = []string{"weight", "prepare", "keys", "key-pattern", "data-size", "connections", "pipeline", "protocol", "raw-keys", "allow-dangerous"}
	callsOnly   = []string{"func", "payload", "args", "clients", "no-extensions", "server-workers", "no-server", "phases"}
)

func (f *commandFlags) register(cmd *cobra.Command) {
	f.keys, f.data, f.connections, f.pipeline, f.protocol = 10_000, command.Size{Min: 32, Max: 32}, 50, 1, "2"
	flags := cmd.Flags()
	flags.Var(commandList{f}, "command", "Redis command to send instead of calls, such as 'SET k:__key__ __data__' (repeatable)")
	flags.Var(weightOf(f), "weight", "relative frequency of the preceding --command (default 1)")
	flags.Var(textList{&f.prepare}, "prepare", "command to send once for each key before the run, such as 'SET k:__key__ __data__' (repeatable)")
	flags.Var(count(&f.keys, 1, 100_000_000), "keys", "number of keys: __key__ is a number from 0 to N-1")
	flags.Var(patternOf(&f.pattern), "key-pattern", "distribution of keys: sequential, uniform, zipf, or zipf with an exponent such as zipf:1.2")
	flags.Var(sizeOf(&f.data), "data-size", "size in bytes of __data__, or a range such as 10..1000")
	flags.Var(count(&f.connections, 1, 100_000), "connections", "number of connections, in a Cluster to each master")
	flags.Var(count(&f.pipeline, 1, 10_000), "pipeline", "number of commands in flight on each connection")
	flags.Var(oneOf(&f.protocol, "2", "3"), "protocol", "RESP protocol version")
	flags.BoolVar(&f.rawKeys, "raw-keys", false, "use keys as written in --command, without a prefix, and do not delete them at the end")
	flags.BoolVar(&f.dangerous, "allow-dangerous", false, "allow commands that may harm other users of this Redis, such as FLUSHALL")
	completeChoices(cmd, "key-pattern", "sequential", "uniform", "zipf")
}

// given says whether the load is one of commands.
func (f *commandFlags) given() bool { return f.commands != nil }

// check is about what the flags' own parsers cannot know.
func (f *commandFlags) check(given func(flag string) bool) error {
	if !f.given() {
		for _, flag := range commandOnly {
			if given(flag) {
				return usagef("--%s: expected together with --command", flag)
			}
		}
		return nil
	}
	for _, flag := range callsOnly {
		if given(flag) {
			return usagef("--%s: expected without --command, for it is about calls of functions", flag)
		}
	}
	if given("raw-keys") && given("prefix") {
		return usagef("--raw-keys and --prefix: expected only one of them")
	}
	return nil
}

// connectionsFor is how many connections so many commands at a time need, if that is not said: each
// caller of a closed loop has its place in a pipeline.
func (f *commandFlags) connectionsFor(open bool, atATime int, given bool) (int, error) {
	places := f.connections * f.pipeline
	switch {
	case open:
		return f.connections, nil
	case !given:
		return (atATime + f.pipeline - 1) / f.pipeline, nil
	case atATime > places:
		return 0, usagef("--concurrency: expected no more than the %d commands that --connections have in flight, got %d", places, atATime)
	}
	return f.connections, nil
}

// settings is what was sent.
func (f *commandFlags) settings(sys *system) (set report.Settings) {
	add := func(name string, value any) { set = append(set, report.Setting{Name: name, Value: value}) }
	var texts []string
	for i, c := range f.commands {
		name := "command"
		if i > 0 {
			name = fmt.Sprintf("command_%d", i+1)
		}
		text := c.Text
		texts = append(texts, text)
		if len(f.commands) > 1 {
			text += fmt.Sprintf(" (weight %d)", max(1, c.Weight))
		}
		add(name, text)
	}
	for _, text := range f.prepare {
		add("prepare", text)
	}
	all := strings.Join(append(texts, f.prepare...), " ")
	if strings.Contains(all, "__key__") {
		add("keys", f.keys)
		add("key_pattern", f.pattern.String())
	}
	if strings.Contains(all, "__data__") {
		add("data_bytes", f.data.String())
	}
	add("connections_per_node", sys.load.Connections)
	add("pipeline", f.pipeline)
	add("protocol", "RESP"+f.protocol)
	if f.rawKeys {
		add("raw_keys", true)
	}
	return set
}

// startCommands makes the load, fills in its keys and tries its commands.
func (sys *system) startCommands(ctx context.Context, f *systemFlags, opt *endpoint, open bool, log *liveLine) error {
	c := &f.commands
	connections, err := c.connectionsFor(open, sys.atATime, f.given("connections"))
	if err != nil {
		return err
	}
	if most := f.connectionBudget(ctx, sys.admin); connections > most.connections {
		return fmt.Errorf("--connections %d is too many: there can be %d, as %s", connections, max(0, most.connections), most.because)
	}
	rdb := newClient(opt, isCluster(sys.admin))
	sys.closers = append(sys.closers, rdb.Close)
	o := command.Options{
		Commands: c.commands, Prepare: c.prepare, Prefix: f.prefix,
		Keys: c.keys, Pattern: c.pattern, Data: c.data, Seed: f.seed,
		Connections: connections, Pipeline: c.pipeline, Protocol: int(c.protocol[0] - '0'),
		Batch:   !open && c.pipeline > 1,
		Timeout: f.timeout, AllowDangerous: c.dangerous,
	}
	if sys.load, err = command.Open(ctx, rdb, o); err != nil {
		if command.IsDangerous(err) {
			return fmt.Errorf("%w by --allow-dangerous", err)
		}
		return err
	}
	if f.mine {
		sys.task, sys.within = "deleting this run's keys", deletesWithin(sys.load.Names())
		sys.closers = append(sys.closers, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), sys.within)
			defer cancel()
			return sys.load.Delete(ctx)
		})
	}
	sys.closers = append(sys.closers, sys.load.Close)
	notes, err := sys.load.Prepare(ctx)
	for _, note := range notes {
		fmt.Fprintf(log, "note: %s\n", terminal.Text(note))
	}
	if ctx.Err() != nil {
		return errors.New("interrupted before the run")
	}
	return err
}

// deletesWithin is how long it may take to delete so many keys: a Redis that answers
// deletes ten times as fast.
func deletesWithin(keys int) time.Duration {
	return closeWithin + time.Duration(keys)*20*time.Microsecond
}

// sendBatches has a closed loop send whole pipelines.
func (sys *system) sendBatches(cfg *bench.Config) {
	if sys.load != nil && sys.load.Batch {
		cfg.Batch, cfg.DoBatch = sys.load.Pipeline, sys.load.DoBatch
	}
}

// classifier sorts the errors of what is sent.
func (sys *system) classifier() func(error) string {
	if sys.load != nil {
		return command.Kind
	}
	return kindOf
}

// commandGauges are what there is to see of a load of commands.
func (sys *system) commandGauges() []bench.Gauge {
	return []bench.Gauge{{Name: "waiting for a connection", Read: func() float64 { return float64(sys.load.Queued()) }}}
}

// A commandList is the value of --command.
type commandList struct{ f *commandFlags }

func (v commandList) Type() string { return "COMMAND" }

func (v commandList) String() string { return "" }

func (v commandList) Set(s string) error {
	if err := command.Check(s); err != nil {
		return err
	}
	v.f.commands = append(v.f.commands, command.Command{Text: s})
	v.f.weighted = append(v.f.weighted, false)
	return nil
}

// A textList is the value of a flag that takes commands and can be given several times.
type textList struct{ to *[]string }

func (v textList) Type() string { return "COMMAND" }

func (v textList) String() string { return "" }

func (v textList) Set(s string) error {
	if err := command.Check(s); err != nil {
		return err
	}
	*v.to = append(*v.to, s)
	return nil
}

// weightOf takes the weight of the last command.
func weightOf(f *commandFlags) value[int] {
	var weight int
	v := count(&weight, 1, 1_000_000)
	parse := v.parse
	v.parse = func(s string) (int, error) {
		n, err := parse(s)
		last := len(f.commands) - 1
		switch {
		case err != nil:
			return 0, err
		case last < 0:
			return 0, errors.New("expected after the --command that it is about")
		case f.weighted[last]:
			return 0, errors.New("expected once after each --command")
		}
		f.commands[last].Weight, f.weighted[last] = n, true
		return n, nil
	}
	return v
}

func patternOf(to *command.Pattern) value[command.Pattern] {
	return value[command.Pattern]{to, "PATTERN", command.ParsePattern}
}

func sizeOf(to *command.Size) value[command.Size] {
	return value[command.Size]{to, "BYTES", command.ParseSize}
}

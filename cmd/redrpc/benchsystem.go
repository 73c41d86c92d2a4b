package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"redrpc/bench/report"
)

// systemFlags are the flags that say what is measured, and after check what to
// assemble.
type systemFlags struct {
	conn connFlags

	clients, workers int
	timeout          time.Duration

	fn      string
	args    json.RawMessage
	payload int

	prefix    string
	noServer  bool
	transport string
	plain     bool // the protocol without extensions
	phases    string

	commands commandFlags // of a load of commands instead of calls
	seed     uint64       // of what is random in it

	given func(flag string) bool
	redis *endpoint // nil: the in-process broker
	mine  bool      // the prefix is of this run alone
}

func (f *systemFlags) register(cmd *cobra.Command, getenv func(string) string, timeout time.Duration) {
	f.clients, f.workers, f.timeout = 1, 64, timeout
	f.fn, f.payload, f.transport, f.phases = "echo", 100, "memory", "auto"
	flags := cmd.Flags()
	f.given = flags.Changed
	flags.Var(positive(&f.timeout), "timeout", "timeout of a call, and of the wait for the last calls")
	flags.Var(name(&f.fn, "NAME"), "func", "function to call")
	flags.Var(count(&f.payload, 0, 64<<20), "payload", "size in bytes of the text sent as argument x")
	flags.Var(object(&f.args), "args", "arguments of every call, instead of --payload")
	flags.Var(count(&f.clients, 1, 100_000), "clients", "clients with connections of their own, which the callers share")
	flags.BoolVar(&f.plain, "no-extensions", false, noExtensionsHelp)
	flags.Var(count(&f.workers, 1, 100_000), "server-workers", "workers of the in-process server: calls that it runs at a time")
	flags.Var(oneOf(&f.transport, "memory", "tcp"), "transport", "transport of the in-process broker, instead of $REDIS_URL")
	f.conn.register(flags, getenv, "an in-process broker")
	flags.Var(name(&f.prefix, "TEXT"), "prefix", "prefix of all keys (default a new one, whose keys are deleted at the end)")
	flags.BoolVar(&f.noServer, "no-server", false, "the function is served elsewhere: give --redis, --prefix and --func")
	flags.Var(oneOf(&f.phases, "auto", "on", "off"), "phases", fmt.Sprintf("measure the phases of calls: queue, run and wake; auto: except in a closed loop of more than %d callers, where it adds about 25 %% overhead per call", tracedCallers))
	f.commands.register(cmd)
	completeChoices(cmd, "func", slices.Sorted(maps.Keys(builtin))...)
}

// check is about what the flags' own parsers cannot know, and fills in what
// follows from other flags.
func (f *systemFlags) check() error {
	if f.given("transport") {
		if f.given("redis") {
			return usagef("--transport: expected without --redis, for it is about the in-process broker")
		}
		if err := f.conn.checkTLS(nil); err != nil {
			return err
		}
	} else {
		var err error
		if f.redis, err = f.conn.options(""); err != nil {
			return err
		}
	}
	if err := f.commands.check(f.given); err != nil {
		return err
	}
	if f.noServer {
		if f.redis == nil {
			return usagef("--no-server: expected --redis or REDIS_URL too, for nobody else serves the in-process broker")
		}
		for _, flag := range []string{"prefix", "func"} {
			if !f.given(flag) {
				return usagef("--no-server: expected --prefix and --func too, to know what is served elsewhere; --%s is missing", flag)
			}
		}
		if f.given("server-workers") {
			return usagef("--server-workers: expected without --no-server, for it is about the in-process server")
		}
	} else if err := f.checkServed("--func", f.fn); err != nil {
		return err
	}
	if f.given("payload") && f.given("args") {
		return usagef("--payload and --args: expected only one of them")
	}
	if f.mine = !f.given("prefix"); f.mine {
		f.prefix = "redrpc-bench-" + strings.ToLower(rand.Text()[:16])
	}
	if f.commands.rawKeys {
		f.prefix, f.mine = "", false
	}
	f.completeArgs()
	f.noServer = f.noServer || f.commands.given()
	return nil
}

// checkServed refuses a function that the in-process server does not have, if that
// is who serves. from is who names it.
func (f *systemFlags) checkServed(from, fn string) error {
	if _, ok := builtin[fn]; ok || f.noServer {
		return nil
	}
	return usagef("%s: expected one of %s, which the in-process server has, or --no-server; got %s",
		from, strings.Join(slices.Sorted(maps.Keys(builtin)), ", "), shown(fn))
}

// tracedCallers is up to how many callers of a closed loop have their calls traced unless
// asked for: with more, what is measured is how many calls can be made at most.
const tracedCallers = 100

// traces reports whether the phases of so many calls at a time are to be found out.
func (f *systemFlags) traces(open bool, atATime int) bool {
	return !f.commands.given() && (f.phases == "on" || f.phases == "auto" && (open || atATime <= tracedCallers))
}

// completeArgs decides what is sent: a payload, or else a payload of -1 bytes and
// args.
func (f *systemFlags) completeArgs() {
	switch {
	case f.given("args"):
		f.payload = -1
	case f.given("payload") || f.fn == "echo":
		f.args = json.RawMessage(`{"x":` + string(payload(f.payload)) + `}`)
	case f.noServer:
		f.payload, f.args = -1, json.RawMessage(`{}`)
	default:
		f.payload, f.args = -1, builtin[f.fn]
	}
}

// payload returns a JSON text of n bytes.
func payload(n int) json.RawMessage {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	return json.RawMessage(`"` + strings.Repeat(alphabet, n/len(alphabet)+1)[:n] + `"`)
}

// settings is what was run.
func (f *systemFlags) settings(sys *system) report.Settings {
	set := report.Settings{
		{Name: "broker", Value: sys.name},
		{Name: "transport", Value: sys.transport},
		{Name: "redis_version", Value: sys.version},
	}
	add := func(name string, value any) { set = append(set, report.Setting{Name: name, Value: value}) }
	if f.commands.given() {
		set = append(set, f.commands.settings(sys)...)
	} else {
		set = append(set, f.callSettings(sys)...)
	}
	if shared := f.shared(); shared != "" {
		add("process", shared)
	}
	if sys.note != "" && f.plain {
		add("note", sys.note)
	}
	if f.prefix != "" {
		add("prefix", f.prefix)
	}
	add("timeout_s", f.timeout.Seconds())
	return set
}

// callSettings is which calls were made.
func (f *systemFlags) callSettings(sys *system) report.Settings {
	set := report.Settings{
		{Name: "clients", Value: f.clients},
		{Name: "extensions", Value: !f.plain},
		{Name: "connections", Value: sys.open()},
		{Name: "function", Value: f.fn},
	}
	add := func(name string, value any) { set = append(set, report.Setting{Name: name, Value: value}) }
	if f.payload >= 0 {
		add("payload_bytes", f.payload)
	} else {
		add("args", f.args)
	}
	if f.noServer {
		add("server", "elsewhere")
	} else {
		add("server", "in-process")
		add("server_workers", f.workers)
	}
	return set
}

// shared names who shares the processors of this process.
func (f *systemFlags) shared() string {
	switch {
	case f.redis == nil && f.commands.given():
		return "shared by generator and broker"
	case f.redis == nil:
		return "shared by generator, server and broker"
	case !f.noServer:
		return "shared by generator and server"
	}
	return ""
}

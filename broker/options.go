package broker

import (
	"fmt"
	"log/slog"
	"time"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Options configures a broker. The zero value is ready to use and has the
// defaults of Redis.
type Options struct {
	// Password that clients must give with AUTH or HELLO, as Redis's
	// requirepass; "" asks for none.
	Password string

	// Unprotected serves clients on other machines although there is no Password.
	// Otherwise they are told DENIED and closed, as in Redis's protected mode.
	Unprotected bool

	// Databases is the number of databases that SELECT chooses from; 0 means 16.
	Databases int

	// MaxClients is the number of connections served at once; one more is
	// refused with an error reply. 0 means 10000.
	MaxClients int

	// MaxBulk is the largest argument accepted, in bytes; 0 means 512 MiB.
	MaxBulk int

	// MaxArguments is how many arguments a command may have, its name included; 0
	// means 1,048,576.
	MaxArguments int

	// MaxInline is the longest line accepted, in bytes: a command typed as a line,
	// or the length of what follows; 0 means 64 KiB.
	MaxInline int

	// MaxQuery is how much input one client may have waiting, in bytes: an
	// unfinished command, commands pipelined behind one that blocks, or commands
	// queued by MULTI. A client that sends more is closed. 0 means 1 GiB.
	MaxQuery int

	// MaxDepth is how deep lists may be nested in a reply. One that is deeper is
	// replaced by an error. 0 means 128.
	MaxDepth int

	// Pending is how many bytes of replies may wait for one client that does not
	// read them, and PendingPubSub the same for those that subscribe to channels.
	// The zero values are Redis's: no limit, and 32 MiB or 8 MiB for 60 s.
	Pending, PendingPubSub PendingLimit

	// IdleTimeout is after how long a client is closed that sends nothing, unless
	// it is blocked, subscribed or monitors; whole seconds, and 0 means never.
	IdleTimeout time.Duration

	// MaxMemory is how many bytes the data may take before commands that could add
	// to them are refused with an OOM error, as Redis does with its policy
	// noeviction. What they take is estimated; a broker without keys counts as 1
	// MiB. 0 means any number.
	MaxMemory int

	// MaxTracked is how many keys are remembered to have been read by clients that
	// track them; of one more, another is forgotten, and its readers are told. 0
	// means 1,000,000, a negative number any.
	MaxTracked int

	// KeyspaceEvents says which events of keys are published, and on which channels,
	// in the letters of Redis's notify-keyspace-events: "KEA", for example, is all of
	// them on all channels. "" means none.
	KeyspaceEvents string
	events         keyspace.EventClass // the same

	// ManualTime, if it is not zero, makes the broker's clock stand still at
	// that time, from 1970 to 2200, and move only by [Broker.Advance].
	ManualTime time.Time

	// TestCommands adds commands for test suites in other languages, which look in and
	// let time pass by them: REDRPC.SNAPSHOT, for example. docs/testing-from-python.md
	// lists them. It also turns Strict on.
	TestCommands bool

	// LogSize is how many commands [Broker.Log] remembers. It has nothing to do with
	// Logger. 0 means none.
	LogSize int

	// Strict notes what clients do that they should not: see [Broker.Violations]. It
	// makes LogSize 1000 if that is 0.
	Strict bool

	// Logger is told about clients that were closed for what they did, and about
	// failures of the broker itself; nil discards that.
	Logger *slog.Logger

	// diagnostics is what only CONFIG SET changes of what is noted about commands.
	diagnostics diagnostics

	// access is what only CONFIG SET changes of access control.
	access accessOptions

	// replicas are how many there have to be to write, and how many seconds one may
	// have been silent: with no seconds nothing is asked of them.
	replicas struct{ least, lag int }

	// served is where the broker listens, as CONFIG GET tells.
	served served

	// kept are the settings without an effect that were changed, by their names; it is
	// not changed itself.
	kept map[string]string
}

// served is the smallest TCP port, the hosts separated by spaces, and a Unix socket.
type served struct {
	port int
	bind string
	unix string
}

// A PendingLimit is when a client is closed that does not read its replies. A
// negative number of bytes means no limit.
type PendingLimit struct {
	Hard    int           // bytes at which it is closed at once
	Soft    int           // bytes at which it is closed if it stays there
	SoftFor time.Duration // for so long
}

var defaultPendingPubSub = PendingLimit{Hard: 32 << 20, Soft: 8 << 20, SoftFor: time.Minute}

const (
	defaultDatabases  = 16
	defaultMaxClients = 10_000
	defaultMaxBulk    = 512 << 20
	defaultMaxArgs    = 1_048_576
	defaultMaxInline  = 64 << 10
	defaultMaxDepth   = 128
	defaultMaxQuery   = 1 << 30
	defaultMaxTracked = 1_000_000
	strictLogSize     = 1000
)

// withDefaults returns the options with every zero value replaced, or an error
// that names the field which holds what it must not.
func (o Options) withDefaults() (Options, error) {
	for _, f := range []struct {
		name  string
		value *int
		zero  int
	}{
		{"Databases", &o.Databases, defaultDatabases},
		{"MaxClients", &o.MaxClients, defaultMaxClients},
		{"MaxBulk", &o.MaxBulk, defaultMaxBulk},
		{"MaxArguments", &o.MaxArguments, defaultMaxArgs},
		{"MaxInline", &o.MaxInline, defaultMaxInline},
		{"MaxQuery", &o.MaxQuery, defaultMaxQuery},
		{"MaxDepth", &o.MaxDepth, defaultMaxDepth},
		{"MaxMemory", &o.MaxMemory, 0},
		{"LogSize", &o.LogSize, 0},
	} {
		if *f.value < 0 {
			return o, fmt.Errorf("broker: Options.%s is %d: expected 0 (the default) or more", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.zero
		}
	}
	o.Strict = o.Strict || o.TestCommands
	if o.Strict && o.LogSize == 0 {
		o.LogSize = strictLogSize
	}
	if o.MaxTracked == 0 {
		o.MaxTracked = defaultMaxTracked
	}
	if o.PendingPubSub == (PendingLimit{}) {
		o.PendingPubSub = defaultPendingPubSub
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"IdleTimeout", o.IdleTimeout},
		{"Pending.SoftFor", o.Pending.SoftFor},
		{"PendingPubSub.SoftFor", o.PendingPubSub.SoftFor},
	} {
		if f.value < 0 || f.value%time.Second != 0 {
			return o, fmt.Errorf("broker: Options.%s is %v: expected whole seconds, 0 or more", f.name, f.value)
		}
	}
	var valid bool
	if o.events, valid = keyspace.ParseEvents(o.KeyspaceEvents); !valid {
		return o, fmt.Errorf("broker: Options.KeyspaceEvents is %q: expected letters out of %q", o.KeyspaceEvents, "A"+keyspace.EventLetters)
	}
	if y := o.ManualTime.UTC().Year(); !o.ManualTime.IsZero() && (y < 1970 || y > 2200) {
		return o, fmt.Errorf("broker: Options.ManualTime is %v: expected a time from 1970 to 2200", o.ManualTime)
	}
	o.diagnostics = defaultDiagnostics
	o.access.logLength = defaultAccessLog
	o.replicas.lag = 10
	o.kept = map[string]string{}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// optionsChanged passes on what others keep of the options.
func (b *Broker) optionsChanged() {
	b.limits = resp.Limits{MaxArguments: b.options.MaxArguments, MaxBulk: b.options.MaxBulk, MaxInline: b.options.MaxInline}
	b.keys.MaxBulk, b.keys.MaxMemory, b.keys.Events = b.options.MaxBulk, b.options.MaxMemory, b.options.events
}

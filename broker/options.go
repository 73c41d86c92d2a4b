package broker

import (
	"fmt"
	"log/slog"
	"strings"
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

	// MaxInline is the longest line accepted, in bytes: an inline command, or a line with a
	// length; 0 means 64 KiB.
	MaxInline int

	// MaxQuery limits the query buffer of a client, in bytes: an incomplete command,
	// commands pipelined after one that blocks, and commands queued by MULTI. A client that
	// sends more is closed. 0 means 1 GiB.
	MaxQuery int

	// MaxDepth is how deep arrays may be nested in a reply. A deeper reply is replaced by
	// an error. 0 means 128.
	MaxDepth int

	// Pending limits the output buffer of a client, and PendingPubSub that of a client with
	// subscriptions. The zero values are Redis's: no limit; and 32 MiB, or 8 MiB for 60 s.
	Pending, PendingPubSub PendingLimit

	// IdleTimeout is after how long an idle client is closed, unless it is blocked, has
	// subscriptions or monitors; whole seconds, and 0 means never.
	IdleTimeout time.Duration

	// MaxMemory is the limit of the data in bytes beyond which keys are evicted, as
	// MaxMemoryPolicy says. Where there are none to evict, commands that may need memory fail
	// with an OOM error. The memory is estimated; an empty broker counts as 1 MiB. 0 means no
	// limit.
	MaxMemory int

	// MaxMemoryPolicy says which keys are evicted: Redis's maxmemory-policy, such as
	// "allkeys-lru". "" means noeviction.
	MaxMemoryPolicy string

	// Seed is that of the random numbers by which keys are chosen to be evicted: brokers with
	// the same one evict the same keys if they are sent the same commands at the same times.
	Seed uint64

	// MaxTracked is how many keys client tracking remembers; beyond that keys are evicted
	// from its table and invalidated. 0 means 1,000,000, a negative number no limit.
	MaxTracked int

	// KeyspaceEvents says which keyspace notifications are published, in the letters of
	// Redis's notify-keyspace-events: "KEA", for example, means all. "" means none.
	KeyspaceEvents string
	events         keyspace.EventClass // KeyspaceEvents, parsed

	// DebugCommand says who may use DEBUG: Redis's enable-debug-command, "yes", "no", or
	// "local" for clients on this machine. "" means yes, which is not Redis's default.
	DebugCommand string

	// ManualTime, if it is not zero, stops the broker's clock at that time, from 1970 to
	// 2200; only [Broker.Advance] moves it.
	ManualTime time.Time

	// TestCommands adds commands for test suites in other languages (snapshots, faults,
	// virtual time); docs/testing-from-python.md lists them. It also turns Strict on.
	TestCommands bool

	// LogSize is how many commands [Broker.Log] keeps, independent of Logger. 0 means none.
	LogSize int

	// Strict records likely mistakes of clients: see [Broker.Violations]. It makes LogSize
	// 1000 if that is 0.
	Strict bool

	// Logger logs clients that the broker closes for misbehaviour, and failures of the
	// broker itself; nil discards them.
	Logger *slog.Logger

	// diagnostics are the settings of SLOWLOG and LATENCY, which only CONFIG SET changes.
	diagnostics diagnostics

	// access are the settings of ACLs, which only CONFIG SET changes.
	access accessOptions

	// replicas are min-replicas-to-write and min-replicas-max-lag in seconds; if either is 0
	// writes need no replicas.
	replicas struct{ least, lag int }

	// served is where the broker listens, for CONFIG GET.
	served served

	thresholds keyspace.Thresholds // of encodings

	eviction keyspace.Eviction // MaxMemoryPolicy, parsed, and what only CONFIG SET changes

	// busyAfter is after how many milliseconds a script lets others in; 0: never.
	busyAfter int

	// kept are the changed settings that have no effect. The map is immutable.
	kept map[string]string
}

// served is the smallest TCP port, the hosts separated by spaces, and a Unix socket.
type served struct {
	port int
	bind string
	unix string
}

// A PendingLimit limits a client's output buffer. A negative number of bytes means no
// limit.
type PendingLimit struct {
	Hard    int           // bytes above which the client is closed at once
	Soft    int           // bytes above which it is closed
	SoftFor time.Duration // after this time
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

// withDefaults returns the options with defaults for zero values, or an error that names
// the invalid field.
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
	o.eviction = keyspace.DefaultEviction
	if o.MaxMemoryPolicy != "" {
		if o.eviction.Policy, valid = keyspace.ParsePolicy(o.MaxMemoryPolicy); !valid {
			return o, fmt.Errorf("broker: Options.MaxMemoryPolicy is %q: expected one of %s", o.MaxMemoryPolicy, strings.Join(keyspace.Policies, ", "))
		}
	}
	switch o.DebugCommand {
	case "":
		o.DebugCommand = "yes"
	case "yes", "no", "local":
	default:
		return o, fmt.Errorf("broker: Options.DebugCommand is %q: expected yes, no or local", o.DebugCommand)
	}
	if y := o.ManualTime.UTC().Year(); !o.ManualTime.IsZero() && (y < 1970 || y > 2200) {
		return o, fmt.Errorf("broker: Options.ManualTime is %v: expected a time from 1970 to 2200", o.ManualTime)
	}
	o.diagnostics = defaultDiagnostics
	o.access.logLength = defaultAccessLog
	o.replicas.lag = 10
	o.thresholds = keyspace.DefaultThresholds
	o.busyAfter = 5000
	o.kept = map[string]string{}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// optionsChanged copies options to the reader of requests and the keyspace.
func (b *Broker) optionsChanged() {
	b.limits = resp.Limits{MaxArguments: b.options.MaxArguments, MaxBulk: b.options.MaxBulk, MaxInline: b.options.MaxInline}
	b.keys.MaxBulk, b.keys.MaxMemory, b.keys.Events = b.options.MaxBulk, b.options.MaxMemory, b.options.events
	b.keys.Thresholds = b.options.thresholds
	b.keys.SetEviction(b.options.eviction)
}

package broker

import (
	"fmt"
	"log/slog"
	"time"
)

// Options configures a broker. The zero value is ready to use and has the
// defaults of Redis.
type Options struct {
	// Password that clients must give with AUTH or HELLO, as Redis's
	// requirepass; "" asks for none.
	Password string

	// Databases is the number of databases that SELECT chooses from; 0 means 16.
	Databases int

	// MaxClients is the number of connections served at once; one more is
	// refused with an error reply. 0 means 10000.
	MaxClients int

	// MaxBulk is the largest argument accepted, in bytes; 0 means 512 MiB.
	MaxBulk int

	// MaxQuery is how much input one client may have waiting, in bytes: an
	// unfinished command, or commands pipelined behind one that blocks. A client
	// that sends more is closed. 0 means 1 GiB.
	MaxQuery int

	// MaxPending is how many bytes of replies may wait for one client that does
	// not read them. A client that falls behind further is closed. Two classes,
	// as in Redis's client-output-buffer-limit: 0 means without limit for
	// clients that ask, and 32 MiB for those that subscribe to channels.
	MaxPending, MaxPendingPubSub int

	// ManualTime, if it is not zero, makes the broker's clock stand still at
	// that time and move only by [Broker.Advance].
	ManualTime time.Time

	// Logger is told about clients that were closed for what they did, and about
	// failures of the broker itself; nil discards that.
	Logger *slog.Logger
}

const (
	defaultDatabases     = 16
	defaultMaxClients    = 10_000
	defaultMaxBulk       = 512 << 20
	defaultMaxQuery      = 1 << 30
	defaultPendingPubSub = 32 << 20
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
		{"MaxQuery", &o.MaxQuery, defaultMaxQuery},
		{"MaxPending", &o.MaxPending, 0},
		{"MaxPendingPubSub", &o.MaxPendingPubSub, defaultPendingPubSub},
	} {
		if *f.value < 0 {
			return o, fmt.Errorf("broker: Options.%s is %d: expected 0 (the default) or more", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.zero
		}
	}
	if !o.ManualTime.IsZero() && o.ManualTime.Unix() < 0 {
		return o, fmt.Errorf("broker: Options.ManualTime is %v: expected a time after 1970", o.ManualTime)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

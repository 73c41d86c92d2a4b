package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"redrpc/rpc/internal/wire"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const defaultKind = "server"

// ServerOptions are the settings of a Server. The zero value works.
type ServerOptions struct {
	// Prefix starts every key. Default "redis_rpc".
	Prefix string

	// Kind and ID name the server for Servers. Neither may have a colon. The
	// default kind is "server", the default ID is a new UUID. Two servers of one
	// kind must not share an ID.
	Kind, ID string

	// Workers is how many calls run at a time, and how many the server takes
	// from Redis before they run. Default 64.
	Workers int

	// MaxCalls is how many calls the server takes before it stops by itself, as by
	// Stop, and Run returns. Calls that are then dropped count, too. 0 is no limit.
	MaxCalls int

	// MaxArgsBytes and MaxResultBytes are how long the JSON of the arguments and of
	// the result of a call may be. What is longer is answered with an error of
	// TypeTooLarge. 0 is no limit.
	MaxArgsBytes, MaxResultBytes int

	// Heartbeat is how often the server says that it lives; it counts as gone
	// after twice that. Default 2 s.
	Heartbeat time.Duration

	// Expiry is how long a result waits for its caller. Redis counts it in whole
	// seconds: a part of one is rounded up. Default 120 s.
	Expiry time.Duration

	// Tolerance is by how much a call may be past its caller's deadline and be run
	// all the same; later ones are dropped, counted and logged. It has to allow for
	// how well both sides know Redis's clock. Calls of clients that do not say
	// their deadline are never dropped. Default 10 ms.
	Tolerance time.Duration

	// IgnoreDeadlines makes the server drop no calls, and leave their deadlines out
	// of the handlers' contexts.
	IgnoreDeadlines bool

	// NoExtensions leaves out of the results what the protocol did not have at first: the
	// type of a failure, the server's ID, and how long the call waited and ran, and
	// writes no Report with the heartbeat. The Python and Go ports ignore all these.
	NoExtensions bool

	// Intercept runs around each call, the first outermost.
	Intercept []Interceptor

	// Logger gets what goes wrong, excerpts of malformed messages included. It
	// is for its handler to escape them, as those of slog do. Default
	// slog.Default().
	Logger *slog.Logger
}

func (o *ServerOptions) complete() error {
	o.Prefix = cmp.Or(o.Prefix, wire.DefaultPrefix)
	o.Kind = cmp.Or(o.Kind, defaultKind)
	o.ID = cmp.Or(o.ID, wire.NewID(""))
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return errors.Join(
		checkNoColon(o.Kind, "ServerOptions.Kind"),
		checkNoColon(o.ID, "ServerOptions.ID"),
		orDefault(&o.Workers, 64, "ServerOptions.Workers"),
		orDefault(&o.Heartbeat, 2*time.Second, "ServerOptions.Heartbeat"),
		orDefault(&o.Expiry, wire.DefaultExpiry, "ServerOptions.Expiry"),
		orDefault(&o.Tolerance, 10*time.Millisecond, "ServerOptions.Tolerance"),
		checkLimit(o.MaxCalls, "ServerOptions.MaxCalls"),
		checkLimit(o.MaxArgsBytes, "ServerOptions.MaxArgsBytes"),
		checkLimit(o.MaxResultBytes, "ServerOptions.MaxResultBytes"),
		checkInterceptors(o.Intercept, "ServerOptions.Intercept"),
	)
}

// checkNoColon refuses what would make one server's key look like another's.
func checkNoColon(s, name string) error {
	if strings.Contains(s, ":") {
		return fmt.Errorf("rpc: %s: expected a name without a colon, got %q", name, s)
	}
	return nil
}

func checkLimit(n int, name string) error {
	if n < 0 {
		return fmt.Errorf("rpc: %s: expected more than 0, or 0 for no limit, got %d", name, n)
	}
	return nil
}

// Server runs functions for clients. Give it functions with Handle, then Run it.
type Server struct {
	opt      ServerOptions
	node     *redis.Options       // of the one Redis, or of each node
	cluster  *redis.ClusterClient // nil if it is no Cluster
	encoders wire.Encoders
	spare    buffers       // for calls and answers
	stopping chan struct{} // closed by the first Stop
	done     chan struct{} // closed when Run has returned, or never will run

	mu        sync.Mutex           // guards what follows
	functions map[string]*function // by name; do not change any more when the server runs
	state     state
	cancel    context.CancelFunc // ends the contexts of the handlers
}

type state int

const (
	idle state = iota
	running
	stopped
)

// A function is what the server offers under a name.
type function struct {
	name      string
	run       handler
	weight    int
	limit     int64        // calls at a time; 0 is no limit
	busy      atomic.Int64 // calls that count towards the limit
	queue     string       // the key that calls wait in
	consumer  *consumer    // that fetches its calls
	suspended atomic.Int64 // until when its queue is left out, in Unix nanoseconds
	refused   summary      // by Redis, of its queue
	counters
}

// A handler runs a function on its raw arguments and returns its raw result.
type handler func(ctx context.Context, kw []byte) ([]byte, error)

// NewServer returns a server that reaches Redis as rdb does: it takes rdb's
// options, not its connections, and no hooks. rdb stays the caller's to close.
//
// rdb is a *redis.Client or a *redis.ClusterClient; a Ring is refused. With one of
// Sentinel (redis.NewFailoverClient) all connections follow the master, as long as
// rdb is not closed. With a Cluster they go to the masters of the slots of the
// functions, and follow them, as long as rdb is not closed; the prefix must not have {}.
func NewServer(rdb redis.UniversalClient, opt ServerOptions) (*Server, error) {
	if err := opt.complete(); err != nil {
		return nil, err
	}
	node, cluster, err := checkClient(rdb, opt.Prefix)
	if err != nil {
		return nil, fmt.Errorf("rpc: NewServer: %w", err)
	}
	if cluster != nil {
		node = nodeOptions(cluster.Options())
	}
	return &Server{
		opt:       opt,
		node:      node,
		cluster:   cluster,
		stopping:  make(chan struct{}),
		done:      make(chan struct{}),
		functions: map[string]*function{},
	}, nil
}

// ID is the server's ID, given or made up.
func (s *Server) ID() string { return s.opt.ID }

// Handle makes s offer f under the name fn. It is for the time before Run.
//
// In says how f takes its arguments:
//
//   - A struct: each exported field is an argument, called as its json tag says,
//     or else as the field in any case. A field that is a pointer, or whose tag
//     says omitempty or omitzero, may be left out. An argument that is missing,
//     unknown, or of the wrong type is answered with an error that names it; null
//     is of the wrong type, also within an argument, but for a pointer, slice,
//     map, interface, or type with its own UnmarshalJSON.
//   - A map with string keys: any arguments. In a map[string]any, numbers are
//     json.Number.
//   - json.RawMessage: the JSON object as it came.
//   - Any other type with its own UnmarshalJSON: the JSON object.
//
// Out is anything that encoding/json encodes; a json.RawMessage is sent as it
// is. An error of f is sent as text, with its type (see WithType) if it has one, and
// so is a panic, with its traceback. The context of f ends when the caller's time
// is up, if that is known, when Run's ends, or when a Stop loses patience. An error
// that comes when the caller's time is up is only counted: it would race with what
// the caller finds out by itself.
func Handle[In, Out any](s *Server, fn string, f func(ctx context.Context, in In) (Out, error), opts ...HandleOption) error {
	if fn == "" || f == nil {
		return fmt.Errorf("rpc: Handle(%q): expected the name of a function and the function", fn)
	}
	decode, err := wire.NewArgsDecoder(reflect.TypeFor[In]())
	if err != nil {
		return fmt.Errorf("rpc: Handle(%q): %w", fn, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != idle {
		return fmt.Errorf("rpc: Handle(%q): the server runs already", fn)
	}
	if _, ok := s.functions[fn]; ok {
		return fmt.Errorf("rpc: Handle(%q): there is one already", fn)
	}
	run := func(ctx context.Context, kw []byte) ([]byte, error) {
		var in In
		if err := decode(kw, &in); err != nil {
			return nil, WithType(TypeBadArguments, err)
		}
		out, err := f(ctx, in)
		if err != nil {
			return nil, err
		}
		e := s.encoders.Get()
		defer s.encoders.Put(e)
		res, err := e.Result(out)
		if err != nil {
			return nil, WithType(TypeBadResult, err)
		}
		return append(s.spare.get()[:0], res...), nil
	}
	one := &function{name: fn, run: run, weight: 1, queue: wire.CallsKey(s.opt.Prefix, fn), refused: summary{text: "a queue that Redis refuses is left out"}}
	for _, set := range opts {
		if err := set(one); err != nil {
			return fmt.Errorf("rpc: Handle(%q): %w", fn, err)
		}
	}
	s.functions[fn] = one
	return nil
}

// Run serves until Stop is called or ctx ends. It returns nil when every call
// that it took from Redis has been answered and nothing of it runs any more. If
// ctx ends, the handlers' contexts end with it. A Redis that fails is logged
// and tried again. A server runs once; Run's other errors are misuse.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	s.mu.Lock()
	switch {
	case s.state != idle:
		s.mu.Unlock()
		return errors.New("rpc: Run: the server has been run or stopped; make a new one")
	case len(s.functions) == 0:
		s.mu.Unlock()
		return errors.New("rpc: Run: the server has no functions; give it some with Handle")
	}
	s.state = running
	s.cancel = cancel
	s.mu.Unlock()

	defer close(s.done)
	newServerRun(ctx, s).serve(ctx)
	return nil
}

// Stop stops the server: it takes no more calls, lets those that it took be
// finished and answered, withdraws its heartbeat, and then returns nil, at
// about the time when Run does. If ctx ends first, Stop cancels the handlers'
// contexts and returns at once with an error that matches ctx's; Run returns
// when the last handler has, and its answers are out.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	select {
	case <-s.stopping:
	default:
		close(s.stopping)
	}
	if s.state == idle {
		s.state = stopped
		close(s.done)
	}
	cancel := s.cancel
	s.mu.Unlock()

	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		select {
		case <-s.done:
			return nil
		default:
		}
		cancel()
		return fmt.Errorf("rpc: Stop: calls are still running, their contexts are now cancelled: %w", ctx.Err())
	}
}

// A HandleOption says how calls of a function are taken.
type HandleOption func(*function) error

// Weight is how often the function's calls come first when the server takes some,
// compared with other functions: 1 to 100, default 1. A function with a higher
// weight starves nobody: each comes first in its turn.
func Weight(n int) HandleOption {
	return func(f *function) error {
		if n < 1 || n > 100 {
			return fmt.Errorf("Weight: expected 1 to 100, got %d", n)
		}
		f.weight = n
		return nil
	}
}

// Concurrency is how many calls of the function run at a time on this server, at
// most; the others are left to other servers, or wait in Redis. By default only
// ServerOptions.Workers limits them.
func Concurrency(n int) HandleOption {
	return func(f *function) error {
		if n < 1 {
			return fmt.Errorf("Concurrency: expected more than 0, got %d", n)
		}
		f.limit = int64(n)
		return nil
	}
}

// Stats is what a server has done so far.
type Stats struct {
	FuncStats                      // of all functions
	Functions map[string]FuncStats // by name
}

// FuncStats is what a server has done for one function.
type FuncStats struct {
	Calls     uint64 `json:"calls"`     // that were begun
	InFlight  int    `json:"in_flight"` // of them, that still run
	Errors    uint64 `json:"errors"`    // calls that ended with an error
	Panics    uint64 `json:"panics"`    // of them, those that ended with a panic
	Malformed uint64 `json:"malformed"` // messages dropped, as they could not even be answered: no JSON object, or no text for an id
	Expired   uint64 `json:"expired"`   // calls dropped, as they came too late for their callers
}

// counters are what Stats is made from.
type counters struct {
	begun, ended, failed, panicked, malformed, expired atomic.Uint64
}

// Stats returns what s has done so far. The numbers are not of one moment.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	functions := make(map[string]FuncStats, len(s.functions))
	for name, f := range s.functions {
		functions[name] = f.stats()
	}
	return sum(functions)
}

func sum(functions map[string]FuncStats) Stats {
	all := Stats{Functions: functions}
	for _, one := range functions {
		all.FuncStats = all.plus(one)
	}
	return all
}

func (s FuncStats) plus(o FuncStats) FuncStats {
	return FuncStats{
		s.Calls + o.Calls, s.InFlight + o.InFlight,
		s.Errors + o.Errors, s.Panics + o.Panics,
		s.Malformed + o.Malformed, s.Expired + o.Expired,
	}
}

func (c *counters) stats() FuncStats {
	ended := c.ended.Load() // before begun, so that it is not more
	begun := c.begun.Load()
	return FuncStats{
		Calls: begun, InFlight: int(begun - ended),
		Errors: c.failed.Load(), Panics: c.panicked.Load(),
		Malformed: c.malformed.Load(), Expired: c.expired.Load(),
	}
}

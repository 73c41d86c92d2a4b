package rpc

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// A link is a go-redis client of our own, derived from the caller's.
type link struct {
	*redis.Client               // for commands that answer at once
	blocking      *redis.Client // the same pool, for commands that block up to maxSlice
	cutDials      context.CancelFunc
}

// checkClient returns the client that links can be derived from. One of Sentinel
// has the same type; that it follows a failover is not tested yet.
func checkClient(rdb redis.UniversalClient) (*redis.Client, error) {
	c, ok := rdb.(*redis.Client)
	if !ok || c == nil {
		return nil, fmt.Errorf("expected a non-nil *redis.Client (not of Cluster, nor a Ring), got %T", rdb)
	}
	return c, nil
}

// newLink derives a client from rdb, for at most conns connections at a time.
// Address, dialer, TLS, credentials, database and time-outs are the caller's.
// Retries are off, since a repeated push is a second call. The pool never runs
// dry, since waiting for a connection is not what go-redis does best: whoever
// uses a link keeps to conns. It speaks RESP2: nothing needs the pushes of
// RESP3, for which go-redis looks before each command.
func newLink(rdb *redis.Client, conns int) *link {
	opt := *rdb.Options() // a copy; its values have been through go-redis's defaults once
	opt.MaxRetries = -1
	opt.Protocol = 2
	opt.PoolSize = conns
	opt.PipelinePoolSize = -1
	opt.MaxConcurrentDials, opt.MinIdleConns, opt.MaxIdleConns, opt.MaxActiveConns = 0, 0, 0, 0
	opt.ReadBufferSize, opt.WriteBufferSize = 4<<10, 4<<10 // two for each connection, and there may be many
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	opt.ClientSideCache, opt.ClientSideCacheConfig = nil, nil
	opt.PushNotificationProcessor = nil
	opt.ReadTimeout = rawTimeout(opt.ReadTimeout)
	opt.WriteTimeout = rawTimeout(opt.WriteTimeout)

	life, cut := context.WithCancel(context.Background())
	opt.Dialer = patientDialer(life, opt.Dialer)
	l := &link{Client: redis.NewClient(&opt), cutDials: cut}
	l.blocking = l.Client
	if opt.ReadTimeout > 0 { // after NewClient, so that 0 means none
		l.blocking = l.Client.WithTimeout(maxSlice + opt.ReadTimeout)
	}
	return l
}

// rawTimeout undoes what go-redis makes of the two special values of a time-out
// when it takes options, for it will do so again: -1, "none", becomes 0, and
// -2, "don't touch deadlines", becomes -1.
func rawTimeout(d time.Duration) time.Duration {
	switch d {
	case 0:
		return -1
	case -1:
		return -2
	}
	return d
}

// close cuts all connections, also those in use and those being dialled.
func (l *link) close() error {
	l.cutDials()
	return l.Client.Close()
}

// A payload is a message to be pushed that knows whether it went out.
type payload struct {
	message []byte
	state   atomic.Int32 // pending, then written or withdrawn, which are final
}

const (
	pending = iota
	written
	withdrawn
)

// write reports whether the payload may be written, which it then counts as.
func (p *payload) write() bool {
	return p.state.CompareAndSwap(pending, written) || p.state.Load() == written
}

// withdraw reports whether the payload has not been written, and sees to it
// that it never will be.
func (p *payload) withdraw() bool {
	return p.state.CompareAndSwap(pending, withdrawn) || p.state.Load() == withdrawn
}

// A gate is the MULTI that starts a pipeline, and lets it out only if the
// payload has not been withdrawn. go-redis asks an argument for its bytes when
// it writes the command, which is after all that takes time or can fail without
// a trace in Redis: admission, dialling, authentication.
type gate payload

// MarshalBinary implements encoding.BinaryMarshaler for go-redis.
func (g *gate) MarshalBinary() ([]byte, error) {
	if !(*payload)(g).write() {
		return nil, errWithdrawn{}
	}
	return []byte("multi"), nil
}

func (*gate) String() string { return "multi" } // go-redis asks for the name of a command too

// errWithdrawn keeps a pipeline from being written. It passes for a reply of
// Redis, after which go-redis keeps the connection: any other error costs it,
// and where calls are given up in less time than it takes to connect, no call
// would ever find one. What is in go-redis's buffer by then is less than a
// command, and go-redis drops it before it writes the next one.
type errWithdrawn struct{}

func (errWithdrawn) Error() string { return "given up before it was sent" }
func (errWithdrawn) RedisError()   {}

// A failure is why a message did not get through, and what is known of it:
// kind is ErrNotSent or ErrNoResult.
type failure struct {
	kind  error
	cause error
}

func (f *failure) Error() string   { return fmt.Sprintf("%v: %v", f.kind, f.cause) }
func (f *failure) Unwrap() []error { return []error{f.kind, f.cause} }

// push appends p to the list key and sets the list's life, both or neither.
//
// MULTI and EXEC go as plain commands of one pipeline rather than by TxPipeline,
// which after a refused MULTI leaves replies unread, and does not tell which
// command was refused.
func (l *link) push(key string, p *payload, life time.Duration) *failure {
	ctx := context.Background()
	pipe := l.Pipeline()
	multi := pipe.Do(ctx, (*gate)(p))
	push := pipe.Do(ctx, "rpush", key, p.message)
	pipe.Do(ctx, "expire", key, seconds(life))
	exec := pipe.Do(ctx, "exec")
	_, err := pipe.Exec(ctx)

	switch {
	case p.withdraw():
		return &failure{ErrNotSent, err}
	case exec.Err() == nil:
		if replies, ok := exec.Val().([]any); ok && len(replies) == 2 {
			if refused, ok := replies[0].(error); ok {
				return &failure{ErrNotSent, refused}
			}
			return nil
		}
		return &failure{ErrNoResult, fmt.Errorf("expected two replies from EXEC, got %v", exec.Val())}
	case !isReply(exec.Err()): // EXEC may have run; its reply is lost
		return &failure{ErrNoResult, exec.Err()}
	case multi.Err() != nil && push.Err() == nil: // MULTI is forbidden, so RPUSH and EXPIRE ran at once
		return nil
	case push.Err() != nil: // such as OOM, READONLY, NOPERM; EXEC only says EXECABORT
		return &failure{ErrNotSent, push.Err()}
	}
	return &failure{ErrNotSent, exec.Err()}
}

// isReply says whether err is an error reply of Redis, rather than a failure to get one.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// popOne pops the head of the list key, waiting up to d <= maxSlice for one. If
// there is none its error is redis.Nil.
func (l *link) popOne(key string, d time.Duration) ([]byte, error) {
	reply, err := l.blocking.Do(context.Background(), "blpop", key, blockFor(d)).StringSlice()
	if err != nil {
		return nil, err
	}
	if len(reply) != 2 {
		return nil, fmt.Errorf("expected a key and an element from BLPOP, got %q", reply)
	}
	return []byte(reply[1]), nil
}

// seconds rounds up to what EXPIRE takes.
func seconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}

// blockFor renders a time to block as Redis 6 and newer take it. Zero would
// mean for ever, so it is never less than a millisecond.
func blockFor(d time.Duration) string {
	return strconv.FormatFloat(max(d, time.Millisecond).Seconds(), 'f', 3, 64)
}

// popMany pops up to n elements of the first of keys that has any, waiting up
// to maxSlice. If there are none its error is redis.Nil. With single it makes
// do with BLPOP, for a Redis older than 7.0, and pops one.
func (l *link) popMany(keys []any, n int, single bool) (key string, elements []string, err error) {
	ctx := context.Background()
	if single {
		reply, err := l.blocking.Do(ctx, append(append([]any{"blpop"}, keys...), blockFor(maxSlice))...).StringSlice()
		if err != nil {
			return "", nil, err
		}
		if len(reply) != 2 {
			return "", nil, fmt.Errorf("expected a key and an element from BLPOP, got %q", reply)
		}
		return reply[0], reply[1:], nil
	}
	args := append([]any{"blmpop", blockFor(maxSlice), len(keys)}, keys...)
	cmd := redis.NewKeyValuesCmd(ctx, append(args, "left", "count", n)...)
	if err := l.blocking.Process(ctx, cmd); err != nil {
		return "", nil, err
	}
	key, elements = cmd.Val()
	return key, elements, nil
}

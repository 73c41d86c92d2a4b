package keyspace

import (
	"math"
	"math/big"
	"time"

	"redrpc/broker/internal/resp"
)

// A Wait is a handler's wish to be asked again when one of keys is ready: the Wait of a
// reply of KindWait.
type Wait struct {
	Keys    [][]byte
	Timeout time.Duration // 0: for ever
	Refused resp.Reply    // the answer where waiting is not possible: in a transaction
	Late    resp.Reply    // the answer when the time is up

	// Serve answers the client from a key. Like a handler it runs under the lock, but
	// later: it must not refer to the arguments. It reports false if the key has nothing
	// for this client, for example as it is of another type: then the client waits on, and
	// those behind it have their turn.
	Serve func(c *Call, e *Entry) (answer resp.Reply, served bool)

	// Gone answers the client when a key that it waits for has been deleted, if it is not
	// nil.
	Gone func(c *Call, key string) resp.Reply

	// Left is called when the client waits no more, whatever the reason, if it waits
	// for something else than keys. Then it does not count as blocked.
	Left func()
}

// Reply is the reply of a handler that makes its client wait.
func (w *Wait) Reply() resp.Reply { return resp.Reply{Kind: resp.KindWait, Wait: w} }

// ParseTimeout reads a timeout in seconds, 0 meaning none. It is rounded up to
// milliseconds, so that no small one comes to mean none.
func (c *Call) ParseTimeout(arg []byte) (time.Duration, *resp.Reply) {
	ms, isFloat := parseMilliseconds(arg)
	if !isFloat {
		r := resp.ErrorReply("ERR timeout is not a float or out of range")
		return 0, &r
	}
	switch {
	case ms < 0 || ms >= math.MaxInt64: // Redis reads what is far too large as negative
		r := resp.ErrorReply("ERR timeout is negative")
		return 0, &r
	case ms > float64(math.MaxInt64-c.Milliseconds()):
		r := resp.ErrorReply("ERR timeout is out of range")
		return 0, &r
	case ms > float64(math.MaxInt64/int64(time.Millisecond)): // longer than 292 years
		return 0, nil
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// parseMilliseconds reads seconds and returns them as milliseconds, rounded up. Redis
// computes with long doubles: where it may matter, so does this.
func parseMilliseconds(arg []byte) (ms float64, isFloat bool) {
	seconds, isFloat := resp.ParseFloat(arg)
	ms = math.Ceil(seconds * 1000)
	if isFloat && (ms > 0 && ms < math.MaxInt64 || ms < -1 || len(arg) == 1) {
		return ms, true
	}
	exact, infinity := resp.ParseLongDouble(arg)
	if exact == nil {
		return 0, false
	}
	if infinity != 0 {
		return math.Inf(infinity), true
	}
	exact.Mul(exact, big.NewFloat(1000))
	ms, _ = exact.Float64()
	switch minusOne := big.NewFloat(-1); {
	case exact.Sign() > 0 && ms < 1:
		return 1, true
	case exact.Sign() <= 0 && exact.Cmp(minusOne) > 0:
		return 0, true
	}
	return math.Ceil(ms), true
}

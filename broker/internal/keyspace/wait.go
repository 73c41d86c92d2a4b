package keyspace

import (
	"math"
	"math/big"
	"time"

	"redrpc/broker/internal/resp"
)

// A Wait blocks the client until one of the keys is ready: the Wait of a reply of KindWait.
type Wait struct {
	Keys    [][]byte
	Timeout time.Duration // 0: for ever
	Refused resp.Reply    // the reply where blocking is not possible: in a transaction
	Late    resp.Reply    // the reply when the client times out

	// Serve serves the client from a ready key. It runs under the lock, like a handler, but
	// must not refer to the arguments. It reports false if the key has nothing for this
	// client, for example as it is of another type: the client stays blocked, and the next
	// one is tried.
	Serve func(c *Call, e *Entry) (answer resp.Reply, served bool)

	// Gone, if not nil, answers the client when a key that it is blocked on is deleted. Such a client is asked through Serve where the key holds something else by then,
	// maybe of another type.
	Gone func(c *Call, key string) resp.Reply

	// Left is for waits for something else than keys, which do not count as blocked. It is
	// called when the wait ends, for any reason.
	Left func()
}

// Reply is the reply of a handler that blocks its client.
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
	case ms < 0:
		r := resp.ErrorReply("ERR timeout is negative")
		return 0, &r
	case ms > math.MaxInt64/int64(time.Millisecond): // longer than 292 years
		return 0, nil
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// parseMilliseconds reads seconds and returns them as milliseconds, rounded up. Redis
// computes with long doubles: where it may matter, so does this. What is too large
// becomes negative.
func parseMilliseconds(arg []byte) (ms int64, isFloat bool) {
	const exactFloats = 1e15 // up to there
	seconds, isFloat := resp.ParseFloat(arg)
	if near := math.Ceil(seconds * 1000); isFloat && near < exactFloats && (near > 0 || near < -1 || len(arg) == 1) {
		return int64(max(near, -exactFloats)), true
	}
	exact, infinity := resp.ParseLongDouble(arg)
	switch {
	case exact == nil:
		return 0, false
	case infinity != 0:
		return math.MinInt64, true
	}
	ms, rounded := exact.Mul(exact, big.NewFloat(1000)).Int64()
	if rounded == big.Below {
		ms++ // the greatest becomes the least
	}
	return ms, true
}

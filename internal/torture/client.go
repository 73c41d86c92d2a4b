package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"redrpc/rpc"
)

// A caller is the process of a client: calls all the time, several at once.
type caller struct {
	*child
	client   *rpc.Client
	calls    atomic.Int64
	inFlight chan struct{} // has a token for each call that may still be made
	said     atomic.Int64  // when the arena was last told of a success, in Unix microseconds
	cancels  atomic.Bool   // all calls are cancelled soon
	long     atomic.Bool   // all calls are long
	running  sync.WaitGroup
}

const (
	mostInFlight = 300
	callerWait   = 250 * time.Millisecond // after which a caller makes its next call, while it still waits for the last
)

// runClient is the process of a client.
func runClient(c *child) error {
	before := runtime.NumGoroutine()
	rdb := c.redis()
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Prefix: c.Prefix, Expiry: c.Expiry, NoExtensions: c.Role == roleOldClient})
	if err != nil {
		return err
	}
	k := &caller{child: c, client: client, inFlight: make(chan struct{}, mostInFlight)}
	stopping := make(chan struct{})
	for n := range c.Callers {
		k.running.Go(func() { k.run(rand.New(rand.NewPCG(c.Seed, uint64(n))), stopping) })
	}
	say("ready")
	for command := range c.commands {
		switch name, on := strings.CutSuffix(command, " on"); name {
		case "cancel", "cancel off":
			k.cancels.Store(on)
		case "long", "long off":
			k.long.Store(on)
		case "stop":
			close(stopping)
			k.running.Wait()
			err := errors.Join(client.Close(), rdb.Close())
			if n := client.Conns(); n > 0 {
				c.journal.add("left", time.Now(), strconv.Quote(fmt.Sprintf("%d connections after Close", n)))
			}
			c.settle(before)
			return err
		}
	}
	return nil // the arena is gone
}

// run is one caller, until stopping is closed.
func (k *caller) run(random *rand.Rand, stopping <-chan struct{}) {
	timer := time.NewTimer(0)
	for {
		timer.Reset(k.Pause/2 + time.Duration(random.Int64N(int64(k.Pause))))
		select {
		case <-timer.C:
		case <-stopping:
			return
		}
		select {
		case k.inFlight <- struct{}{}:
		case <-stopping:
			return
		}
		call := k.draw(random)
		ended := make(chan struct{})
		k.running.Go(func() {
			k.make(call)
			<-k.inFlight
			close(ended)
		})
		timer.Reset(callerWait)
		select {
		case <-ended:
		case <-timer.C:
		}
	}
}

// An order is a call that is to be made.
type order struct {
	fn      string
	args    arguments
	timeout time.Duration
	cancel  time.Duration // after which it is cancelled, if its result has not come
}

// draw makes up a call.
func (k *caller) draw(random *rand.Rand) order {
	o := order{
		fn:      k.Functions[random.IntN(len(k.Functions))],
		args:    arguments{N: fmt.Sprintf("%s-%d", k.Name, k.calls.Add(1)), Us: random.IntN(3000), Do: wantResult},
		timeout: []time.Duration{400 * time.Millisecond, time.Second, time.Second, 3 * time.Second, 8 * time.Second}[random.IntN(5)],
	}
	if k.Patient {
		o.timeout = k.patient()
	}
	padding := func(n int) string { return strings.Repeat("x", n) }
	switch n := random.IntN(1000); {
	case n < 20:
		o.args.Do = wantFailure
	case n < 40:
		o.args.Do = wantPanic
	case n < 60:
		o.args.Do = wantDelivery
	case n < 80 || k.cancels.Load():
		o.args.Do, o.args.Us = wantCancel, random.IntN(20_000)
		o.cancel = time.Duration(random.IntN(20_000)) * time.Microsecond
	case n < 90:
		o.args.X = padding(random.IntN(200_000))
	case n < 100:
		o.args.Size = random.IntN(200_000)
	case n < 103 && k.Limit > 0:
		o.args.Do, o.args.X = wantRefusal, padding(k.Limit+1)
	case n < 106 && k.Limit > 0:
		o.args.Do, o.args.Size, o.timeout = wantTooLong, k.Limit+1, k.patient()
	case n < 130: // it runs when something happens, and there is time to bring its result afterwards
		o.args.Us = 300_000
		o.timeout = max(o.timeout, k.patient())
	case k.long.Load():
		o.args.X, o.args.Size = padding(random.IntN(300_000)), random.IntN(300_000)
	}
	return o
}

// patient is the longest timeout of calls.
func (k *caller) patient() time.Duration {
	if k.Patient {
		return 3 * time.Second
	}
	return 8 * time.Second
}

// make makes a call, and notes how it ends.
func (k *caller) make(o order) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if o.args.Do == wantCancel {
		defer time.AfterFunc(o.cancel, cancel).Stop()
	}
	begun := time.Now()
	k.journal.add("begin", begun, o.args.N, micros(o.timeout), o.args.Do)
	var out answer
	var err error
	if o.args.Do == wantDelivery {
		_, err = k.client.Send(ctx, o.fn, o.args, rpc.Timeout(o.timeout))
	} else {
		out, err = rpc.Call[answer](ctx, k.client, o.fn, o.args, rpc.Timeout(o.timeout))
	}
	kind, text := kindOf(err), ""
	switch {
	case err != nil:
		text = err.Error()
	case o.args.Do == wantDelivery:
		kind = endDelivered
	case out.N != o.args.N || len(out.X) != o.args.Size:
		kind, text = endWrong, fmt.Sprintf("the result of %s with %d bytes", out.N, len(out.X))
	}
	now := time.Now()
	k.journal.add("end", now, o.args.N, kind, strconv.Quote(text[:min(len(text), 500)]))
	if kind == endResult {
		if last := k.said.Load(); now.UnixMicro()-last > 5000 && k.said.CompareAndSwap(last, now.UnixMicro()) {
			say("ok", begun.UnixMicro())
		}
	}
}

// kindOf is how a call ended.
func kindOf(err error) string {
	remote, isRemote := errors.AsType[*rpc.RemoteError](err)
	switch cancelled := errors.Is(err, context.Canceled); {
	case err == nil:
		return endResult
	case isRemote:
		return endRemote + ":" + remote.Type
	case errors.Is(err, rpc.ErrNotSent) && cancelled:
		return endWithdrawn
	case errors.Is(err, rpc.ErrNotSent):
		return endNotSent
	case errors.Is(err, rpc.ErrNoResult) && cancelled:
		return endCancelled
	case errors.Is(err, rpc.ErrNoResult):
		return endNoResult
	}
	return endWrong
}

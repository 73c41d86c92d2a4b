package main

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"redrpc/bench"
	"redrpc/rpc"
)

// phases are the parts of a call, as the report names them: queue, from when it is
// sent until its handler begins, so the way to Redis and the wait for a worker; run,
// while its handler runs; wake, from then until its caller has the result.
//
// The server of this process tells to the microsecond when a handler began. Others
// tell how long the call waited, by the clock of Redis in whole milliseconds.
var phases = []string{phaseQueue, phaseRun, phaseWake}

const (
	phaseQueue = "queue"
	phaseRun   = "run"
	phaseWake  = "wake"
)

// fieldBegan is in results of the server of this process: microseconds from a trace's
// start until the handler began.
const fieldBegan = "bench_began_us"

// A trace finds out how long the phases of calls take, by interceptors on both sides.
type trace struct {
	start time.Time
	ran   atomic.Int64 // nanoseconds that handlers of this process ran, of calls that ended
}

func newTrace() *trace { return &trace{start: time.Now()} }

// server is around the handlers of this process.
func (t *trace) server(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) error {
	began := time.Since(t.start)
	err := next(ctx)
	t.ran.Add(int64(call.Ran))
	if e := call.SetField(fieldBegan, strconv.FormatInt(began.Microseconds(), 10)); e != nil {
		panic(e) // it is no field of the protocol
	}
	return err
}

// busy is how long workers have been busy so far.
func (t *trace) busy() time.Duration { return time.Duration(t.ran.Load()) }

// A traced is the context of a call of which the phases are asked for.
type traced struct {
	context.Context
	attempt *bench.Attempt
}

// client is around calls, whose contexts are traced.
func (t *trace) client(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) error {
	of, ok := ctx.(*traced)
	if !ok {
		return next(ctx)
	}
	sent := time.Since(t.start)
	err := next(of.Context)
	if call.Server == "" { // there is no result, or it does not say
		return err
	}
	done := time.Since(t.start)
	queued := call.Queued
	if us, e := strconv.ParseInt(call.Field(fieldBegan), 10, 64); e == nil {
		queued = max(0, time.Duration(us)*time.Microsecond-sent)
	}
	of.attempt.Phases[0] = queued
	of.attempt.Phases[1] = call.Ran
	of.attempt.Phases[2] = max(0, done-sent-queued-call.Ran)
	return err
}

package rpcprom

import (
	"context"
	"errors"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"redrpc/rpc"
)

// MostValues is how many functions, or kinds of servers, have a label of their own.
const MostValues = 100

// other is the label of those that have none.
const other = "_other"

// Calls are the metrics of calls on one side. It is a collector.
type Calls struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	outcome  func(error) string

	mu        sync.Mutex // guards functions
	functions map[string]*function
}

// A function is the metrics of one function.
type function struct {
	name     string
	duration prometheus.Observer
	inFlight prometheus.Gauge
}

// Client returns the metrics of the calls of clients.
func Client() *Calls { return newCalls("client", clientOutcome) }

// Server returns the metrics of the calls that servers answer.
func Server() *Calls { return newCalls("server", serverOutcome) }

func newCalls(side string, outcome func(error) string) *Calls {
	return &Calls{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "redrpc", Subsystem: side, Name: "calls_total", Help: "Calls that have ended, by function and outcome.",
		}, []string{"function", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "redrpc", Subsystem: side, Name: "call_duration_seconds", Help: "How long calls took, by function.",
			Buckets:                         prometheus.ExponentialBuckets(0.00025, 2, 18), // to 33 s
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"function"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "redrpc", Subsystem: side, Name: "calls_in_flight", Help: "Calls that have begun and not ended, by function.",
		}, []string{"function"}),
		outcome:   outcome,
		functions: map[string]*function{},
	}
}

// Describe is for a prometheus.Registry.
func (c *Calls) Describe(ch chan<- *prometheus.Desc) {
	c.total.Describe(ch)
	c.duration.Describe(ch)
	c.inFlight.Describe(ch)
}

// Collect is for a prometheus.Registry.
func (c *Calls) Collect(ch chan<- prometheus.Metric) {
	c.total.Collect(ch)
	c.duration.Collect(ch)
	c.inFlight.Collect(ch)
}

// Intercept is the rpc.Interceptor that measures. As the first of the options it
// measures the others, too.
func (c *Calls) Intercept(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) error {
	f := c.function(call.Func)
	f.inFlight.Inc()
	began, outcome := time.Now(), "panic" // or the end of the goroutine
	defer func() {
		f.inFlight.Dec()
		f.duration.Observe(time.Since(began).Seconds())
		c.total.WithLabelValues(f.name, outcome).Inc()
	}()
	err := next(ctx)
	outcome = c.outcome(err)
	return err
}

func (c *Calls) function(name string) *function {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.functions[name]; f != nil {
		return f
	}
	if len(c.functions) >= MostValues || !utf8.ValidString(name) {
		name = other
		if f := c.functions[name]; f != nil {
			return f
		}
	}
	f := &function{name, c.duration.WithLabelValues(name), c.inFlight.WithLabelValues(name)}
	c.functions[name] = f
	return f
}

func clientOutcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, new(*rpc.RemoteError)):
		return "failed"
	case errors.Is(err, rpc.ErrNotSent):
		return "not_sent"
	case errors.Is(err, rpc.ErrNoResult):
		return "no_result"
	case errors.Is(err, rpc.ErrBadResult):
		return "bad_result"
	}
	return "error"
}

func serverOutcome(err error) string {
	if err == nil {
		return "ok"
	}
	switch typ := rpc.TypeOf(err); typ {
	case rpc.TypeBadArguments, rpc.TypeBadResult, rpc.TypeTooLarge, rpc.TypePanic:
		return typ
	}
	return "error"
}

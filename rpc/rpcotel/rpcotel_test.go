package rpcotel_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"redrpc/broker"
	"redrpc/broker/brokertest"
	"redrpc/rpc"
	"redrpc/rpc/rpcotel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// traced is a client and a server whose spans are remembered.
type traced struct {
	*rpc.Client
	rdb   *redis.Client
	spans *tracetest.SpanRecorder
	stop  func()
}

func newTraced(t *testing.T, functions func(*rpc.Server) error) *traced {
	t.Helper()
	_, rdb := brokertest.Start(t, broker.Options{})
	spans := tracetest.NewSpanRecorder()
	opt := rpcotel.Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))}
	quiet := slog.New(slog.DiscardHandler)
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{Intercept: []rpc.Interceptor{rpcotel.Server(opt)}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := functions(server); err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- server.Run(context.Background()) }()
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Intercept: []rpc.Interceptor{rpcotel.Client(opt)}, Logger: quiet, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			if err := errors.Join(client.Close(), server.Stop(context.Background()), <-ran); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return &traced{client, rdb, spans, stop}
}

// span returns the only one of a kind and name.
func (c *traced) span(t *testing.T, kind trace.SpanKind, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	var found sdktrace.ReadOnlySpan
	for _, s := range c.spans.Ended() {
		if s.SpanKind() == kind && s.Name() == name {
			if found != nil {
				t.Errorf("more than one %v span of %s", kind, name)
			}
			found = s
		}
	}
	if found == nil {
		t.Fatalf("no %v span of %s", kind, name)
	}
	return found
}

func of(s sdktrace.ReadOnlySpan, name string) string {
	for _, a := range s.Attributes() {
		if a.Key == attribute.Key(name) {
			return a.Value.AsString()
		}
	}
	return ""
}

func TestSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTraced(t, func(s *rpc.Server) error {
			return errors.Join(
				rpc.Handle(s, "inner", func(ctx context.Context, in struct{}) (bool, error) {
					return trace.SpanContextFromContext(ctx).IsValid(), nil
				}),
				rpc.Handle(s, "fail", func(context.Context, struct{}) (int, error) { return 0, errors.New("no") }),
				rpc.Handle(s, "typed", func(context.Context, struct{}) (int, error) { return 0, rpc.WithType("not_found", errors.New("no")) }),
				rpc.Handle(s, "panic", func(context.Context, struct{}) (int, error) { panic("oh no") }),
				rpc.Handle(s, "goexit", func(context.Context, struct{}) (int, error) { runtime.Goexit(); return 0, nil }),
				rpc.Handle(s, "args", func(context.Context, struct{ A int }) (int, error) { return 0, nil }),
			)
		})
		state, err := trace.ParseTraceState("vendor=x")
		if err != nil {
			t.Fatal(err)
		}
		outer := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, TraceState: state})
		ctx := trace.ContextWithSpanContext(context.Background(), outer)
		if has, err := rpc.Call[bool](ctx, c.Client, "inner", nil); err != nil || !has {
			t.Errorf("the handler has a span: %v, %v", has, err)
		}
		for _, fn := range []string{"fail", "typed", "panic", "goexit", "args"} {
			if err := c.Call(ctx, fn, nil, nil); err == nil {
				t.Errorf("%s: no error", fn)
			}
		}
		if err := c.Call(ctx, "nobody", nil, nil, rpc.Timeout(time.Second)); !errors.Is(err, rpc.ErrNoResult) {
			t.Errorf("got %v", err)
		}
		if err := c.Call(ctx, "inner", 7, nil); !errors.Is(err, rpc.ErrNotSent) {
			t.Errorf("got %v", err)
		}
		c.stop()

		for _, want := range []struct {
			fn             string
			client, server string // error.type
			status         codes.Code
		}{
			{"fail", "remote_error", "*errors.errorString", codes.Error},
			{"typed", "not_found", "not_found", codes.Error},
			{"panic", "panic", "panic", codes.Error},
			{"goexit", "panic", "panic", codes.Error},
			{"args", "bad_arguments", "bad_arguments", codes.Unset},
		} {
			client, server := c.span(t, trace.SpanKindClient, want.fn), c.span(t, trace.SpanKindServer, want.fn)
			if of(client, "error.type") != want.client || client.Status().Code != codes.Error {
				t.Errorf("%s: client: got %q, %v", want.fn, of(client, "error.type"), client.Status())
			}
			if of(server, "error.type") != want.server || server.Status().Code != want.status {
				t.Errorf("%s: server: got %q, %v", want.fn, of(server, "error.type"), server.Status())
			}
			if client.Parent().SpanID() != outer.SpanID() || server.Parent().SpanID() != client.SpanContext().SpanID() || !server.Parent().IsRemote() {
				t.Errorf("%s: the spans are not parent and child", want.fn)
			}
			if s := server.SpanContext(); s.TraceID() != outer.TraceID() || s.TraceState().Get("vendor") != "x" {
				t.Errorf("%s: got trace %v, state %v", want.fn, s.TraceID(), s.TraceState())
			}
			for _, s := range []sdktrace.ReadOnlySpan{client, server} {
				if of(s, "rpc.method") != want.fn || of(s, "rpc.system.name") != "redis_rpc" || of(s, "messaging.destination.name") != "redis_rpc:"+want.fn+":calls" || len(of(s, "messaging.message.id")) != 36 ||
					of(s, "messaging.message.id") != of(client, "messaging.message.id") {
					t.Errorf("%s: got attributes %v", want.fn, s.Attributes())
				}
			}
		}
		if s := c.span(t, trace.SpanKindClient, "nobody"); of(s, "error.type") != "no_result" {
			t.Errorf("got %v", s.Attributes())
		}
		if s := c.span(t, trace.SpanKindServer, "inner"); s.Status().Code != codes.Unset || of(s, "error.type") != "" {
			t.Errorf("of a success: got %v, %v", s.Status(), s.Attributes())
		}
	})
}

// The fields in the message are those of the W3C, and what is wrong in them is no
// error.
func TestMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTraced(t, func(s *rpc.Server) error {
			return rpc.Handle(s, "f", func(context.Context, struct{}) (int, error) { return 1, nil })
		})
		_ = c.Call(context.Background(), "nobody", nil, nil, rpc.Timeout(time.Second))
		raw, err := c.rdb.LIndex(context.Background(), "redis_rpc:nobody:calls", 0).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		var message struct{ Traceparent string }
		if err := json.Unmarshal(raw, &message); err != nil {
			t.Fatal(err)
		}
		s := c.span(t, trace.SpanKindClient, "nobody").SpanContext()
		if want := fmt.Sprintf("00-%s-%s-01", s.TraceID(), s.SpanID()); message.Traceparent != want {
			t.Errorf("got traceparent %q, want %q", message.Traceparent, want)
		}
		for i, field := range []string{`"traceparent":"rubbish"`, `"traceparent":7`, `"tracestate":"x=y"`, `"traceparent":null`} {
			id := fmt.Sprint(i)
			if err := c.rdb.RPush(context.Background(), "redis_rpc:f:calls", `{"id":"`+id+`","kw":{},`+field+`}`).Err(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.rdb.BLPop(context.Background(), 20*time.Second, "redis_rpc:f:result:"+id).Result(); err != nil {
				t.Errorf("%s: %v", field, err)
			}
		}
		c.stop()
		for _, s := range c.spans.Ended() {
			if s.SpanKind() == trace.SpanKindServer && s.Parent().IsValid() {
				t.Errorf("got parent %v", s.Parent())
			}
		}
	})
}

// Without a provider and a propagator of the caller nothing is recorded, and
// nothing fails.
func TestDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := brokertest.Start(t, broker.Options{})
		client, err := rpc.NewClient(rdb, rpc.ClientOptions{Intercept: []rpc.Interceptor{rpcotel.Client(rpcotel.Options{Propagator: propagation.Baggage{}}), rpcotel.Client(rpcotel.Options{})}})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.Call(context.Background(), "nobody", nil, nil, rpc.Timeout(time.Second)); !errors.Is(err, rpc.ErrNoResult) {
			t.Errorf("got %v", err)
		}
	})
}

// The span of the server is the child of the client's.
func Example() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	spans := tracetest.NewSpanRecorder() // in place of an exporter
	tracing := rpcotel.Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))}

	server, err := rpc.NewServer(rdb, rpc.ServerOptions{Intercept: []rpc.Interceptor{rpcotel.Server(tracing)}})
	check(err)
	check(rpc.Handle(server, "add", func(ctx context.Context, in struct{ A, B int }) (int, error) { return in.A + in.B, nil }))
	go server.Run(context.Background())
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Intercept: []rpc.Interceptor{rpcotel.Client(tracing)}})
	check(err)
	defer client.Close()
	_, err = rpc.Call[int](context.Background(), client, "add", rpc.Args{"a": 1, "b": 2})
	check(err)
	check(server.Stop(context.Background()))

	for _, s := range spans.Ended() {
		fmt.Println(s.SpanKind(), s.Name(), "has a parent:", s.Parent().IsValid())
	}
	// Unordered output:
	// server add has a parent: true
	// client add has a parent: false
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

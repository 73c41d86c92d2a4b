// Package rpcotel traces calls with OpenTelemetry: a span on the client around each
// call, one on the server around its handler, and W3C Trace Context in the fields
// traceparent and tracestate of the message, which makes the second the child of the
// first. The old ports of the protocol ignore the fields.
//
// Spans follow the semantic conventions for RPC: they are named after the function,
// of kind client and server, with rpc.system.name "redis_rpc", rpc.method,
// messaging.message.id (the ID of the call), messaging.destination.name (the key of
// the list that it waits in) and, after a failure, error.type: that
// of rpc.TypeOf or rpc.RemoteError if it has one, "remote_error" for other failures
// of the function, "not_sent", "no_result" or "bad_result" on a client, else the Go
// type of the error. A span of a server is not marked as failed where the arguments
// were wrong, for that is the caller's error.
package rpcotel

import (
	"cmp"
	"context"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"redrpc/rpc"
)

// Options are the settings of both sides. The zero value works.
type Options struct {
	// TracerProvider makes the spans. Default otel.GetTracerProvider().
	TracerProvider trace.TracerProvider

	// Propagator carries the context from the client to the server. Default
	// propagation.TraceContext{}. It cannot use fields of the protocol.
	Propagator propagation.TextMapPropagator
}

// Client returns an interceptor for rpc.ClientOptions.Intercept. The span is a
// child of that in the context of Call.
func Client(opt Options) rpc.Interceptor {
	tracer, propagator := opt.complete()
	return func(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) (err error) {
		ctx, span := tracer.Start(ctx, call.Func, trace.WithSpanKind(trace.SpanKindClient), attributes(call))
		defer span.End()
		propagator.Inject(ctx, carrier{call})
		err = next(ctx)
		if call.ID != "" {
			span.SetAttributes(semconv.MessagingMessageID(call.ID))
		}
		if err != nil {
			span.SetAttributes(clientErrorType(err))
			span.SetStatus(codes.Error, err.Error())
		}
		return err
	}
}

// Server returns an interceptor for rpc.ServerOptions.Intercept. The context of the
// handler has the span.
func Server(opt Options) rpc.Interceptor {
	tracer, propagator := opt.complete()
	return func(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) error {
		ctx = propagator.Extract(ctx, carrier{call})
		ctx, span := tracer.Start(ctx, call.Func, trace.WithSpanKind(trace.SpanKindServer), attributes(call),
			trace.WithAttributes(semconv.MessagingMessageID(call.ID)))
		returned := false
		defer func() {
			if !returned {
				span.SetAttributes(semconv.ErrorTypeKey.String(rpc.TypePanic))
				span.SetStatus(codes.Error, "panic, or the end of the goroutine")
			}
			span.End()
		}()
		err := next(ctx)
		returned = true
		if err != nil {
			span.SetAttributes(errorType(rpc.TypeOf(err), err))
			if rpc.TypeOf(err) != rpc.TypeBadArguments {
				span.SetStatus(codes.Error, err.Error())
			}
		}
		return err
	}
}

func (o Options) complete() (trace.Tracer, propagation.TextMapPropagator) {
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.Propagator == nil {
		o.Propagator = propagation.TraceContext{}
	}
	return o.TracerProvider.Tracer("redrpc/rpc/rpcotel", trace.WithSchemaURL(semconv.SchemaURL)), o.Propagator
}

func attributes(call *rpc.CallInfo) trace.SpanStartOption {
	return trace.WithAttributes(semconv.RPCSystemNameKey.String("redis_rpc"), semconv.RPCMethod(call.Func),
		semconv.MessagingDestinationName(call.Queue))
}

func clientErrorType(err error) attribute.KeyValue {
	if remote, ok := errors.AsType[*rpc.RemoteError](err); ok {
		return semconv.ErrorTypeKey.String(cmp.Or(remote.Type, "remote_error"))
	}
	for kind, name := range map[error]string{rpc.ErrNotSent: "not_sent", rpc.ErrNoResult: "no_result", rpc.ErrBadResult: "bad_result"} {
		if errors.Is(err, kind) {
			return semconv.ErrorTypeKey.String(name)
		}
	}
	return errorType("", err)
}

// errorType is typ, or if that is empty the Go type of err.
func errorType(typ string, err error) attribute.KeyValue {
	if typ != "" {
		return semconv.ErrorTypeKey.String(typ)
	}
	return semconv.ErrorType(err)
}

// A carrier is a call as a propagator sees it: what it sets goes into the message
// to be sent, what it gets is in the one that came.
type carrier struct{ call *rpc.CallInfo }

func (c carrier) Get(name string) string { return c.call.Field(name) }

func (c carrier) Set(name, value string) {
	if err := c.call.SetField(name, value); err != nil {
		otel.Handle(err)
	}
}

// Keys returns nothing: messages are read by name.
func (carrier) Keys() []string { return nil }

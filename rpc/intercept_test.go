package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"redrpc/rpc"
)

// A diary is what interceptors saw, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// writer is an interceptor that writes to the diary.
func (d *diary) writer(name string) rpc.Interceptor {
	return func(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) error {
		d.add("%s before %s", name, call.Func)
		err := next(ctx)
		d.add("%s after %v", name, err)
		return err
	}
}

func testInterceptors(t *testing.T, h *house) {
	var d, ids diary
	type key struct{}
	w := h.serve(rpc.ServerOptions{ID: "s1", Intercept: []rpc.Interceptor{
		d.writer("server outer"),
		func(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) error {
			if left := time.Until(call.Deadline); !call.Deadline.IsZero() && (left < time.Second || left > time.Minute) {
				t.Errorf("server: %v are left, want about 20 s", left)
			}
			d.add("server got %q, %q", call.Field("traceparent"), call.Field("nothing"))
			if call.Server != "s1" {
				t.Errorf("got server %q", call.Server)
			}
			ids.add("%s", call.ID)
			if err := call.SetField("note", "ż\""); err != nil {
				t.Error(err)
			}
			return next(context.WithValue(ctx, key{}, "v"))
		},
	}}, offer("echo", func(ctx context.Context, in struct{ X string }) (string, error) {
		d.add("handler %v", ctx.Value(key{}))
		return in.X, nil
	}))
	client := h.client(rpc.ClientOptions{Timeout: patience, Intercept: []rpc.Interceptor{
		d.writer("client outer"),
		func(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) error {
			if left := time.Until(call.Deadline); left < time.Second || left > patience {
				t.Errorf("client: %v are left, want about 20 s", left)
			}
			if call.ID != "" || call.Field("note") != "" {
				t.Errorf("before next: got ID %q, note %q", call.ID, call.Field("note"))
			}
			for _, name := range []string{"id", "Kw", "ERR_type", ""} {
				if err := call.SetField(name, "x"); err == nil {
					t.Errorf("field %q could be set", name)
				}
			}
			if err := call.SetField("traceparent", "00-\"1"); err != nil {
				t.Error(err)
			}
			err := next(ctx)
			ids.add("%s", call.ID)
			d.add("client got %q", call.Field("note"))
			return err
		},
	}})
	if got, err := rpc.Call[string](context.Background(), client, "echo", rpc.Args{"x": "y"}); err != nil || got != "y" {
		t.Errorf("got %q, %v", got, err)
	}
	w.stop(t)
	if l := ids.lines; len(l) != 2 || l[0] != l[1] || len(l[0]) != 36 {
		t.Errorf("got the IDs %q, want the same", ids.lines)
	}
	want := []string{
		"client outer before echo", "server outer before echo", `server got "00-\"1", ""`, "handler v",
		"server outer after <nil>", `client got "ż\""`, "client outer after <nil>",
	}
	if !slices.Equal(d.lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(d.lines, "\n"), strings.Join(want, "\n"))
	}
}

// testInterceptorsDecide: what an interceptor returns is the outcome.
func testInterceptorsDecide(t *testing.T, h *house) {
	h.serve(rpc.ServerOptions{Intercept: []rpc.Interceptor{
		func(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) error {
			switch call.Func {
			case "forbidden":
				return rpc.WithType("forbidden", errors.New("not for you"))
			case "skipped":
				return nil
			case "swallowed":
				if err := next(ctx); rpc.TypeOf(err) != rpc.TypePanic {
					t.Errorf("got %v, want a panic", err)
				}
				return nil
			case "broken":
				panic("in the interceptor")
			}
			return next(ctx)
		},
	}},
		echo,
		offer("forbidden", func(context.Context, struct{}) (int, error) { t.Error("forbidden ran"); return 1, nil }),
		offer("skipped", func(context.Context, struct{}) (int, error) { t.Error("skipped ran"); return 1, nil }),
		offer("swallowed", func(context.Context, struct{}) (int, error) { panic("oh no") }),
		offer("broken", func(context.Context, struct{}) (int, error) { return 1, nil }))
	sent := 0
	client := h.client(rpc.ClientOptions{Timeout: patience, Intercept: []rpc.Interceptor{
		func(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) error {
			if call.Func == "local" {
				return errLocal
			}
			sent++
			err := next(ctx)
			if call.Func == "echo" && sent == 1 {
				err = next(ctx)
			}
			return err
		},
	}})
	ctx := context.Background()
	if got, err := rpc.Call[int](ctx, client, "echo", rpc.Args{"x": 7}); err != nil || got != 7 {
		t.Errorf("called twice: got %v, %v", got, err)
	}
	if err := client.Call(ctx, "local", nil, nil); err != errLocal {
		t.Errorf("got %v, want the interceptor's error", err)
	}
	if e := isRemote(t, client.Call(ctx, "forbidden", nil, nil), "not for you"); e.Type != "forbidden" {
		t.Errorf("got type %q", e.Type)
	}
	for _, fn := range []string{"skipped", "swallowed"} {
		if got, err := rpc.Call[*int](ctx, client, fn, nil); err != nil || got != nil {
			t.Errorf("%s: got %v, %v, want null", fn, got, err)
		}
	}
	if e := isRemote(t, client.Call(ctx, "broken", nil, nil), "panic: in the interceptor"); e.Type != rpc.TypePanic || e.Traceback == "" {
		t.Errorf("got %+v, want a panic", e)
	}
}

var errLocal = errors.New("local")

func testTypesOfFailures(t *testing.T, h *house) {
	h.serve(rpc.ServerOptions{},
		offer("fail", func(context.Context, struct{}) (int, error) { return 0, errors.New("no") }),
		offer("typed", func(context.Context, struct{}) (int, error) {
			return 0, fmt.Errorf("looking for it: %w", rpc.WithType("not_found", errors.New("no")))
		}),
		offer("panic", func(context.Context, struct{}) (int, error) { panic("oh no") }),
		offer("goexit", func(context.Context, struct{}) (int, error) { runtime.Goexit(); return 0, nil }),
		offer("nan", func(context.Context, struct{}) (float64, error) { return math.NaN(), nil }),
		echo)
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	for _, c := range []struct {
		fn        string
		args      any
		typ, text string
	}{
		{"fail", nil, "", "no"},
		{"typed", nil, "not_found", "looking for it: no"},
		{"panic", nil, rpc.TypePanic, "panic: oh no"},
		{"goexit", nil, rpc.TypePanic, "ended its goroutine"},
		{"nan", nil, rpc.TypeBadResult, "cannot be encoded"},
		{"echo", rpc.Args{"y": 1}, rpc.TypeBadArguments, `unknown argument "y"`},
	} {
		if e := isRemote(t, client.Call(context.Background(), c.fn, c.args, nil), c.text); e.Type != c.typ {
			t.Errorf("%s: got type %q, want %q", c.fn, e.Type, c.typ)
		}
	}
}

func TestTyped(t *testing.T) {
	t.Parallel()
	if err := rpc.WithType("x", nil); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	cause := errors.New("cause")
	err := fmt.Errorf("outer: %w", rpc.WithType("x", cause))
	if rpc.TypeOf(err) != "x" || !errors.Is(err, cause) || rpc.TypeOf(cause) != "" || rpc.TypeOf(nil) != "" {
		t.Errorf("got type %q of %v", rpc.TypeOf(err), err)
	}
}

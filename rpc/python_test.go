package rpc_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

func TestPythonOnRedisServer(t *testing.T) {
	t.Parallel()
	python := redistest.Python(t, "redis")
	pythonSuite(t, python, redistest.Start(t).Addr)
}

// pythonSuite calls and serves a program that behaves as the Python port does.
func pythonSuite(t *testing.T, python, addr string) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	for _, f := range fleets {
		t.Run("we call, Python serves, "+string(f), func(t *testing.T) {
			prefix := "go-to-python-" + string(f)
			callPython(t, &house{T: t, rdb: rdb, prefix: prefix, fleet: f}, startPeer(t, python, addr, prefix, "serve"))
		})
	}
	t.Run("Python calls, we serve", func(t *testing.T) {
		servePython(t, &house{T: t, rdb: rdb, prefix: "python-to-go"}, startPeer(t, python, addr, "python-to-go", "call"))
	})
}

type peer struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func startPeer(t *testing.T, python, addr, prefix, mode string) *peer {
	t.Helper()
	cmd := exec.Command(python, "testdata/peer.py", "redis://"+addr, prefix, mode)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, redistest.StartProgram(t, cmd)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &peer{in, bufio.NewReader(out)}
}

func (p *peer) line(t *testing.T) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the Python peer said %q, then: %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

func callPython(t *testing.T, h *house, p *peer) {
	if line := p.line(t); line != "ready" {
		t.Fatalf("the Python peer said %q, want ready", line)
	}
	client, ctx := h.client(rpc.ClientOptions{Timeout: time.Minute}), context.Background()
	if sum, err := rpc.Call[int](ctx, client, "add", struct {
		A int `json:"a"`
		B int `json:"b"`
	}{1, 2}); err != nil || sum != 3 {
		t.Errorf("add: got %v, %v", sum, err)
	}
	if sum, err := rpc.Call[json.Number](ctx, client, "add", rpc.Args{"a": uint64(1 << 63), "b": uint64(1 << 63)}); err != nil || sum != "18446744073709551616" {
		t.Errorf("add of large numbers: got %v, %v", sum, err)
	}
	if zero, err := rpc.Call[any](ctx, client, "zero", nil); err != nil || zero != json.Number("0") {
		t.Errorf("no arguments: got %v, %v", zero, err)
	}
	if null, err := rpc.Call[*int](ctx, client, "echo", rpc.Args{"x": nil}); err != nil || null != nil {
		t.Errorf("null: got %v, %v", null, err)
	}
	const text = "zażółć <>& \u2028 \"q\" 🙂\x00"
	if got, err := rpc.Call[string](ctx, client, "echo", rpc.Args{"x": text}); err != nil || got != text {
		t.Errorf("text: got %q, %v", got, err)
	}
	_, err := rpc.Call[int](ctx, client, "boom", nil)
	if e := isRemote(t, err, "KeyError: 'unknown-key'"); !strings.Contains(e.Traceback, "in boom") {
		t.Errorf("got traceback %q, want Python's", e.Traceback)
	}
	_, err = rpc.Call[int](ctx, client, "add", rpc.Args{"a": 1})
	isRemote(t, err, "TypeError: ")
	_, err = rpc.Call[float64](ctx, client, "nan", nil)
	is(t, err, rpc.ErrBadResult)

	ids, err := rpc.Servers(ctx, h.rdb, h.prefix, "python")
	if err != nil || len(ids) != 1 || len(ids[0]) != 36 {
		t.Errorf("got servers %q, %v, want the Python one", ids, err)
	}
}

func servePython(t *testing.T, h *house, p *peer) {
	h.serve(rpc.ServerOptions{ID: "one"}, echo,
		offer("add", func(_ context.Context, in struct{ A, B int }) (int, error) { return in.A + in.B, nil }),
		offer("zero", func(context.Context, struct{}) (any, error) { return nil, nil }),
		offer("fail", func(context.Context, struct{}) (int, error) { return 0, errors.New("no ż") }),
		offer("silent", func(context.Context, struct{}) (int, error) { return 0, silentError{} }),
		offer("panic", func(context.Context, struct{}) (int, error) { panic("oh no") }))
	for _, c := range []struct{ call, want string }{
		{`["add", {"a": 1, "b": 2}, 10]`, `{"res": 3}`},
		{`["add", {"a": 1}, 10]`, `{"err": "missing argument \"b\", expected a, b", "tb": null}`},
		{`["echo", {"x": null}, 10]`, `{"res": null}`},
		{`["echo", {"x": [1.5, 9223372036854775808, {"k": true}]}, 10]`, `{"res": [1.5, 9223372036854775808, {"k": true}]}`},
		{`["echo", {"x": "za\u017c\u00f3 <>& \u2028 \"q\" \ud83d\ude42"}, 10]`, `{"res": "za\u017c\u00f3 <>& \u2028 \"q\" \ud83d\ude42"}`},
		{`["zero", {}, 10]`, `{"res": null}`},
		{`["zero", null, 10]`, `{"res": null}`},
		{`["fail", {}, 10]`, `{"err": "no \u017c", "tb": null}`},
		{`["silent", {}, 10]`, `{"err": "rpc_test.silentError without a message", "tb": null}`},
		{`["nobody", {}, 1]`, `{"timeout": true}`},
		{`[null, "server", 0]`, `["one"]`}, // by its heartbeat; what it reports beside that is not in the way
		{`[null, "others", 0]`, `[]`},
	} {
		if _, err := fmt.Fprintln(p.in, c.call); err != nil {
			t.Fatal(err)
		}
		if got := p.line(t); got != c.want {
			t.Errorf("%s: got %s, want %s", c.call, got, c.want)
		}
	}
	if _, err := fmt.Fprintln(p.in, `["panic", {}, 10]`); err != nil {
		t.Fatal(err)
	}
	if got := p.line(t); !strings.HasPrefix(got, `{"err": "panic: oh no", "tb": "goroutine `) || !strings.Contains(got, "servePython") {
		t.Errorf("panic: got %s, want a traceback", got)
	}
}

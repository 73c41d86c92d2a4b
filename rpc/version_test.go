package rpc_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// An olderRedis is a connection to one that refuses what an older version does: it
// puts commands in their place that get the same kind of error.
type olderRedis struct {
	net.Conn
	minor int // of the version, times 10: 62 is 6.2
	rest  []byte
	lpops *atomic.Int32 // counts those with a count that pass
}

func (c *olderRedis) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	var out []byte
	for {
		args, rest, ok := cutCommand(c.rest)
		if !ok {
			break
		}
		c.rest = rest
		args = c.replace(args)
		out = fmt.Appendf(out, "*%d\r\n", len(args))
		for _, a := range args {
			out = fmt.Appendf(out, "$%d\r\n%s\r\n", len(a), a)
		}
	}
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *olderRedis) replace(args []string) []string {
	name := strings.ToLower(args[0])
	unknown := []string{name + "_"}
	switch {
	case name == "blmpop" && c.minor < 70:
		return unknown
	case name == "blmove" && c.minor < 62:
		return unknown
	case name == "lpop" && len(args) == 3 && c.minor < 62:
		return args[:1] // has the wrong number of arguments, too
	case name == "lpop" && len(args) == 3:
		c.lpops.Add(1)
	case (name == "hello" || name == "client") && c.minor < 60:
		return unknown
	case name == "blpop" && c.minor < 60 && strings.Contains(args[len(args)-1], "."):
		return append(slices.Clone(args[:len(args)-1]), "not a number")
	}
	return args
}

// cutCommand takes a whole command off the start of b, if there is one.
func cutCommand(b []byte) (args []string, rest []byte, ok bool) {
	number := func(kind byte) (int, bool) {
		line, after, found := bytes.Cut(b, []byte("\r\n"))
		if !found || line[0] != kind {
			return 0, false
		}
		n, err := strconv.Atoi(string(line[1:]))
		b = after
		return n, err == nil
	}
	n, ok := number('*')
	for ; ok && n > 0; n-- {
		var size int
		if size, ok = number('$'); !ok || len(b) < size+2 {
			return nil, nil, false
		}
		args, b = append(args, string(b[:size])), b[size+2:]
	}
	return args, b, ok
}

// TestOlderVersions: what an older Redis lacks is done without.
func TestOlderVersions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		minor int
		lpops bool // calls are popped by LPOP, too
	}{
		{70, false},
		{62, true},
		{60, false},
		{50, false},
	} {
		t.Run(fmt.Sprint(c.minor), func(t *testing.T) {
			addr := redistest.Start(t).Addr
			var lpops atomic.Int32
			h := newHouse(t, &redis.Options{Addr: addr, Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				return &olderRedis{Conn: conn, minor: c.minor, lpops: &lpops}, err
			}})
			w := h.serve(rpc.ServerOptions{}, echo)
			client := h.client(rpc.ClientOptions{Timeout: time.Minute})
			outcomes := make(chan error)
			const calls = 200
			for n := range calls {
				go func() {
					x, err := rpc.Call[int](context.Background(), client, "echo", rpc.Args{"x": n})
					if err == nil && x != n {
						err = fmt.Errorf("got %d, want %d", x, n)
					}
					outcomes <- err
				}()
			}
			for range calls {
				if err := next(t, outcomes); err != nil {
					t.Error(err)
				}
			}
			if n := client.Conns(); n > 4 {
				t.Errorf("got %d connections, want no more than 4", n)
			}
			_, err := unanswered(func(timeout time.Duration) error {
				return client.Call(context.Background(), "f", nil, nil, rpc.Timeout(max(timeout, 1100*time.Millisecond)))
			})
			is(t, err, rpc.ErrNoResult, context.DeadlineExceeded)
			if n := lpops.Load(); (n > 0) != c.lpops {
				t.Errorf("got %d LPOPs with a count, want some: %v", n, c.lpops)
			}
			w.stop(t)
			if log := w.log.String(); log != "" {
				t.Errorf("got log %s, want nothing to complain about", log)
			}
		})
	}
}

package rpc_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/rpc"
)

// A standstill is what reads notice of it that their process is stopped, as by SIGSTOP, and
// goes on after their deadlines: they time out, although something has come meanwhile.
type standstill struct {
	mu   sync.Mutex    // guards what follows
	over chan struct{} // closed when the process goes on; nil while it runs
}

func (s *standstill) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = make(chan struct{})
}

func (s *standstill) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.over)
	s.over = nil
}

// wait waits until the process runs.
func (s *standstill) wait() {
	s.mu.Lock()
	over := s.over
	s.mu.Unlock()
	if over != nil {
		<-over
	}
}

// of is the same Redis as a process reaches it that may be stopped.
func (s *standstill) of(h *house) *house {
	dial := h.rdb.Options().Dialer
	return h.withOptions(func(opt *redis.Options) {
		opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return &stillConn{Conn: conn, process: s}, err
		}
	})
}

// A stillConn is a connection of a process that may be stopped.
type stillConn struct {
	net.Conn
	process *standstill

	mu       sync.Mutex // guards what follows
	deadline time.Time
	closed   bool

	came []byte // that has not been read
}

func (c *stillConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	return c.Conn.SetReadDeadline(t)
}

func (c *stillConn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	return c.Conn.Close()
}

// over is why nothing can be read: the deadline has passed, or the connection is closed.
func (c *stillConn) over() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return net.ErrClosed
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *stillConn) Read(p []byte) (n int, err error) {
	if len(c.came) == 0 {
		n, err = c.Conn.Read(p)
		c.came = append(c.came, p[:n]...)
		c.process.wait()
	}
	if over := c.over(); over != nil {
		return 0, over
	}
	if n = copy(p, c.came); n > 0 {
		c.came = c.came[n:]
		return n, nil
	}
	return 0, err
}

// TestProcessThatStoodStill: what came on a connection while its process was stopped, beyond the
// timeout of the read, is not lost.
func TestProcessThatStoodStill(t *testing.T) {
	t.Parallel()
	const long = time.Minute / 2 // longer than reads take, and shorter than calls may
	for name, test := range map[string]func(*testing.T, *house, *standstill){
		"result of an old server": func(t *testing.T, h *house, process *standstill) {
			client := process.of(h).newClient(oldPort)
			ended := h.start(context.Background(), client, "small", 7)
			call := h.takeCall("small")
			synctest.Wait()
			process.begin()
			h.pushResults(h.resultKey("small", call.ID), `{"ts":"t","res":7}`)
			time.Sleep(long)
			process.end()
			next(t, ended).isResult(t)
		},
		"call to a server": func(t *testing.T, h *house, process *standstill) {
			process.of(h).employ(rpc.ServerOptions{}, small)
			client := h.newClient(rpc.ClientOptions{})
			next(t, h.start(context.Background(), client, "small", 1)).isResult(t)
			synctest.Wait()
			process.begin()
			ended := h.start(context.Background(), client, "small", 7)
			time.Sleep(long)
			process.end()
			next(t, ended).isResult(t)
		},
		"confirmation of Send": func(t *testing.T, h *house, process *standstill) {
			client := process.of(h.withOptions(func(opt *redis.Options) { opt.ReadTimeout = 400 * time.Millisecond })).newClient(rpc.ClientOptions{})
			send := func() error {
				_, err := client.Send(context.Background(), "small", nil)
				return err
			}
			if err := send(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			process.begin()
			ended := make(chan error, 1)
			go func() { ended <- send() }()
			time.Sleep(506 * time.Millisecond) // it is looked every 101 ms: at the first what was written has arrived, at the fifth it is late
			process.end()
			if err := next(t, ended); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T, h *house, _ *broker.Broker) { test(t, h, &standstill{}) })
		})
	}
}

// slowArgs are arguments that take a while to encode.
type slowArgs time.Duration

func (d slowArgs) MarshalJSON() ([]byte, error) {
	time.Sleep(time.Duration(d))
	return fmt.Appendf(nil, `{"slept":%d}`, d), nil
}

// TestTimeBeforeACallIsSent: what passes while a call is prepared, as by encoding its arguments, is
// part of its timeout.
func TestTimeBeforeACallIsSent(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, h *house, _ *broker.Broker) {
		client := h.newClient(rpc.ClientOptions{})
		for range 2 { // the first connects, too
			begun := time.Now()
			err := client.Call(context.Background(), "nobody", slowArgs(300*time.Millisecond), nil, rpc.Timeout(time.Second))
			is(t, err, rpc.ErrNoResult, context.DeadlineExceeded)
			if took := time.Since(begun); took != time.Second {
				t.Errorf("a call with a second ended after %v", took)
			}
			if call := h.takeCall("nobody"); !strings.Contains(call.raw, `"timeout_ms":700,`) {
				t.Errorf("got %s, want one that may take 700 ms", call.raw)
			}
		}
		err := client.Call(context.Background(), "nobody", slowArgs(2*time.Second), nil, rpc.Timeout(time.Second))
		is(t, err, rpc.ErrNotSent, context.DeadlineExceeded)
	})
}

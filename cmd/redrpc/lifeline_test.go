package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"redrpc/internal/redistest"
)

// A stallable is a TCP proxy that can stop to pass anything on, as a process that
// hangs does: connections stay open, and new ones are taken.
type stallable struct {
	*redistest.Relay
	flows   sync.RWMutex // held for writing while nothing flows
	stalled bool
}

func startProxy(t *testing.T, to string) *stallable {
	t.Helper()
	p := &stallable{}
	var err error
	if p.Relay, err = redistest.StartRelay(to, p.pass); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.resume()
		p.Close()
	})
	return p
}

func (p *stallable) url() string { return "redis://" + p.Addr() }

func (p *stallable) stall() {
	p.flows.Lock()
	p.stalled = true
}

func (p *stallable) resume() {
	if p.stalled {
		p.stalled = false
		p.flows.Unlock()
	}
}

func (p *stallable) pass(client, server net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { p.copy(server, client) })
	both.Go(func() { p.copy(client, server) })
	both.Wait()
}

func (p *stallable) copy(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.flows.RLock()
		_, err = to.Write(buf[:n])
		p.flows.RUnlock()
		if err != nil {
			return
		}
	}
}

// A Redis that hangs holds up neither the report nor, for long, the end.
func TestBenchWithARedisThatHangs(t *testing.T) {
	b := start(t, nil, "broker", "--addr", "127.0.0.1:0")
	url := strings.TrimSpace(b.await(t, &b.stdout, "\n"))
	for name, args := range map[string][]string{
		"idle connections": {"-c", "10"},
		"more clients":     {"-c", "20", "--clients", "4"},
		"blocked calls":    {"-c", "100", "--func", "sleep", "--args", `{"seconds":0.3}`},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := startProxy(t, strings.TrimPrefix(url, "redis://"))
			r := start(t, nil, append([]string{"bench", "--redis", proxy.url(), "--duration", "1h", "--warmup", "0s", "--timeout", "1s"}, args...)...)
			r.await(t, &r.stderr, "errors 0")
			proxy.stall()
			r.stop()
			r.await(t, &r.stderr, "deleting this run's keys, for up to 3s\n")
			if report := r.stdout.String(); !strings.Contains(report, ", interrupted\n") || !strings.HasSuffix(report, "\n") || !strings.Contains(report, "p99.9") {
				t.Errorf("expected the report before the keys are deleted, got %s", report)
			}
			r.wait()
			if !strings.Contains(r.stderr.String(), "could not all be deleted, they expire within two minutes") {
				t.Errorf("nothing of the keys that are left: %s", r.stderr.String())
			}
		})
	}
}

func TestLifeline(t *testing.T) {
	var ours []net.Conn
	line := newLifeline(func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == "hangs" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		here, there := net.Pipe()
		ours = append(ours, there)
		return here, nil
	})
	dial := func(addr string) net.Conn {
		conn, err := line.Dial(t.Context(), "", addr)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	a, b := dial("a"), dial("b")
	if err := a.Close(); err != nil || len(line.conns) != 1 {
		t.Errorf("%v, %d connections kept after one of two was closed", err, len(line.conns))
	}
	hanging := make(chan error)
	go func() {
		_, err := line.Dial(t.Context(), "", "hangs")
		hanging <- err
	}()
	line.cut()
	line.cut()
	if err := <-hanging; !errors.Is(err, errCut) {
		t.Errorf("a dial that was cut: %v", err)
	}
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("read from a connection that was cut: %v", err)
	}
	if _, err := line.Dial(t.Context(), "", "c"); !errors.Is(err, errCut) {
		t.Errorf("a dial after the cut: %v", err)
	}
	for i, there := range ours {
		if _, err := there.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("connection %d is open: %v", i, err)
		}
	}
}

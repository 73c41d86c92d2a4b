package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/transport"
	"redrpc/internal/redistest"
)

// Close does not leave behind who has said QUIT and does not read the answer.
func TestCloseEndsWhoDoesNotRead(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		redistest.Missing(t, "/proc")
	}
	open := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	before := open()
	t.Run("clients", func(t *testing.T) {
		transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
			w := newWire(dial(t))
			w.expect(t, "+OK", "SET", "k", strings.Repeat("x", 20<<20))
			for range 5 {
				w := newWire(dial(t))
				w.send(t, "GET", "k")
				w.send(t, "QUIT")
				if _, err := w.in.Peek(1); err != nil {
					t.Fatal(err)
				}
			}
			started := time.Now()
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(started); took > patience/2 { // to wait until they take it would be patience
				t.Errorf("Close took %v", took)
			}
		})
	})
	runtime.GC()
	if after := open(); after > before+2 { // the poller of package net may have come
		t.Errorf("%d files are open, before there were %d", after, before)
	}
}

// A subscriber that is always a message behind does not make the broker keep what
// it has read.
func TestReaderThatLags(t *testing.T) {
	b := newBroker(t, Options{})
	reader, publisher := inMemory(t, b), inMemory(t, b)
	reader.expect(t, "[subscribe news 1]", "SUBSCRIBE", "news")
	message := strings.Repeat("x", 1000)
	publisher.expect(t, "1", "PUBLISH", "news", message)
	size := len(request("message", "news", message))
	buf := make([]byte, size)
	for range 20_000 {
		publisher.expect(t, "1", "PUBLISH", "news", message)
		if _, err := io.ReadFull(reader.Conn, buf); err != nil {
			t.Fatal(err)
		}
	}
	c := reader.Conn.(*transport.MemoryClient)
	if _, n, _ := c.Unread(); n > max(10*size, resp.PieceSize) {
		t.Errorf("%d bytes are kept for one message of %d", n, size)
	}
}

// Pending holds within one batch, too.
func TestPendingWithinABatch(t *testing.T) {
	transports(t, Options{Pending: PendingLimit{Hard: 1 << 20}}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		w := newWire(dial(t))
		w.expect(t, "+OK", "SET", "k", strings.Repeat("x", 900_000))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := w.Write(bytes.Repeat(request("GET", "k"), 1000)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, w.in); err != nil {
			var op *net.OpError
			if !errors.As(err, &op) {
				t.Error(err)
			}
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 50 {
			t.Errorf("%d MiB were allocated with a limit of 1 MiB", got)
		}
	})
}

// A logger may call the broker.
func TestLoggerThatCallsTheBroker(t *testing.T) {
	h := &callingHandler{}
	b := newBroker(t, Options{Logger: slog.New(h)})
	h.broker = b
	w := inMemory(t, b)
	if _, err := io.WriteString(w, "*1\r\n:1\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := w.reply(t); !strings.HasPrefix(got, "-ERR Protocol error") {
		t.Error(got)
	}
	if h.records != 1 {
		t.Errorf("%d records were logged, expected 1", h.records)
	}
}

type callingHandler struct {
	slog.Handler
	broker  *Broker
	records int
}

func (h *callingHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h *callingHandler) Handle(context.Context, slog.Record) error {
	h.records++
	h.broker.Clients()
	return nil
}

// When a client of which it is not sure whether it is there ends otherwise, the
// next in line is served, and who watches the key is told.
func TestDelayedClientThatEnds(t *testing.T) {
	for _, how := range []string{"CLIENT UNBLOCK", "overrun", "timeout"} {
		t.Run(how, func(t *testing.T) {
			b := newBroker(t, Options{ManualTime: time.Unix(1e9, 0), PendingPubSub: PendingLimit{Hard: 1 << 20}})
			first := &fakeTransport{}
			b.enter()
			if err := b.open(first); err != nil {
				t.Fatal(err)
			}
			b.leave()
			b.receive(first.session, request("HELLO", "3"))
			b.receive(first.session, request("SUBSCRIBE", "news"))
			b.receive(first.session, request("BLPOP", "q", "10"))
			second, other, watcher := inMemory(t, b), inMemory(t, b), inMemory(t, b)
			second.send(t, "BLPOP", "q", "0")
			first.state = transport.Unsure
			other.expect(t, "1", "RPUSH", "q", "x")
			watcher.expect(t, "+OK", "WATCH", "q")
			switch how {
			case "CLIENT UNBLOCK":
				other.expect(t, "1", "CLIENT", "UNBLOCK", fmt.Sprint(first.session.id))
			case "overrun":
				other.expect(t, "1", "PUBLISH", "news", strings.Repeat("x", 2<<20))
			case "timeout":
				b.Advance(10 * time.Second)
			}
			if got := second.reply(t); got != "[q x]" {
				t.Error(got)
			}
			watcher.expect(t, "+OK", "MULTI")
			watcher.expect(t, "nil-list", "EXEC")
		})
	}
}

func TestWaitBlockedThatEnds(t *testing.T) {
	b := newBroker(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.WaitBlocked(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if len(b.conditions) != 0 {
		t.Error("the call has left something behind")
	}
	done := make(chan error)
	go func() { done <- b.WaitBlocked(context.Background(), 1) }()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// Keys that have been read are forgotten with the last client that tracked.
func TestTrackedKeysAreForgotten(t *testing.T) {
	b := newBroker(t, Options{})
	w := inMemory(t, b)
	w.expect(t, "+OK", "CLIENT", "TRACKING", "ON")
	for i := range 1000 {
		w.expect(t, "0", "EXISTS", fmt.Sprint("key", i))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(b.tracking.readers); n != 0 || b.tracking.active {
		t.Errorf("%d keys are remembered", n)
	}
}

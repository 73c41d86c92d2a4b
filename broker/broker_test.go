package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		options Options
		field   string
	}{
		{Options{Databases: -1}, "Databases"},
		{Options{MaxClients: -1}, "MaxClients"},
		{Options{MaxBulk: -1}, "MaxBulk"},
		{Options{MaxQuery: -1}, "MaxQuery"},
		{Options{MaxArguments: -1}, "MaxArguments"},
		{Options{MaxInline: -1}, "MaxInline"},
		{Options{MaxDepth: -1}, "MaxDepth"},
		{Options{Pending: PendingLimit{SoftFor: -1}}, "Pending.SoftFor"},
		{Options{IdleTimeout: time.Millisecond}, "IdleTimeout"},
		{Options{ManualTime: time.Unix(-1, 0)}, "ManualTime"},
		{Options{ManualTime: time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)}, "ManualTime"},
		{Options{KeyspaceEvents: "KEq"}, "KeyspaceEvents"},
	} {
		_, err := New(c.options)
		if err == nil || !strings.Contains(err.Error(), "Options."+c.field) || !strings.Contains(err.Error(), "expected") {
			t.Errorf("%s: got %v, expected an error that names the field and what is expected", c.field, err)
		}
	}
}

func TestClose(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		idle, blocked := newWire(dial(t)), newWire(dial(t))
		idle.expect(t, "+PONG", "PING")
		blocked.send(t, "BLPOP", "q", "100")
		if err := b.WaitBlocked(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for _, w := range []*wire{idle, blocked} {
			if got, err := w.read(); err == nil {
				t.Errorf("a client read %s from a closed broker", got)
			}
		}
		if _, err := b.Dial(t.Context(), "", ""); !errors.Is(err, ErrClosed) {
			t.Errorf("Dial: got %v, want ErrClosed", err)
		}
		if _, err := b.Listen("tcp", "127.0.0.1:0"); !errors.Is(err, ErrClosed) {
			t.Errorf("Listen: got %v, want ErrClosed", err)
		}
	})
}

func TestListenOnATakenAddress(t *testing.T) {
	b := newBroker(t, Options{})
	addr := listen(t, b, "tcp", "")
	if _, err := b.Listen("tcp", addr.String()); err == nil || !strings.Contains(err.Error(), addr.String()) {
		t.Errorf("got %v, expected an error that names the address", err)
	}
}

func TestMaxClients(t *testing.T) {
	transports(t, Options{MaxClients: 2}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		first, second := newWire(dial(t)), newWire(dial(t))
		first.expect(t, "+PONG", "PING")
		second.expect(t, "+PONG", "PING")
		third := newWire(dial(t))
		if got := third.reply(t); got != "-ERR max number of clients reached" {
			t.Error(got)
		}
		if _, err := third.read(); err == nil {
			t.Error("the connection is still open")
		}
		second.Close()
		first.expect(t, "+PONG", "PING")
		deadline := time.Now().Add(patience)
		for b.Stats().Clients > 1 && time.Now().Before(deadline) { // a socket's end is noticed by its reader
		}
		newWire(dial(t)).expect(t, "+PONG", "PING")
	})
}

func TestPassword(t *testing.T) {
	transports(t, Options{Password: "secret"}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		w := newWire(dial(t))
		w.expect(t, "-NOAUTH Authentication required.", "GET", "k")
		w.expect(t, "-WRONGPASS invalid username-password pair or user is disabled.", "AUTH", "guess")
		w.expect(t, "-WRONGPASS invalid username-password pair or user is disabled.", "AUTH", "nobody", "secret")
		w.expect(t, "+OK", "AUTH", "secret")
		w.expect(t, "nil", "GET", "k")
		w.expect(t, "+RESET", "RESET")
		w.expect(t, "-NOAUTH Authentication required.", "GET", "k")
		w.expect(t, "+OK", "AUTH", "default", "secret")
		w.expect(t, "nil", "GET", "k")

		w = newWire(dial(t))
		io.WriteString(w, "*11\r\n")
		if got := w.reply(t); got != "-ERR Protocol error: unauthenticated multibulk length" {
			t.Error(got)
		}
		w = newWire(dial(t))
		io.WriteString(w, "*2\r\n$4\r\nECHO\r\n$16385\r\n")
		if got := w.reply(t); got != "-ERR Protocol error: unauthenticated bulk length" {
			t.Error(got)
		}
	})
}

func TestAdvance(t *testing.T) {
	start := time.Unix(1_000_000_000, 0)
	b := newBroker(t, Options{ManualTime: start})
	a, c := inMemory(t, b), inMemory(t, b)
	c.expect(t, "+OK", "SET", "k", "v", "PX", "1500")
	c.expect(t, "+OK", "SET", "k2", "v", "EX", "3")
	a.send(t, "BLPOP", "q", "2")
	b.Advance(1499 * time.Millisecond)
	c.expect(t, "1", "PTTL", "k")
	b.Advance(time.Millisecond)
	c.expect(t, "-2", "PTTL", "k")
	b.Advance(500 * time.Millisecond)
	if got := a.reply(t); got != "nil-list" {
		t.Error(got)
	}
	c.expect(t, fmt.Sprintf("[%q %q]", "1000000002", "0"), "TIME")
	if got := b.Now(); !got.Equal(start.Add(2 * time.Second)) {
		t.Errorf("Now: %v", got)
	}
	b.Advance(24 * time.Hour)
	c.expect(t, "0", "DBSIZE")
}

// A clock does not go past the end of what it can show, nor back.
func TestAdvanceToTheEndOfTime(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1e9, 0), TestCommands: true})
	w := inMemory(t, b)
	w.expect(t, "+OK", "MULTI")
	const tenYears = "315360000000"
	for range 30 {
		w.expect(t, "+QUEUED", "REDRPC.ADVANCE", tenYears)
	}
	made := strings.Count(w.do(t, "EXEC"), "+OK")
	if got, want := b.Now(), time.Unix(1e9, 0).Add(time.Duration(made)*longestMove); made != 26 || !got.Equal(want) {
		t.Errorf("it is %v after %d moves of 10 years, want %v", got, made, want)
	}
	for d, want := range map[time.Duration]string{-1: "does not go back", 1<<63 - 1: "the year 2262"} {
		func() {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.Contains(p, want) {
					t.Errorf("Advance(%v): panicked with %s, want %q in it", d, p, want)
				}
			}()
			b.Advance(d)
		}()
	}
	w.expect(t, "+PONG", "PING") // the lock is free
	b.Advance(1<<63 - 1 - time.Duration(b.Now().UnixNano()))
	w.expect(t, "+PONG", "PING")
}

// An idle broker has no timer, so nothing happens in its bubble however much time
// passes; one that waits has one for the next deadline.
func TestRealClockInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(t, newBroker(t, Options{}))
		for _, step := range []struct{ ttl, wait time.Duration }{
			{10 * time.Millisecond, time.Millisecond},
			{time.Hour, 30 * time.Minute},
			{time.Millisecond, 0},
		} {
			started := time.Now()
			w.expect(t, "+OK", "SET", "k", "v", "PX", fmt.Sprint(step.ttl.Milliseconds()))
			<-time.After(step.wait)
			w.expect(t, "1", "EXISTS", "k")
			<-time.After(step.ttl - step.wait)
			synctest.Wait()
			w.expect(t, "0", "EXISTS", "k")
			if took := time.Since(started); took != step.ttl {
				t.Errorf("took %v, want %v", took, step.ttl)
			}
		}
	})
}

func TestMemoryConnDeadlines(t *testing.T) {
	b := newBroker(t, Options{})
	w := inMemory(t, b)
	if err := w.Conn.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read after its deadline: %v", err)
	}
	if err := w.Conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := w.Read(make([]byte, 1))
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a read that waits for its deadline: %v", err)
	}
	if err := w.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("PING\r\n")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write after its deadline: %v", err)
	}
	if err := w.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "+PONG", "PING")

	read := make(chan error)
	go func() {
		_, err := w.Read(make([]byte, 1))
		read <- err
	}()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read while the connection is closed: %v", err)
	}
	if _, err := w.Write([]byte("PING\r\n")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after Close: %v", err)
	}
}

func TestDialWithACancelledContext(t *testing.T) {
	b := newBroker(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Dial(ctx, "", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A SCAN passes every key that is there all the time, whatever else comes and
// goes meanwhile.
func TestScanMissesNothing(t *testing.T) {
	b := newBroker(t, Options{})
	w := inMemory(t, b)
	for i := range 500 {
		w.expect(t, "+OK", "SET", fmt.Sprint("stays", i), "v")
		w.expect(t, "+OK", "SET", fmt.Sprint("goes", i), "v")
	}
	seen := map[string]bool{}
	cursor := `"0"`
	for round := 0; ; round++ {
		reply := w.do(t, "SCAN", strings.Trim(cursor, `"`), "COUNT", "7")
		for _, name := range strings.Fields(strings.Trim(reply, "[]")) {
			seen[strings.Trim(name, "[]")] = true
		}
		cursor, _, _ = strings.Cut(strings.Trim(reply, "["), " ")
		if cursor == `"0"` {
			break
		}
		for i := range 5 {
			w.do(t, "DEL", fmt.Sprint("goes", (round*5+i)%500))
			w.do(t, "SET", fmt.Sprint("comes", round*5+i), "v")
		}
	}
	for i := range 500 {
		if name := fmt.Sprint("stays", i); !seen[name] {
			t.Errorf("%s was not seen", name)
		}
	}
}

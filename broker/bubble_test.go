package broker

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// panicOf returns what a function panics with.
func panicOf(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}

func expectPanic(t *testing.T, want string, f func()) {
	t.Helper()
	if got, _ := panicOf(f).(string); !strings.Contains(got, want) {
		t.Errorf("it panics with %q, expected %q", got, want)
	}
}

// A broker that is not of the bubble in which it is used says so, whatever is called
// first, and works on where it belongs.
func TestOutsideOfItsBubble(t *testing.T) {
	uses := map[string]func(*Broker){
		"Do":    func(b *Broker) { b.Do("SET", "k", "v", "EX", "1") },
		"Stats": func(b *Broker) { b.Stats() },
		"Close": func(b *Broker) { b.Close() },
	}
	outside := newBroker(t, Options{})
	w := inMemory(t, outside)
	w.expect(t, "+OK", "SET", "k", "v", "EX", "1000")
	uses["Write"] = func(*Broker) { w.Write(request("GET", "k")) }
	var inside *Broker
	synctest.Test(t, func(t *testing.T) {
		for _, use := range uses {
			expectPanic(t, "made outside of the testing/synctest bubble", func() { use(outside) })
		}
		if _, err := outside.Dial(t.Context(), "", ""); err == nil || !strings.Contains(err.Error(), "made outside of the testing/synctest bubble") {
			t.Errorf("Dial: %v", err)
		}
		inside = newBroker(t, Options{})
		inMemory(t, inside).expect(t, "+OK", "SET", "k", "v", "EX", "1")
		time.Sleep(30 * 365 * 24 * time.Hour) // which is no reason to complain
		inMemory(t, inside).expect(t, "nil", "GET", "k")
	})
	delete(uses, "Write")
	for _, use := range uses {
		expectPanic(t, "made in a testing/synctest bubble", func() { use(inside) })
	}
	w.expect(t, "v", "GET", "k")
}

// With a manual clock a broker has no timers, and works everywhere.
func TestManualClockInABubble(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1e9, 0)})
	synctest.Test(t, func(t *testing.T) {
		inMemory(t, b).expect(t, "+OK", "SET", "k", "v", "EX", "1")
	})
	b.Advance(time.Second)
	inMemory(t, b).expect(t, "nil", "GET", "k")
}

// Sockets are refused in a bubble.
func TestListenInABubble(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{})
		_, err1 := b.Listen("tcp", "127.0.0.1:0")
		_, err2 := b.ListenUnix(path, 0)
		for _, err := range []error{err1, err2, b.Serve(l)} {
			if !errors.Is(err, errSocketInBubble) {
				t.Errorf("got %v", err)
			}
		}
	})
}

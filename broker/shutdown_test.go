package broker

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// SHUTDOWN ends the connections of all clients, whatever they are doing, and nothing
// that was sent behind it is run.
func TestShutdown(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		idle, waiting, last := newWire(dial(t)), newWire(dial(t)), newWire(dial(t))
		idle.expect(t, "+PONG", "PING")
		waiting.send(t, "BLPOP", "q", "0")
		if err := b.WaitBlocked(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		last.expect(t, "-ERR syntax error", "SHUTDOWN", "SAVE", "NOSAVE")
		select {
		case <-b.Done():
			t.Fatal("it is done, but was not shut down")
		default:
		}
		if _, err := io.WriteString(last, "SHUTDOWN SAVE NOW\r\nRPUSH q a\r\n"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-b.Done():
		case <-time.After(patience):
			t.Fatal("it is not done")
		}
		for name, w := range map[string]*wire{"the idle": idle, "the waiting": waiting, "the last": last} {
			if got, err := w.read(); err == nil {
				t.Errorf("%s client got %s", name, got)
			}
		}
		if _, err := b.Dial(t.Context(), "", ""); !errors.Is(err, ErrClosed) {
			t.Errorf("Dial: got %v, want ErrClosed", err)
		}
		for range 2 {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// What only closes a broker tells of it, too.
func TestDone(t *testing.T) {
	b := newBroker(t, Options{})
	if _, err := b.Do("SHUTDOWN", "SAVE", "FORCE"); err != nil {
		t.Error(err)
	}
	<-b.Done()
	if _, err := b.Do("PING"); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	b = newBroker(t, Options{})
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	<-b.Done()
}

package broker

import (
	"errors"
	"os"
	"strings"
	"testing"

	"redrpc/broker/internal/keyspace"
)

// A client that is given up while it is told of what it does is no trouble, wherever
// its answer would have stood.
func TestListenerThatIsGivenUp(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, commands := range [][]string{
		{"SET " + long + " v"},                          // told before the answer
		{"RPUSH " + long + " v"},                        // told before and after
		{"RPUSH l a", "RENAME l " + long},               // answered after both
		{"RPUSH l a", "LMOVE l " + long + " LEFT LEFT"}, // answered in between
		{"SET k " + long, "GETSET k v"},                 // the answer itself is too long
		{"SET k " + long, "GETDEL k"},
	} {
		b := newBroker(t, Options{KeyspaceEvents: "KEAn", PendingPubSub: PendingLimit{Hard: 90_000}})
		w := inMemory(t, b)
		w.do(t, "HELLO", "3")
		w.expect(t, ">[psubscribe * 1]", "PSUBSCRIBE", "*")
		for _, command := range commands {
			w.send(t, strings.Fields(command)...)
		}
		for {
			if _, err := w.read(); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%.20q: the client is still there", commands)
			} else if err != nil {
				break
			}
		}
		inMemory(t, b).expect(t, "+PONG", "PING")
	}
}

// The letters of what is published are read and written as by Redis.
func TestEventLetters(t *testing.T) {
	for letters, want := range map[string]string{
		"": "", "KEA": "AKE", "An": "A", "Kg$lshzxetd": "AK", "$glx": "g$lx", "mn": "nm", "KEA\x00?": "AKE", "EK": "KE",
	} {
		if classes, valid := keyspace.ParseEvents(letters); !valid || classes.String() != want {
			t.Errorf("%q is written as %q, want %q", letters, classes.String(), want)
		}
	}
	for _, letters := range []string{"a", "K E", "KEy", "\xff"} {
		if _, valid := keyspace.ParseEvents(letters); valid {
			t.Errorf("%q is taken", letters)
		}
	}
}

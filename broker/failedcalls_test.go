package broker

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"redrpc/broker/internal/resp"
	"redrpc/internal/redistest"
)

// TestFailedCalls looks at what INFO counts of a command that waits, as a calls, r
// rejected and f failed calls, however it ends; here and on redis-server.
func TestFailedCalls(t *testing.T) {
	onBoth(t, func(t *testing.T, connect func() *wire) {
		for _, c := range []struct{ command, other, answer, waiting, ending string }{
			{"BLPOP list 0", "CLIENT UNBLOCK {id}", "nil-list", "1 0 1", "1 0 0"},
			{"BLPOP list 0", "CLIENT UNBLOCK {id} TIMEOUT", "nil-list", "1 0 1", "1 0 0"},
			{"BLPOP list 0", "CLIENT UNBLOCK {id} ERROR", unblockedText, "1 0 1", "1 0 1"},
			{"BRPOP list 0", "CLIENT UNBLOCK {id} ERROR", unblockedText, "1 0 1", "1 0 1"},
			{"BLMPOP 0 1 list LEFT", "CLIENT UNBLOCK {id} ERROR", unblockedText, "1 0 1", "1 0 1"},
			{"BRPOPLPUSH list text 0", "CLIENT UNBLOCK {id} ERROR", unblockedText, "1 0 1", "1 0 1"},
			{"BLMOVE list text LEFT LEFT 0", "CLIENT UNBLOCK {id}", "nil-list", "1 0 1", "1 0 0"},
			{"WAIT 1 0", "CLIENT UNBLOCK {id}", "0", "1 0 1", "1 0 0"},
			{"WAIT 1 0", "CLIENT UNBLOCK {id} ERROR", unblockedText, "1 0 1", "1 0 1"},
			{"BLMOVE list text LEFT LEFT 0", "RPUSH list a", resp.WrongType.Text, "1 0 1", "1 0 0"},
			{"BLPOP list 0", "RPUSH list a", "[list a]", "1 0 0", "1 0 0"},
			{"BLPOP list 0.001", "PING", "nil-list", "1 0 0", "1 0 0"},
			{"BLPOP list 0", "CLIENT KILL ID {id}", "closed", "1 0 0", "1 0 0"},
		} {
			t.Run(c.command+" "+c.other, func(t *testing.T) {
				w, other := connect(), connect()
				id := w.do(t, "CLIENT", "ID")
				other.expect(t, "+OK", "FLUSHALL")
				other.expect(t, "+OK", "SET", "text", "v")
				other.expect(t, "+OK", "CONFIG", "RESETSTAT")
				w.send(t, strings.Fields(c.command)...)
				if !strings.Contains(c.command, "0.001") {
					awaitFlag(t, other, id, "b")
				}
				steps := strings.Fields(strings.ReplaceAll(c.other, "{id}", id))
				other.do(t, steps...)
				got, err := w.read()
				if err != nil {
					got = "closed"
				}
				if strings.TrimPrefix(got, "-") != c.answer {
					t.Errorf("answered with %s, not %s", got, c.answer)
				}
				name, row := strings.ToLower(strings.Fields(c.command)[0]), rowOfWords(steps)
				if got := usageOf(t, other, name); got != c.waiting {
					t.Errorf("%s counts %s, not %s", name, got, c.waiting)
				}
				if got := usageOf(t, other, row); got != c.ending {
					t.Errorf("%s counts %s, not %s", row, got, c.ending)
				}
			})
		}
	})
}

// onBoth runs a test on a broker and on redis-server.
func onBoth(t *testing.T, test func(t *testing.T, connect func() *wire)) {
	t.Run("broker", func(t *testing.T) {
		b := newBroker(t, Options{})
		test(t, func() *wire { return inMemory(t, b) })
	})
	t.Run("redis", func(t *testing.T) {
		server := redistest.Start(t)
		test(t, func() *wire { return newWire(dial(t, server.TCPAddr())) })
	})
}

const unblockedText = "UNBLOCKED client unblocked via CLIENT UNBLOCK"

// rowOfWords is the full name of a command, as INFO has it.
func rowOfWords(words []string) string {
	if words[0] == "CLIENT" {
		return strings.ToLower(words[0] + "|" + words[1])
	}
	return strings.ToLower(words[0])
}

// awaitFlag waits until CLIENT LIST shows a flag of a client.
func awaitFlag(t testing.TB, w *wire, id, flag string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		_, flags, _ := strings.Cut(w.do(t, "CLIENT", "LIST", "ID", id), " flags=")
		flags, _, _ = strings.Cut(flags, " ")
		if strings.Contains(flags, flag) {
			return
		}
	}
	t.Fatalf("client %s does not get the flag %s", id, flag)
}

// usageOf is how often INFO says that a command ran, was rejected, and failed.
func usageOf(t testing.TB, w *wire, row string) string {
	t.Helper()
	_, line, _ := strings.Cut(w.do(t, "INFO", "commandstats"), "cmdstat_"+row+":")
	var calls, rejected, failed int
	var usec int
	var perCall float64
	line, _, _ = strings.Cut(line, `\r\n`)
	if _, err := fmt.Sscanf(line, "calls=%d,usec=%d,usec_per_call=%f,rejected_calls=%d,failed_calls=%d", &calls, &usec, &perCall, &rejected, &failed); err != nil {
		t.Fatalf("%s: %q: %v", row, line, err)
	}
	return fmt.Sprint(calls, " ", rejected, " ", failed)
}

// Package brokertest starts a broker for a test in one line of code.
//
//	func TestQueue(t *testing.T) {
//		t.Parallel()
//		b, rdb := brokertest.Start(t)
//		...
//	}
//
// Every test has its own broker, in memory, so tests can run in parallel. In a
// testing/synctest bubble, where time is virtual, Start has to be called in the bubble.
package brokertest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"redrpc/broker"
)

// Start returns a broker and a client of it. There may be one Options; none means the
// defaults.
//
// When the test ends both are closed. The test fails if it leaves other clients connected
// to this broker (for clients in memory, the error has the file:line that opened them), if
// the broker cannot be closed within 5 s (the error names the goroutines), or if there are
// violations of Options.Strict. A failed test logs the last 50 commands, or
// Options.LogSize; a benchmark only if that is set. The HELLO and CLIENT SETINFO by which
// client libraries open a connection are left out unless they failed.
func Start(t testing.TB, options ...broker.Options) (*broker.Broker, *redis.Client) {
	t.Helper()
	var o broker.Options
	switch len(options) {
	case 0:
	case 1:
		o = options[0]
	default:
		t.Fatalf("brokertest: Start: got %d broker.Options, expected one or none", len(options))
	}
	if _, isBenchmark := t.(*testing.B); !isBenchmark && o.LogSize == 0 {
		o.LogSize = 50
	}
	b, err := broker.New(o)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(ClientOptions(b, o.Password))
	t.Cleanup(func() {
		if err := rdb.Close(); err != nil {
			t.Errorf("brokertest: closing the client: %v", err)
		}
		for _, c := range clientsLeft(b) {
			t.Errorf("brokertest: the test left a client connected: %s", c)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		for _, v := range b.Violations() {
			t.Errorf("brokertest: strict: %v", v)
		}
		if t.Failed() {
			showLog(t, b)
		}
	})
	return b, rdb
}

// showLog logs the last commands, without the handshakes of client libraries.
func showLog(t testing.TB, b *broker.Broker) {
	records := withoutGreetings(b.Log())
	if len(records) == 0 {
		return
	}
	var lines strings.Builder
	for _, r := range records {
		lines.WriteString("\n\t" + r.String())
	}
	t.Logf("brokertest: the last commands:%s", lines.String())
}

// withoutGreetings leaves out the handshakes of client libraries, unless they failed:
// CLIENT SETINFO, and the HELLO of clients that send it.
func withoutGreetings(records []broker.Record) (rest []broker.Record) {
	begun, byLibrary := map[int64]bool{}, map[int64]bool{}
	greets := make([]bool, len(records))
	for i, r := range records {
		greets[i] = !begun[r.Client] && (isSetInfo(r) || r.Command == "hello" && r.Outcome == broker.Answered)
		switch {
		case greets[i] && isSetInfo(r):
			byLibrary[r.Client] = true
		case !greets[i] && !slices.Contains([]string{"hello", "auth", "select", "client|setname"}, r.Command):
			begun[r.Client] = true
		}
	}
	for i, r := range records {
		if !greets[i] || !byLibrary[r.Client] {
			rest = append(rest, r)
		}
	}
	return rest
}

// isSetInfo reports whether a record is a CLIENT SETINFO that succeeded, or failed as in
// Redis 7.0, which does not know it.
func isSetInfo(r broker.Record) bool {
	return len(r.Args) > 1 && strings.EqualFold(r.Args[0], "client") && strings.EqualFold(r.Args[1], "setinfo") &&
		(r.Outcome == broker.Answered || strings.HasPrefix(r.Error, "ERR unknown subcommand"))
}

// clientsLeft describes the clients that are still connected after a second, which those
// have that are disconnecting, for example because the test's context has ended.
func clientsLeft(b *broker.Broker) []string {
	deadline := time.Now().Add(time.Second)
	for {
		clients := b.Clients()
		if len(clients) == 0 || time.Now().After(deadline) {
			return clients
		}
		time.Sleep(time.Millisecond)
	}
}

// ClientOptions returns the options of a test client that connects in memory. It does not
// retry, and has no goroutine or timer that would outlive a testing/synctest bubble. A
// password of "" means none.
func ClientOptions(b *broker.Broker, password string) *redis.Options {
	return &redis.Options{
		Addr:                     "127.0.0.1:0", // not used; a name would be resolved
		Dialer:                   b.Dial,
		Password:                 password,
		MaxRetries:               -1,
		PoolSize:                 10_000, // so that no test waits for a free connection
		ContextTimeoutEnabled:    true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

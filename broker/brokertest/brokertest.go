// Package brokertest starts a broker for a test in one line.
//
//	func TestQueue(t *testing.T) {
//		t.Parallel()
//		b, rdb := brokertest.Start(t)
//		...
//	}
//
// Every test has a broker of its own, in memory, so tests can run in parallel,
// and inside testing/synctest, where time passes at once: Start has to be called in the
// bubble.
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
// When the test ends both are closed. The test fails if it has left other clients
// connected to this broker: those in memory are named with the place where they were
// dialled. It also fails if the broker cannot be closed within 5 s, with the names of
// the goroutines that do not end, and with what clients have done that Options.Strict
// does not let pass. A test that has failed shows the last commands that the broker saw:
// 50, or Options.LogSize, less the HELLO and CLIENT SETINFO that a client library begins
// a connection with, unless they failed; a benchmark does so only if that is set.
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

// showLog shows the last commands, without what client libraries send by themselves.
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

// withoutGreetings leaves out what a client library begins a connection with by itself,
// unless it failed: CLIENT SETINFO, and HELLO of a client that sends that, too.
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

// isSetInfo reports whether a record is a CLIENT SETINFO that was answered, or as by
// Redis 7.0, which does not know it.
func isSetInfo(r broker.Record) bool {
	return len(r.Args) > 1 && strings.EqualFold(r.Args[0], "client") && strings.EqualFold(r.Args[1], "setinfo") &&
		(r.Outcome == broker.Answered || strings.HasPrefix(r.Error, "ERR unknown subcommand"))
}

// clientsLeft describes the clients that stay connected. Those that are on their way
// out, since the test's context has ended for example, have a second.
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

// ClientOptions are those of a client that connects to a broker in memory and
// suits tests: it tries nothing twice, and has no goroutine or timer that would
// outlive a testing/synctest bubble. A password of "" means none.
func ClientOptions(b *broker.Broker, password string) *redis.Options {
	return &redis.Options{
		Addr:                     "127.0.0.1:0", // not used, but looked up if it were a name
		Dialer:                   b.Dial,
		Password:                 password,
		MaxRetries:               -1,
		PoolSize:                 10_000, // waiting for a free connection is not what a test wants to do
		ContextTimeoutEnabled:    true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

package broker

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
)

// Everything works while CONFIG SET changes the options: under the race detector, what
// reads them without the lock fails here. Clients that send what is no protocol make the
// broker log.
func TestSettingsWhileAllElseGoesOn(t *testing.T) {
	const rounds = 50
	o := Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), LogSize: 10}
	transports(t, o, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		var running sync.WaitGroup
		repeat := func(f func()) {
			running.Go(func() {
				for range rounds {
					f()
				}
			})
		}
		repeat(func() {
			for _, setting := range [][]string{{"slowlog-max-len", "10"}, {"timeout", "100"}, {"maxmemory", "1gb"}, {"proto-max-bulk-len", "2mb"}} {
				if _, err := b.Do("CONFIG", "SET", setting); err != nil {
					t.Error(err)
				}
			}
		})
		repeat(func() {
			bad := dial(t)
			defer bad.Close()
			io.WriteString(bad, "*1\r\nx\r\n")
			io.Copy(io.Discard, bad)
		})
		repeat(func() {
			rule, err := b.Intercept(func(c *Command) Verdict { return c.Answer(c.Args) })
			if err != nil {
				t.Error(err)
				return
			}
			rule.WaitFired(context.Background(), 0)
			rule.Remove()
		})
		repeat(func() {
			b.Now()
			b.Stats()
			b.Clients()
			b.Log()
			b.Rules()
			b.Snapshot()
			b.Stall(1)
			b.Resume()
			b.Violations()
			if err := b.Seed("RPUSH list a\nLPOP list"); err != nil {
				t.Error(err)
			}
		})
		running.Wait()
	})
}

package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Family is a master and its replicas, which sentinels watch.
type Family struct {
	Name      string    // of the master, for sentinels
	Servers   []*Server // the first was the master when the family was started
	Sentinels []*Server
}

// StartFamily runs a family until the test ends. A master that does not answer for
// half a second is taken for dead. When StartFamily returns all know each other.
func StartFamily(t testing.TB, replicas, sentinels int) *Family {
	t.Helper()
	f := &Family{Name: "family"}
	args := []string{"--repl-diskless-sync-delay", "0"}
	master := Start(t, args...)
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		t.Fatal(err)
	}
	f.Servers = append(f.Servers, master)
	for range replicas {
		f.Servers = append(f.Servers, Start(t, append(args, "--replicaof", host+" "+port)...))
	}
	// A sentinel that came before the replicas would look for them again only after 10 s.
	await(t, master, "INFO replication", func(text string) bool {
		return strings.Count(text, "state=online") == replicas
	}, "info", "replication")
	for range sentinels {
		f.Sentinels = append(f.Sentinels, StartSentinel(t, fmt.Sprintf(`
sentinel monitor %[1]s %[2]s %[3]s %[4]d
sentinel down-after-milliseconds %[1]s 500
sentinel failover-timeout %[1]s 5000
`, f.Name, host, port, sentinels/2+1)))
	}
	for _, s := range f.Sentinels {
		await(t, s, "the sentinels to know all", func(text string) bool {
			return strings.Contains(text, fmt.Sprintf("slaves=%d,sentinels=%d", replicas, sentinels))
		}, "info", "sentinel")
	}
	return f
}

// StartSentinel runs a Sentinel until the test ends. config are further lines of its
// configuration.
func StartSentinel(t testing.TB, config string) *Server {
	t.Helper()
	path, dir := Program(t, "redis-server"), t.TempDir()
	var log strings.Builder
	for range 5 {
		s, err := prepare(path, dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "sentinel.conf") // which the sentinel rewrites
		config := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\n%s", port, dir, config)
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		s.args = []string{file, "--sentinel"}
		if err := s.start(t, &log); err == nil {
			t.Cleanup(s.Stop)
			return s
		}
	}
	t.Fatalf("the sentinel did not start:\n%s", log.String())
	return nil
}

// await asks s until the answer is as it should be.
func await(t testing.TB, s *Server, what string, is func(string) bool, command ...any) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr})
	defer rdb.Close()
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		text, err := rdb.Do(t.Context(), command...).Text()
		if err == nil && is(text) {
			return
		}
		if time.Since(start) > patience {
			t.Fatalf("waited too long for %s: got %s, %v", what, text, err)
		}
	}
}

package broker

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

// ownValues are settings that have values of their own, here or on any server.
var ownValues = strings.Fields("bind dir port unixsocket daemonize pidfile enable-debug-command")

// refusedValues are settings of which the broker refuses values that Redis takes, or that
// would make redis-server useless for the test.
var refusedValues = strings.Fields("bind port tls-port unixsocket appendonly requirepass io-threads " +
	"repl-backlog-size client-output-buffer-limit maxclients oom-score-adj timeout maxmemory client-query-buffer-limit proto-max-bulk-len min-replicas-to-write min-slaves-to-write")

// CONFIG has all settings of redis-server, with the same values, and takes the same ones.
func TestSettingsOfRedis(t *testing.T) {
	server := redistest.Start(t)
	b := newBroker(t, Options{})
	clients := []*redis.Client{
		redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1}),
		redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial, MaxRetries: -1}),
	}
	var values [2]map[string]string
	for i, c := range clients {
		defer c.Close()
		var err error
		if values[i], err = c.ConfigGet(t.Context(), "*").Result(); err != nil {
			t.Fatal(err)
		}
	}
	names := slices.Sorted(maps.Keys(values[0]))
	if got := slices.Sorted(maps.Keys(values[1])); !slices.Equal(got, names) {
		t.Fatalf("settings\n%q, want\n%q", got, names)
	}
	for _, name := range names {
		if values[1][name] != values[0][name] && !slices.Contains(ownValues, name) {
			t.Errorf("%s is %q, want %q", name, values[1][name], values[0][name])
		}
		if slices.Contains(refusedValues, name) {
			continue
		}
		for _, value := range []string{"", "x", "no", "YES", "0", "1", "-1", "7", "99", "100", "1001", "65536", "2147483648", "9223372036854775808", "1.5", "1kb", "2M", "3gb ", "5%", "101%", "-5%", "none",
			"0 1 2", "a b", "1 2 2001", "always", "debug", "Notice", "now FORCE", "default save", "{title}", "{title} {config-file}", "{title} {unixsocket}", "x{title}", "18446744073709551615", "18446744073709551416", "{{x}", "{x}", "{", "a_b", "a.b", strings.Repeat("a", 256), "optional", "clients", "swapdb", "relative", "hostname"} {
			var got [2]string
			for i, c := range clients {
				r, err := c.Do(t.Context(), "CONFIG", "SET", name, value).Result()
				got[i] = fmt.Sprint(r, err, c.ConfigGet(t.Context(), name).Val())
			}
			if got[1] != got[0] && !slices.Contains(ownValues, name) {
				t.Errorf("CONFIG SET %s %q:\n%s, want\n%s", name, value, got[1], got[0])
			}
		}
		for i, c := range clients {
			c.ConfigSet(t.Context(), name, values[i][name]) // fails where it cannot be changed
		}
	}
}

// Where the broker listens is told, and not changed.
func TestSettingsOfListeners(t *testing.T) {
	b := newBroker(t, Options{})
	w := inMemory(t, b)
	w.expect(t, `[port "0"]`, "CONFIG", "GET", "port")
	_, port := hostPort(t, b)
	w.expect(t, fmt.Sprintf("[port %q]", port), "CONFIG", "GET", "port")
	w.expect(t, `[bind "127.0.0.1"]`, "CONFIG", "GET", "bind")
	w.expect(t, "+OK", "CONFIG", "SET", "port", port, "bind", "127.0.0.1")
	w.expect(t, "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.", "CONFIG", "SET", "port", "1")
	w.expect(t, "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses.", "CONFIG", "SET", "bind", "x")
	w.expect(t, "-ERR CONFIG SET failed (possibly related to argument 'tls-port') - Unable to update TLS configuration. Check server logs.", "CONFIG", "SET", "tls-port", "1")
}

// docs/settings.md is made from the tables: -update writes it.
func TestSettingsDoc(t *testing.T) {
	var effective, kept, fixed []string
	isKept := map[string]bool{}
	for _, k := range keptSettings {
		for name := range strings.FieldsSeq(k.names) {
			isKept[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		switch {
		case settings[name].set == nil:
			fixed = append(fixed, name)
		case isKept[name]:
			kept = append(kept, name)
		default:
			effective = append(effective, name)
		}
	}
	var doc strings.Builder
	doc.WriteString("# Settings of the broker\n\nGenerated from the tables in broker/cmd_config.go and broker/cmd_config_kept.go. CONFIG GET and CONFIG SET know all settings of\n" +
		"redis-server 7.0.15, check values as it does, and answer as it does.\n")
	for _, part := range []struct {
		title, text string
		names       []string
	}{
		{"With an effect", "`bind` and `port` tell where the broker listens, and refuse other values. `min-replicas-to-write` makes all writes fail with NOREPLICAS, as there are no replicas.", effective},
		{"Kept, without effect", "They concern a disk, replicas, a cluster or a process, none of which exist here, or Redis's internals.", kept},
		{"Read-only", "", fixed},
	} {
		fmt.Fprintf(&doc, "\n## %s\n\n", part.title)
		if part.text != "" {
			doc.WriteString(part.text + "\n\n")
		}
		for _, name := range part.names {
			fmt.Fprintf(&doc, "- `%s`\n", name)
		}
	}
	const file = "../docs/settings.md"
	if *update {
		if err := os.WriteFile(file, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != doc.String() {
		t.Errorf("%s is not what the tables say: run 'go test ./broker -run TestSettingsDoc -update'", file)
	}
}

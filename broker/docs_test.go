package broker

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

// refused are the commands that the broker has and does not carry out.
var refused = []struct{ names, what, why string }{
	{"cluster asking readonly readwrite", "", "As in a Redis with `cluster-enabled no`: the broker is not a cluster."},
	{"replicaof slaveof", "a host and a port", "The broker does not replicate. NO ONE is accepted."},
	{"sync psync", "", "The broker does not replicate."},
	{"failover", "", "As in a Redis without replicas."},
	{"migrate", "keys that exist", "The broker opens no connections: it answers as if the target could not be reached."},
	{"module|load module|loadex module|unload", "", "As in a Redis with `enable-module-command no`: modules are shared libraries for Redis's process."},
	{"config|rewrite acl|load acl|save", "", "As in a Redis without such files: there is no disk."},
	{"script|debug", "YES or SYNC", "There is no debugger."},
	{"debug", "SEGFAULT, PANIC, OOM, ASSERT, RESTART, CRASH-AND-RECOVER", "The process is that of the test."},
}

// docs/commands.md is made from the table, and refused: -update writes it.
func TestCommandList(t *testing.T) {
	var doc strings.Builder
	doc.WriteString("# Commands of the broker\n\nGenerated from the table in broker/table.go. Any other command is answered as an unknown command, as in Redis.\n")
	shown := func(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "|", " ")) }
	rows := map[string]string{}
	var groups []string // in the order of the table
	for name, c := range table.All() {
		if rows[c.Group] == "" {
			groups = append(groups, c.Group)
		}
		rows[c.Group] += fmt.Sprintf("| %s | %s |\n", shown(name), c.Summary)
	}
	titles := map[string]string{"geo": "Geospatial", "hyperloglog": "HyperLogLog", "pubsub": "Pub/Sub", "sorted-set": "Sorted set"}
	for _, group := range groups {
		title := cmp.Or(titles[group], strings.ToUpper(group[:1])+group[1:])
		fmt.Fprintf(&doc, "\n## %s\n\n| command | what it does |\n|---|---|\n%s", title, rows[group])
	}
	doc.WriteString("\n## Refused\n\nNo command of Redis 7.0 is missing. These exist, and are refused:\n\n| command | why |\n|---|---|\n")
	for _, r := range refused {
		var names []string
		for name := range strings.FieldsSeq(r.names) {
			if table.Named([]byte(name)) == nil {
				t.Errorf("%s is refused, but is no command", name)
			}
			names = append(names, shown(name))
		}
		what := strings.Join(names, ", ")
		if r.what != "" {
			what += " with " + r.what
		}
		fmt.Fprintf(&doc, "| %s | %s |\n", what, r.why)
	}
	const file = "../docs/commands.md"
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
		t.Errorf("%s is not what the table says: run 'go test ./broker -run TestCommandList -update'", file)
	}
}

// The broker has all commands of redis-server, and no others. The README says how many.
func TestNoCommandIsLeftOut(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr, MaxRetries: -1})
	t.Cleanup(func() { rdb.Close() })
	known := map[string]bool{}
	var check func(docs any)
	check = func(docs any) {
		for name, doc := range docs.(map[any]any) {
			name := name.(string)
			known[name] = true
			if subs := doc.(map[any]any)["subcommands"]; subs != nil {
				check(subs)
			}
			if table.Named([]byte(name)) == nil {
				t.Errorf("%s is no command of the broker", name)
			}
		}
	}
	docs, err := rdb.Do(t.Context(), "COMMAND", "DOCS").Result()
	if err != nil {
		t.Fatal(err)
	}
	check(docs)
	for name := range table.All() {
		if !known[name] {
			t.Errorf("%s is no command of redis-server", name)
		}
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	count, err := rdb.Do(t.Context(), "COMMAND", "COUNT").Int()
	if want := fmt.Sprintf("It has all %d commands of Redis 7.0", count); err != nil || count != len(table.Order) || !strings.Contains(string(readme), want) {
		t.Errorf("README.md does not say: %s; the broker has %d (%v)", want, len(table.Order), err)
	}
}

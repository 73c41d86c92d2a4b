package broker

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

// docs/commands.md is made from the table: -update writes it.
func TestCommandList(t *testing.T) {
	var doc strings.Builder
	doc.WriteString("# Commands of the broker\n\nMade from the table in broker/table.go. Anything else is answered like an unknown command of Redis.\n")
	shown := func(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "|", " ")) }
	group := ""
	for name, c := range table.All() {
		if c.Group != group {
			group = c.Group
			fmt.Fprintf(&doc, "\n## %s\n\n| command | |\n|---|---|\n", strings.ToUpper(group[:1])+group[1:])
		}
		fmt.Fprintf(&doc, "| %s | %s |\n", shown(name), c.Summary)
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

// The broker has all commands of redis-server, and no others.
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
}

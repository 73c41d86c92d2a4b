package broker

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

// leftOut says why the broker has not all commands of Redis 7.0. What has become one
// of its own since is not left out any more.
var leftOut = []struct {
	why    string
	groups string // of which it has none, as COMMAND DOCS names them
	names  string // "config|get" is a sub-command
}{
	{"Other types of values will follow.", "stream", ""},
}

// docs/commands.md is made from the table, and leftOut: -update writes it.
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
	doc.WriteString("\n## Left out\n\n| of Redis 7.0 | |\n|---|---|\n")
	for _, o := range leftOut {
		var what []string
		if o.groups != "" {
			what = []string{"all of " + strings.Join(strings.Fields(o.groups), ", ")}
		}
		for name := range strings.FieldsSeq(o.names) {
			if table.Named([]byte(name)) == nil {
				what = append(what, shown(name))
			}
		}
		if len(what) > 0 {
			fmt.Fprintf(&doc, "| %s | %s |\n", strings.Join(what, ", "), o.why)
		}
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

// Each command of redis-server is one of the broker's, or left out.
func TestLeftOut(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr, MaxRetries: -1})
	t.Cleanup(func() { rdb.Close() })
	groups, names := map[string]bool{}, map[string]bool{}
	for _, o := range leftOut {
		for group := range strings.FieldsSeq(o.groups) {
			groups[group] = true
		}
		for name := range strings.FieldsSeq(o.names) {
			names[name] = true
		}
	}
	known := map[string]bool{}
	var check func(docs any)
	check = func(docs any) {
		for name, doc := range docs.(map[any]any) {
			name, doc := name.(string), doc.(map[any]any)
			known[name] = true
			if subs := doc["subcommands"]; subs != nil {
				check(subs)
			}
			if table.Named([]byte(name)) == nil && !names[name] && !groups[doc["group"].(string)] {
				t.Errorf("%s is no command of the broker, and leftOut does not say why", name)
			}
		}
	}
	docs, err := rdb.Do(t.Context(), "COMMAND", "DOCS").Result()
	if err != nil {
		t.Fatal(err)
	}
	check(docs)
	for name := range names {
		if !known[name] {
			t.Errorf("leftOut has %s, which redis-server does not know", name)
		}
	}
	for name, c := range table.All() {
		if groups[c.Group] {
			t.Errorf("leftOut has all of the group %s, but %s is a command", c.Group, name)
		}
		if !known[name] {
			t.Errorf("%s is no command of redis-server", name)
		}
	}
}

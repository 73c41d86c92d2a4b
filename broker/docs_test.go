package broker

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// docs/commands.md is made from the table: -update writes it.
func TestCommandList(t *testing.T) {
	var doc strings.Builder
	doc.WriteString("# Commands of the broker\n\nMade from the table in broker/table.go. Anything else is answered like an unknown command of Redis.\nThe commands of tests, REDRPC.*, are in [testing-from-python.md](testing-from-python.md).\n")
	group := ""
	for name, c := range table.all() {
		if c.group != group {
			group = c.group
			fmt.Fprintf(&doc, "\n## %s\n\n| command | |\n|---|---|\n", strings.ToUpper(group[:1])+group[1:])
		}
		fmt.Fprintf(&doc, "| %s | %s |\n", strings.ToUpper(strings.ReplaceAll(name, "|", " ")), c.summary)
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

// The page for suites in other languages has all test commands.
func TestTestCommandList(t *testing.T) {
	page, err := os.ReadFile("../docs/testing-from-python.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range testRows {
		names := []string{c.name}
		for _, sub := range c.order {
			names = append(names, c.name+" "+sub.name)
		}
		for _, name := range names[min(1, len(names)-1):] {
			if row := "\n| `" + strings.ToUpper(name); !strings.Contains(string(page), row) {
				t.Errorf("%s has no row in its table", strings.ToUpper(name))
			}
		}
	}
}

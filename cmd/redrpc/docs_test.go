package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Each command line of the docs has flags and arguments that there are.
func TestCommandLinesOfTheDocs(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandLines(string(text)) {
			seen++
			if err := parses(line); err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(file), line, err)
			}
		}
	}
	if seen < 10 {
		t.Errorf("expected more command lines, got %d", seen)
	}
}

// commandLines are the lines of code blocks that run the command, up to what the shell
// does with it.
func commandLines(text string) []string {
	var lines []string
	fenced := false
	for line := range strings.Lines(regexp.MustCompile(`\\\n\s*`).ReplaceAllString(text, "")) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if !fenced && !strings.HasPrefix(line, "    ") {
			continue
		}
		line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
		if rest, ok := strings.CutPrefix(line, "go run ./cmd/redrpc"); ok {
			line = "redrpc" + rest
		}
		if strings.HasPrefix(line, "redrpc ") {
			line = strings.NewReplacer("$i", "1", "$AT", "2026-01-31T12:00:00Z").Replace(line)
			lines = append(lines, regexp.MustCompile(`\s+(#|&|>|\||<).*$`).ReplaceAllString(line, ""))
		}
	}
	return lines
}

// parses runs a command line up to where its command would begin.
func parses(line string) error {
	words, err := splitWords(line)
	if err != nil {
		return err
	}
	root := newRoot(func(string) string { return "" })
	var idle func(cmd *cobra.Command)
	idle = func(cmd *cobra.Command) {
		cmd.RunE = func(*cobra.Command, []string) error { return nil }
		for _, c := range cmd.Commands() {
			idle(c)
		}
	}
	idle(root)
	root.SetArgs(words[1:])
	root.SetOut(&bytes.Buffer{})
	root.SetErr(&bytes.Buffer{})
	return root.Execute()
}

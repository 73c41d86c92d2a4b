package main

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"redrpc/broker"
	"redrpc/broker/brokertest"
	"redrpc/rpc"
)

// shortened are flags that make a command of the docs short that measures for seconds.
var shortened = map[string]string{
	"bench":         "--calls 100 --warmup 0s", // in place of -d
	"bench search":  "-d 30ms --warmup 0s --confirm 30ms --start 1000 --max-rate 2000 --slo errors=50% --budget 2s",
	"bench sweep":   "-d 10ms --warmup 0s",
	"bench plan":    "-d 30ms --warmup 0s --check 30ms --simulate 5000",
	"bench compare": "--runs 4 --metrics p50", // and for both sides those of bench
}

// onlyParsed are the commands of the docs that are not run, by how they begin, and why.
var onlyParsed = map[string]string{
	"redrpc bench --redis redis://10.0.0.5 ": "it is one of four generators that start at the same time",
	"redrpc bench merge ":                    "it merges their reports",
}

// otherPrograms are the beginnings of lines that run something else.
var otherPrograms = []string{
	"git clone ", "cd ", "go mod ", "go test ", "go install ", "make ", "pytest ", "python3 ", "node ", "redis-cli ", "redis-server",
	"for i in ", "done", "wait", "AT=",
}

// Each command line of the docs is right, and runs against a broker. A block behind it
// begins each line as the command does.
func TestCommandLinesOfTheDocs(t *testing.T) {
	t.Chdir(t.TempDir())
	b, rdb := brokertest.Start(t, broker.Options{LogSize: 1})
	addr, err := b.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := rpc.Handle(server, "work", func(context.Context, rpc.Args) (any, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- server.Run(context.Background()) }()

	ran, parsed, used := 0, 0, map[string]bool{}
	for page, text := range pages(t) {
		var before result
		for _, block := range blocks(t, page, text) {
			if block.language == "text" && before.stdout != "" {
				prints(t, block, before.stdout)
			}
			before = result{}
			if block.language != "sh" {
				continue
			}
			for _, line := range commandLines(block.text) {
				if !strings.HasPrefix(line, "redrpc ") {
					if !slices.ContainsFunc(otherPrograms, func(p string) bool { return strings.HasPrefix(line+" ", p) }) {
						t.Errorf("%s: %s: expected a command that this test knows", block.where(), line)
					}
					continue
				}
				if err := parses(line); err != nil {
					t.Errorf("%s: %s: %v", block.where(), line, err)
					continue
				}
				if why := reason(line, used); why != "" {
					parsed++
					continue
				}
				before = runs(t, block, line, addr.String())
				ran++
			}
		}
	}
	if err := server.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if ran < 15 || parsed > 6 {
		t.Errorf("expected most command lines to run, got %d that ran and %d that did not", ran, parsed)
	}
	for line := range onlyParsed {
		if !used[line] {
			t.Errorf("no page has %q: expected nothing in onlyParsed that is not needed", line)
		}
	}
}

func reason(line string, used map[string]bool) string {
	for begin, why := range onlyParsed {
		if strings.HasPrefix(line, begin) {
			used[begin] = true
			return why
		}
	}
	return ""
}

// commandLines are the lines of a block, without comments and what the shell does with
// their output.
func commandLines(text string) (lines []string) {
	for line := range strings.Lines(regexp.MustCompile(`\\\n\s*`).ReplaceAllString(text, "")) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "go run ./cmd/redrpc"); ok {
			line = "redrpc" + rest
		}
		if strings.HasPrefix(line, "redrpc ") {
			line = strings.NewReplacer("$i", "1", "$AT", "2026-01-31T12:00:00Z").Replace(line)
			line = regexp.MustCompile(`\s+(#|>|\||<|&).*$`).ReplaceAllString(line, "")
		}
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
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

// runs runs a command line, on a broker where it names a Redis, and for a moment if it
// measures. One that serves is left in the background.
func runs(t *testing.T, in block, line, addr string) result {
	t.Helper()
	line = regexp.MustCompile(`redis://127\.0\.0\.1(:6379)?`).ReplaceAllString(line, "redis://"+addr)
	line = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllStringFunc(line, func(at string) string {
		if at == addr {
			return at
		}
		return "127.0.0.1:0"
	})
	words, err := splitWords(line)
	if err != nil {
		t.Fatal(err)
	}
	words = words[1:]
	env := map[string]string{"REDIS_URL": "redis://" + addr}
	name := words[0]
	switch name {
	case "serve", "broker":
		ready := map[string]string{"serve": "serving", "broker": "redis://"}[name]
		if name == "broker" && !slices.Contains(words, "--addr") {
			words = append(words, "--addr", "127.0.0.1:0")
		}
		b := start(t, env, words...)
		out := map[string]*watched{"serve": &b.stderr, "broker": &b.stdout}[name]
		b.await(t, out, ready)
		t.Cleanup(func() {
			b.stop()
			if code := b.wait(); code != exitOK {
				t.Errorf("%s: %s: exit code %d\n%s", in.where(), line, code, b.stderr.String())
			}
		})
		return result{stdout: out.String()}
	case "top":
		words = append(words, "-n", "1")
	case "bench":
		env = nil // without --redis it brings its own
		if len(words) > 1 && !strings.HasPrefix(words[1], "-") {
			name += " " + words[1]
		}
		shorter := strings.Fields(shortened[name])
		if len(shorter) == 0 {
			t.Fatalf("%s: expected flags in shortened", name)
		}
		if at := slices.Index(words, "-d"); at >= 0 && name == "bench" {
			words = slices.Delete(words, at, at+2)
		}
		if at := slices.Index(words, "--"); at >= 0 {
			words = append(slices.Insert(words, at, shorter...), strings.Fields(shortened["bench"])...)
		} else {
			words = append(words, shorter...)
		}
	}
	r := redrpcIn(t, t.Context(), env, words...)
	busy := words[0] == "bench" && (r.code == exitMissed || r.code == exitInvalid || strings.Contains(r.stderr, "no call ")) // the machine, perhaps
	if r.code != exitOK && !busy {
		t.Errorf("%s: %s: exit code %d\n%s%s", in.where(), line, r.code, r.stdout, r.stderr)
	}
	return r
}

// prints checks that a block that shows what a command prints has its words: each line
// begins, up to two blanks, as one of the output.
func prints(t *testing.T, shown block, stdout string) {
	t.Helper()
	label := func(line string) string {
		label, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
		return label
	}
	var labels []string
	for line := range strings.Lines(stdout) {
		labels = append(labels, label(line))
	}
	for line := range strings.Lines(shown.text) {
		if l := label(line); l != "" && l != "..." && !slices.Contains(labels, l) {
			t.Errorf("%s: no line of the output begins with %q:\n%s", shown.where(), l, stdout)
		}
	}
}

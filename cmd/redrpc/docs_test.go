package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// repository is the root of the module, from wherever a test is.
var repository, _ = filepath.Abs("../..") // which fails only where nothing could be read

// A block is a block of code in a page.
type block struct {
	page     string // path from the root
	line     int    // of its first line
	section  string // the heading above it
	language string
	text     string
}

func (b block) where() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// files returns the paths of the files of the repository, from its root, that end in suffix.
func files(t *testing.T, suffix string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, suffix) {
			paths = append(paths, filepath.ToSlash(strings.TrimPrefix(path, repository+string(filepath.Separator))))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// read returns the text of a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// pages returns the texts of the pages of the docs by their paths.
func pages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for _, path := range files(t, ".md") {
		if !strings.HasPrefix(path, "results/") && !strings.HasPrefix(path, ".github/") {
			pages[path] = read(t, path)
		}
	}
	if len(pages) < 30 {
		t.Fatalf("expected more pages, got %d", len(pages))
	}
	return pages
}

// blocks returns the blocks of a page, and complains of code that is in no fence.
func blocks(t *testing.T, page, text string) (all []block) {
	t.Helper()
	var open *block
	before, section := "", ""
	for i, line := range strings.Split(text, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open != nil:
			all, open = append(all, *open), nil
		case isFence:
			open = &block{page: page, line: i + 2, section: section, language: fence}
		case open != nil:
			open.text += line + "\n"
		case strings.HasPrefix(line, "#"):
			section = strings.TrimLeft(line, "# ")
		case strings.HasPrefix(line, "    ") && before == "":
			t.Errorf("%s:%d: expected code between ``` and ```", page, i+1)
		}
		before = line
	}
	if open != nil {
		t.Errorf("%s: the block is not closed", open.where())
	}
	return all
}

// Each block of code in the docs is run by a test, which this one finds.
func TestBlocksOfTheDocs(t *testing.T) {
	guide := read(t, "broker/systems/guide_test.go")
	inGo := goTexts(t)
	seen := map[string]int{}
	for page, text := range pages(t) {
		for _, b := range blocks(t, page, text) {
			seen[b.language]++
			switch b.language {
			case "sh", "text": // TestCommandLinesOfTheDocs runs the one, and prints the other
			case "go":
				if !inGo(b.text) {
					t.Errorf("%s: expected code that stands in a test or an example:\n%s", b.where(), b.text)
				}
			case "json":
				for line := range strings.Lines(b.text) { // TestMessagesOfTheDocs in rpc sends the messages
					if !json.Valid([]byte(line)) {
						t.Errorf("%s: expected JSON, got %s", b.where(), line)
					}
				}
			case "yaml":
				var document map[string]any
				if err := yaml.Unmarshal([]byte(b.text), &document); err != nil {
					t.Errorf("%s: %v", b.where(), err)
				}
				for _, line := range regexp.MustCompile(`redrpc [a-z]+ [^]]*`).FindAllString(fmt.Sprint(document), -1) {
					line = strings.NewReplacer("$JOB_COMPLETION_INDEX", "1", "$START_AT", "2026-01-31T12:00:00Z").Replace(line)
					if err := parses(line); err != nil {
						t.Errorf("%s: %s: %v", b.where(), line, err)
					}
				}
			case "python", "js", "ruby": // TestPythonSuite here, TestGuide there
				if page != "docs/testing-from-python.md" && !strings.Contains(guide, fmt.Sprintf("{%q, %q,", b.section, b.language)) {
					t.Errorf("%s: TestGuide in broker/systems does not run it", b.where())
				}
			default:
				t.Errorf("%s: expected a language that a test runs, got %q", b.where(), b.language)
			}
		}
	}
	if seen["go"] < 10 || seen["sh"] < 10 || seen["json"] < 2 || seen["yaml"] < 1 {
		t.Errorf("expected more blocks, got %v", seen)
	}
}

// goTexts returns a function that reports whether code stands in a Go file that is compiled
// and run: indented otherwise, with a broker in place of a Redis, with time for a busy machine,
// and with a test that an example calls in place of a test of its own.
func goTexts(t *testing.T) func(string) bool {
	plain := func(code string) string {
		code = strings.NewReplacer(
			`Addr: "127.0.0.1:6379"}`, `Addr: "127.0.0.1:0", Dialer: b.Dial}`,
			"func Test", "func test",
			"rpc.ClientOptions{Timeout: time.Minute}", "rpc.ClientOptions{}",
		).Replace(code)
		plain := strings.Builder{}
		for line := range strings.Lines("\n" + strings.TrimSpace(code) + "\n") {
			plain.WriteString(strings.TrimLeft(line, " \t"))
		}
		return plain.String()
	}
	var texts []string
	for _, path := range files(t, ".go") {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "examples/") {
			texts = append(texts, plain(read(t, path)))
		}
	}
	return func(code string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, plain(code)) })
	}
}

// What the docs name in `code` exists: flags and sub-commands of redrpc, targets of make, and
// what packages export.
func TestNamesInTheDocs(t *testing.T) {
	known := map[string]bool{"--help": true, "--version": true}
	root := newRoot(func(string) string { return "" })
	var collect func(*cobra.Command)
	collect = func(cmd *cobra.Command) {
		known[cmd.CommandPath()] = true
		for _, word := range strings.Fields(cmd.UsageString()) {
			known[strings.TrimRight(word, ",")] = true
		}
		for _, c := range cmd.Commands() {
			collect(c)
		}
	}
	checkOwnArgs(root)
	collect(root)
	for _, target := range regexp.MustCompile(`(?m)^([a-z -]+):`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		for name := range strings.FieldsSeq(target[1]) {
			known["make "+name] = true
		}
	}
	flag := regexp.MustCompile(`^--[a-z][a-z-]*`)
	exported := regexp.MustCompile(`\b(rpc|rpcprom|rpcotel|broker|brokertest|bench|report|capacity)\.([A-Z]\w*)`)
	sources := map[string]string{}
	for _, path := range files(t, ".go") {
		if !strings.HasSuffix(path, "_test.go") {
			sources[filepath.Base(filepath.Dir(path))] += read(t, path)
		}
	}
	for page, text := range pages(t) {
		if page == "CHANGELOG.md" || strings.HasPrefix(page, "docs/decisions/") {
			continue // they tell of names that are gone
		}
		text = outsideBlocks(text)
		for _, code := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(text, -1) {
			for _, name := range exported.FindAllStringSubmatch(code[1], -1) {
				if !regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type |var |const |\t)` + name[2] + `\b`).MatchString(sources[name[1]]) {
					t.Errorf("%s: `%s`: package %s has no %s", page, code[1], name[1], name[2])
				}
			}
			words := strings.Fields(code[1])
			for i, word := range words {
				switch name := flag.FindString(word); {
				case name != "" && !known[name]:
					t.Errorf("%s: `%s`: there is no flag %s", page, code[1], name)
				case i == 1 && words[0] == "make" && !known["make "+word]:
					t.Errorf("%s: `%s`: there is no such target", page, code[1])
				case i == 1 && words[0] == "redrpc" && name == "" && word != "COMMAND" && !known["redrpc "+word]:
					t.Errorf("%s: `%s`: there is no such command", page, code[1])
				}
			}
		}
	}
}

// outsideBlocks returns a page without its blocks of code.
func outsideBlocks(text string) string {
	return regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(text, "")
}

// The links between the docs lead to files and headings that there are.
func TestLinksOfTheDocs(t *testing.T) {
	all, seen := pages(t), 0
	for page, text := range all {
		text = outsideBlocks(text)
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			seen++
			path, heading, _ := strings.Cut(link[1], "#")
			target := page
			if path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(page), path))
			}
			if _, err := os.Stat(filepath.Join(repository, target)); err != nil {
				t.Errorf("%s: %s: %v", page, link[1], err)
			} else if heading != "" && !slices.Contains(anchors(all[target]), heading) {
				t.Errorf("%s: %s: there is no such heading", page, link[1])
			}
		}
	}
	if seen < 50 {
		t.Errorf("expected more links, got %d", seen)
	}
	for page := range all {
		if name, isDoc := strings.CutPrefix(page, "docs/"); isDoc && !strings.Contains(all[filepath.ToSlash(filepath.Dir(page))+"/README.md"], "("+filepath.Base(name)+")") && filepath.Base(page) != "README.md" {
			t.Errorf("%s: the README.md beside it has no link to it", page)
		}
	}
}

// anchors returns what the headings of a page are linked by.
func anchors(text string) (all []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		plain := regexp.MustCompile("[^a-z0-9 _-]").ReplaceAllString(strings.ToLower(heading[1]), "")
		all = append(all, strings.ReplaceAll(plain, " ", "-"))
	}
	return all
}

// The page on troubleshooting has all errors and types of failures that packages export, all
// that rpc logs, and all checks of a run.
func TestTroubleshooting(t *testing.T) {
	page, seen := read(t, "docs/troubleshooting.md"), 0
	has := func(path, text string) {
		seen++
		if !strings.Contains(page, "`"+text) {
			t.Errorf("%s: expected %q in docs/troubleshooting.md, behind a `", path, text)
		}
	}
	for _, path := range files(t, ".go") {
		if strings.HasSuffix(path, "_test.go") || strings.Contains(path, "internal/") || !regexp.MustCompile("^(rpc|broker|bench)/").MatchString(path) {
			continue
		}
		text := read(t, path)
		for pattern, format := range map[string]string{
			`(?m)^(?:var |\t)(Err[A-Z]\w*) += `:                              filepath.Base(filepath.Dir(path)) + ".%s",
			`(?m)^\tType[A-Z]\w+ += "(\w+)"`:                                 "%s",
			`(?:Info|Warn|Error)\("(rpc: [^"]+[^" ])"`:                       "%s",
			`summary\{text: "([^"]+)"`:                                       "rpc: %s",
			`\bCheck\{"(\w+)"`:                                               "%s",
			`panic\("(broker: [^"]*?)(?:[:,][^"]*)?"`:                        "%s",
			`errors\.New\("(broker: the broker was made [^"]*?)(?::[^"]*)?"`: "%s",
		} {
			for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
				has(path, fmt.Sprintf(format, found[1]))
			}
		}
	}
	if seen < 40 {
		t.Errorf("expected more, got %d", seen)
	}
}

// The files and functions that docs/architecture.md names are there.
func TestNamesInArchitecture(t *testing.T) {
	page, seen := read(t, "docs/architecture.md"), 0
	sources := map[string]string{}
	for _, path := range files(t, ".go") {
		sources[path] = read(t, path)
	}
	for _, cited := range regexp.MustCompile("`([a-z/_]+\\.go)`(?: \\(([^()]*)\\))?").FindAllStringSubmatch(page, -1) {
		seen++
		var text string
		for path, source := range sources {
			if path == cited[1] || strings.HasSuffix(path, "/"+cited[1]) {
				text += source
			}
		}
		if text == "" {
			t.Errorf("there is no %s", cited[1])
			continue
		}
		for _, name := range regexp.MustCompile("`(?:\\w+\\.)?(\\w+)`").FindAllStringSubmatch(cited[2], -1) {
			if !regexp.MustCompile(`\b` + name[1] + `\b`).MatchString(text) {
				t.Errorf("%s has no %s", cited[1], name[1])
			}
		}
	}
	if seen < 50 {
		t.Errorf("expected more files, got %d", seen)
	}
}

// The changelog has the version of the command, and the tests that it names are there.
func TestChangelog(t *testing.T) {
	if !strings.Contains(read(t, "CHANGELOG.md"), "\n## "+release+" - ") {
		t.Errorf("CHANGELOG.md has no heading for %s", release)
	}
	var all strings.Builder
	for _, path := range files(t, "_test.go") {
		all.WriteString(read(t, path))
	}
	tests := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(read(t, "CHANGELOG.md"), -1)
	if len(tests) < 20 {
		t.Errorf("expected more tests, got %d", len(tests))
	}
	for _, test := range tests {
		if !strings.Contains(all.String(), "\nfunc "+test[1]+"(") {
			t.Errorf("there is no %s", test[1])
		}
	}
}

// The comparison in the README has the dates and the figures of results.
func TestFiguresOfTheREADME(t *testing.T) {
	readme := read(t, "README.md")
	for _, f := range []struct{ page, pattern, format string }{
		{"results/rpc.md", `, on (20\d\d-\d\d-\d\d)`, "(results/rpc.md) (%s)"},
		{"results/broker.md", `, on (20\d\d-\d\d-\d\d)`, "(results/broker.md) (%s)"},
		{"results/bench.md", `, on (20\d\d-\d\d-\d\d)`, "(results/bench.md) (%s)"},
		{"results/rpc.md", `(?s)### 64 callers\n.*?\| redrpc \| [\d,]+ \| ([\d.]+)`, "%s times the calls/s at 64 callers, on 2 connections"},
		{"results/rpc.md", `calls/s, 64 callers: times NATS \| ([\d.]+)`, "%s times the calls/s at 64 callers"},
		{"results/rpc.md", `calls/s, 1,000 callers: times NATS \| ([\d.]+)`, "1,000 callers (redrpc: %s times)"},
		{"results/rpc.md", `calls/s, 10,000 callers: times NATS \| ([\d.]+)`, "10,000 (%s times)"},
		{"results/rpc.md", `(?s)processors kept awake\n.*?\| original \|(?:[^|]+\|){3} (\d+)`, "single caller: %s us"},
		{"results/rpc.md", `(?s)processors kept awake\n.*?\| redrpc \|(?:[^|]+\|){3} (\d+)`, "(redrpc: %s us)"},
		{"results/rpc.md", `(?s)processors kept awake\n.*?\| NATS \|(?:[^|]+\|){3} (\d+)`, "%s us for a single caller"},
		{"results/bench.md", `redrpc in memory, 10,000/s, spin auto \| ([\d.]+)`, "sent %s us late (median)"},
		{"results/broker.md", `ms from New to the first PONG, in memory \| ([\d.]+)`, "starts in %s ms"},
	} {
		found := regexp.MustCompile(f.pattern).FindStringSubmatch(read(t, f.page))
		if found == nil {
			t.Errorf("%s has nothing that matches %s", f.page, f.pattern)
		} else if want := fmt.Sprintf(f.format, found[1]); !strings.Contains(strings.ReplaceAll(readme, "\n", " "), want) {
			t.Errorf("README.md: expected %q, as in %s", want, f.page)
		}
	}
}

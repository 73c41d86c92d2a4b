//go:build unix

package systems

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"redrpc/internal/redistest"
)

// guide returns the code in a section of docs/testing-your-queue.md.
func guide(t *testing.T, section, language string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/testing-your-queue.md")
	ok(t, err)
	_, rest, found := strings.Cut(string(page), "\n## "+section+"\n")
	rest, _, _ = strings.Cut(rest, "\n## ")
	_, code, begun := strings.Cut(rest, "```"+language+"\n")
	code, _, closed := strings.Cut(code, "```\n")
	if !found || !begun || !closed {
		t.Fatalf("the page has no %s code in the section %s", language, section)
	}
	return code
}

// TestReminder is the code of the page.
func TestGuideAsynq(t *testing.T) {
	test, err := os.ReadFile("guide_asynq_test.go")
	ok(t, err)
	equal(t, "the file", string(test), "package systems\n\n"+guide(t, "asynq", "go"))
}

// TestGuide saves the code of each other section as a file and runs it, with the command
// redrpc in its path.
func TestGuide(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "./cmd/redrpc")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	modules, err := filepath.Abs("testdata/node/node_modules")
	ok(t, err)
	env := []string{"PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH"), "NODE_PATH=" + modules}
	for _, g := range []struct {
		section, language, file string
		command                 func(*testing.T) []string
	}{
		{"BullMQ", "js", "reminder.test.js", func(t *testing.T) []string { return []string{node(t), "reminder.test.js"} }},
		{"Celery", "python", "test_reminder.py", func(t *testing.T) []string {
			return []string{redistest.Python(t, "celery"), "-m", "unittest", "test_reminder"}
		}},
		{"RQ", "python", "test_reminder.py", func(t *testing.T) []string {
			return []string{redistest.Python(t, "rq"), "-m", "unittest", "test_reminder"}
		}},
		{"Sidekiq", "ruby", "reminder_test.rb", func(t *testing.T) []string { return []string{ruby(t), "reminder_test.rb"} }},
	} {
		t.Run(g.section, func(t *testing.T) {
			t.Parallel()
			command, dir := g.command(t), t.TempDir()
			ok(t, os.WriteFile(filepath.Join(dir, g.file), []byte(guide(t, g.section, g.language)), 0o600))
			start(t, dir, env, command[0], command[1:]...).ends(t, g.file)
		})
	}
}

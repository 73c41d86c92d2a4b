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

// runGuide saves the code of a section as a file and runs it, with the command redrpc in
// its path.
func runGuide(t *testing.T, section, language, file, name string, args ...string) {
	t.Helper()
	dir := t.TempDir()
	ok(t, os.WriteFile(filepath.Join(dir, file), []byte(guide(t, section, language)), 0o600))
	build := exec.Command("go", "build", "-o", dir, "./cmd/redrpc")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	modules, err := filepath.Abs("testdata/node/node_modules")
	ok(t, err)
	cmd := exec.CommandContext(bounded(t), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+dir+string(filepath.ListSeparator)+os.Getenv("PATH"),
		"NODE_PATH="+modules, "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestReminder is the code of the page.
func TestGuideAsynq(t *testing.T) {
	test, err := os.ReadFile("guide_asynq_test.go")
	ok(t, err)
	equal(t, "the file", string(test), "package systems\n\n"+guide(t, "asynq", "go"))
}

func TestGuideBullMQ(t *testing.T) {
	t.Parallel()
	runGuide(t, "BullMQ", "js", "reminder.test.js", node(t), "reminder.test.js")
}

func TestGuideCelery(t *testing.T) {
	t.Parallel()
	runGuide(t, "Celery", "python", "test_reminder.py", redistest.Python(t, "celery"), "-m", "unittest", "test_reminder")
}

func TestGuideRQ(t *testing.T) {
	t.Parallel()
	runGuide(t, "RQ", "python", "test_reminder.py", redistest.Python(t, "rq"), "-m", "unittest", "test_reminder")
}

func TestGuideSidekiq(t *testing.T) {
	t.Parallel()
	runGuide(t, "Sidekiq", "ruby", "reminder_test.rb", ruby(t), "reminder_test.rb")
}

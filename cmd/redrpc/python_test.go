//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"redrpc/internal/redistest"
)

// The test suite in docs/testing-from-python.md passes as it stands there.
func TestPythonSuite(t *testing.T) {
	python := redistest.Python(t, "redis")
	doc, err := os.ReadFile("../../docs/testing-from-python.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(doc), "```python\n")
	suite, _, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		t.Fatal("the page has no Python code")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "test_queue.py")
	if err := os.WriteFile(file, []byte(suite), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "redrpc")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-W", "error", file)
	cmd.Env = append(os.Environ(), "PATH="+dir+string(filepath.ListSeparator)+os.Getenv("PATH"), asCommand+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nOK\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// version1 is the path of a report of schema 1.
func version1(name string) string {
	return filepath.Join("..", "..", "bench", "report", "testdata", "version1", name+".json")
}

// Whatever reads reports reads those of schema 1, with the exit code of what was measured.
func TestBenchReadsVersion1(t *testing.T) {
	for name, code := range map[string]int{
		"closed": exitOK, "open": exitInvalid, "command": exitOK, "merged": exitInvalid, "sweep": exitOK, "search": exitInvalid,
		"plan": exitOK, "plan-check": exitInvalid, "comparison": exitOK,
	} {
		if r := redrpc(t, "bench", "report", version1(name)); r.code != code || r.stdout == "" {
			t.Errorf("report %s: exit code %d, expected %d\n%s", name, r.code, code, r.stderr)
		}
	}
	redrpc(t, "bench", "report", version1("closed"), "--slo", "p99=1us").want(t, exitMissed, "the SLO p99=1µs was missed")
	r := redrpc(t, "bench", "merge", version1("instance-0"), version1("instance-1"), "-o", "json")
	r.want(t, exitInvalid, "the generator was late")
	if !strings.Contains(r.stdout, `"calls": 200,`) || !strings.Contains(r.stdout, `"schema": 2`) {
		t.Errorf("merged: %.500s", r.stdout)
	}
	redrpc(t, "bench", "plan", "--from", version1("closed"), "--rate", "100", "--slo", "p99=1s", "--simulate", "20000").want(t, exitOK)

	text, err := os.ReadFile(version1("closed"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i := range 8 {
		run := strings.Replace(string(text), `"started_at": "2026-`, fmt.Sprintf(`"started_at": "20%d-`, 27+i), 1)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%c%d.json", "ab"[i%2], i)), []byte(run), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r = redrpc(t, "bench", "compare", filepath.Join(dir, "a*"), filepath.Join(dir, "b*"), "--metrics", "p99")
	r.want(t, exitOK)
	if !strings.Contains(r.stdout, "4 and 4 interleaved runs") {
		t.Errorf("compared: %s", r.stdout)
	}
	newer := filepath.Join(dir, "newer.json")
	if err := os.WriteFile(newer, []byte(strings.Replace(string(text), `"schema": 1`, `"schema": 3`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	redrpc(t, "bench", "report", newer).want(t, exitFailed, "expected schema 2 or older, got 3: a newer version of redrpc wrote it")
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCountCovered(t *testing.T) {
	functions, files := countCovered(`redrpc/results/peers/onecall/main.go:20:	main		60.0%
redrpc/rpc/client.go:130:			NewClient	80.0%
redrpc/rpc/client.go:160:			Call		100.0%
redrpc/rpc/cluster.go:20:			options		0.0%
redrpc/rpc/internal/wire/wire.go:40:		Append		2.1%
total:						(statements)	40.0%
`)
	if functions != 3 || files != 2 {
		t.Errorf("expected 3 functions in 2 files, got %d in %d", functions, files)
	}
}

func TestCountLines(t *testing.T) {
	root := t.TempDir()
	for path, lines := range map[string]int{"a.go": 3, "a_test.go": 10, "in/b.go": 4, "in/b.txt": 10, "prom/c.go": 10} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat("\n", lines)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := countLines(root, "prom")
	if err != nil || lines != 7 {
		t.Errorf("expected 7 lines, got %d, %v", lines, err)
	}
}

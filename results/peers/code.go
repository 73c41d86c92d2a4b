package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// codeSize is how much code package rpc is.
type codeSize struct {
	Lines     int `json:"lines"`     // without tests, and without rpcprom and rpcotel
	Functions int `json:"functions"` // that one call runs through, set-up and tear-down included
	Files     int `json:"files"`     // that these stand in
}

// measureCode counts lines, and makes one call through the Redis at addr by a program that
// is built for coverage. dir is for its files.
func measureCode(addr, dir string) (c codeSize, err error) {
	if c.Lines, err = countLines(filepath.Join("..", "..", "rpc"), "rpcprom", "rpcotel"); err != nil {
		return c, err
	}
	program, counters, profile := filepath.Join(dir, "onecall"), filepath.Join(dir, "counters"), filepath.Join(dir, "profile")
	if err := os.Mkdir(counters, 0o755); err != nil {
		return c, err
	}
	var functions []byte
	for _, args := range [][]string{
		{"go", "build", "-cover", "-coverpkg=./onecall,redrpc/rpc,redrpc/rpc/internal/...", "-o", program, "./onecall"},
		{program, addr},
		{"go", "tool", "covdata", "textfmt", "-i=" + counters, "-o=" + profile},
		{"go", "tool", "cover", "-func=" + profile},
	} {
		step := exec.Command(args[0], args[1:]...)
		step.Env = append(os.Environ(), "GOCOVERDIR="+counters)
		var stderr bytes.Buffer
		step.Stderr = &stderr
		if functions, err = step.Output(); err != nil {
			return c, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
		}
	}
	c.Functions, c.Files = countCovered(string(functions))
	return c, nil
}

// countLines counts the lines of the Go files without tests in a tree, but for some
// directories.
func countLines(root string, but ...string) (lines int, err error) {
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		for _, name := range but {
			if entry.IsDir() && entry.Name() == name {
				return fs.SkipDir
			}
		}
		if entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		lines += bytes.Count(text, []byte("\n"))
		return err
	})
	return lines, err
}

// countCovered counts the functions of package rpc that ran, and their files, in what
// go tool cover -func prints: a line for each function, FILE:LINE: NAME PERCENT%, and a
// total. Those of the program are there, too, as it writes no counters otherwise.
func countCovered(text string) (functions, files int) {
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 3 || !strings.HasPrefix(fields[0], "redrpc/rpc/") || fields[2] == "0.0%" {
			continue
		}
		file, _, _ := strings.Cut(fields[0], ":")
		seen[file] = true
		functions++
	}
	return functions, len(seen)
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"redrpc/internal/redistest"
)

// No form of a report, and no error, has a password that came with a URL or in a command.
// (redrpcIn checks what is printed.)
func TestPasswordsOfCommands(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", "secret")
	url := "redis://:secret@" + server.Addr
	dir := t.TempDir()
	for _, command := range []string{"CONFIG SET requirepass secret", "ACL SETUSER u on >secret ~* +@all", "SET k:__key__ __data__"} {
		for _, form := range []string{"json", "html", "csv", "text"} {
			file := filepath.Join(dir, form)
			redrpc(t, "bench", "--redis", url, "--allow-dangerous", "--command", command, "--calls", "20", "-c", "1", "--warmup", "0s", "--output", form, "--out", file)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "secret") {
				t.Errorf("%s: a password is in the report as %s", command, form)
			}
		}
	}
	for command, want := range map[string]string{
		"AUTH secret":                           `command "AUTH ***": `,
		"HELLO 3 AUTH default secret":           `command "HELLO 3 AUTH ***": `,
		"CONFIG SET requirepass secret":         `command "CONFIG SET requirepass ***": `, // without --allow-dangerous
		"MIGRATE h 1 k 0 10 AUTH secret KEYS k": `command "MIGRATE h 1 k 0 10 AUTH ***": `,
	} {
		redrpc(t, "bench", "--redis", url, "--command", command, "--calls", "20").want(t, exitFailed, want)
	}
}

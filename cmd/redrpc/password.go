package main

import (
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// passwordFlag is where the password of a server comes from: never from an argument,
// which every user of the machine can see.
type passwordFlag struct {
	file   string
	given  func(flag string) bool
	getenv func(string) string
}

func (f *passwordFlag) register(flags *pflag.FlagSet, getenv func(string) string) {
	f.given, f.getenv = flags.Changed, getenv
	flags.Var(name(&f.file, "FILE"), "password-file", "file with the password that clients must give (default $REDRPC_PASSWORD, else none)")
}

// read returns the password, or "" if there is none. An end of the line at the end
// of the file is not part of it.
func (f *passwordFlag) read() (string, error) {
	if !f.given("password-file") {
		return f.getenv("REDRPC_PASSWORD"), nil
	}
	text, err := os.ReadFile(f.file)
	if err != nil {
		return "", usagef("--password-file: expected a file with a password: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if password == "" || strings.Contains(password, "\n") {
		return "", usagef("--password-file: expected one line with a password in %s", f.file)
	}
	return password, nil
}

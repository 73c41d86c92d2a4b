package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
)

// Where the system allows less than we put into the environment, what does not fit is on
// stdin only. Linux allows a quarter of the stack, but at least 128 kB.
func TestArgumentsInASmallEnvironment(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_STACK, &before); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_STACK, &before); err != nil {
			t.Fatal(err)
		}
	})
	if err := syscall.Setrlimit(syscall.RLIMIT_STACK, &syscall.Rlimit{Cur: 512 << 10, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LARGE", strings.Repeat("x", 80<<10))
	args, err := json.Marshal(map[string]string{"a": strings.Repeat("x", 30<<10), "b": strings.Repeat("x", 30<<10)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := execute(t.Context(), t, `sh -c 'echo "${#ARG_a}, $ARGS_OMITTED omitted"; wc -c'`, string(args))
	if want, _ := resultOf([]byte("0, 2 omitted\n61455\n")); err != nil || got != string(want) {
		t.Errorf("got %s, %v, expected %s", got, err, want)
	}
}

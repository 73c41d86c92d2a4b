package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"redrpc/rpc"
)

// A program is a function that is a program.
type program struct {
	name string
	argv []string
}

// programFlags takes a program each time it is given.
type programFlags []program

func (f *programFlags) String() string { return "" }
func (f *programFlags) Type() string   { return "NAME=PROGRAM" }

func (f *programFlags) Set(s string) error {
	name, command, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return errors.New("expected the name of a function and a program, such as upper='tr a-z A-Z'")
	}
	if slices.ContainsFunc(*f, func(p program) bool { return p.name == name }) {
		return fmt.Errorf("expected each function once, got %s again", shown(name))
	}
	argv, err := splitWords(command)
	if err != nil {
		return err
	}
	if len(argv) == 0 {
		return errors.New("expected a program after the name of the function")
	}
	if argv[0], err = exec.LookPath(argv[0]); err != nil {
		return fmt.Errorf("expected a program that can be run: %w", err)
	}
	*f = append(*f, program{name, argv})
	return nil
}

const execHelp = `With --exec, functions are programs, and those above are not served. A program is run
for each call, without a shell: NAME=PROGRAM is split into words at blanks, which
'...', "..." and \ keep together as in a shell, and nothing is expanded. It gets the
arguments as a JSON object on stdin, and those that are text, numbers, true or false
also as ARG_name in its environment, if the name has only letters, digits and _ and
the value is no longer than 32 kB. What it writes to stdout is the result: any JSON,
or else text, without the line breaks at its end; up to 16 MB. If it exits with another
code than 0 the call fails with what it wrote to stderr, the last 8 kB of it. If the
call's time is over, or that of serve, it is killed with its process group, also by a
second signal to serve, or the end of its terminal.`

const (
	mostOutput    = 16 << 20
	mostStderr    = 8 << 10
	mostArgument  = 32 << 10
	argPrefix     = "ARG_"
	pipesPatience = time.Second // for what a program leaves behind with its output open
)

// offerPrograms makes programs known to server. While they run they are in now.
func offerPrograms(server *rpc.Server, programs []program, now *running, log *slog.Logger) error {
	for _, p := range programs {
		err := rpc.Handle(server, p.name, func(ctx context.Context, args json.RawMessage) (json.RawMessage, error) {
			return p.run(ctx, args, now, log)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var errTooMuchOutput = fmt.Errorf("the program wrote more than %d bytes to stdout", mostOutput)

// run runs the program once.
func (p program) run(ctx context.Context, args json.RawMessage, now *running, log *slog.Logger) (json.RawMessage, error) {
	env, err := environment(os.Environ(), args)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stdout, stderr := capped{full: func() { stop(errTooMuchOutput) }}, tail{}
	cmd := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, bytes.NewReader(args), &stdout, &stderr
	cmd.WaitDelay = pipesPatience
	inOwnGroup(cmd)
	err = now.run(cmd)
	if errors.Is(err, exec.ErrWaitDelay) || ctx.Err() != nil {
		killGroup(cmd)
	}
	said := strings.TrimRight(strings.ToValidUTF8(stderr.String(), "\uFFFD"), "\n")
	switch {
	case ctx.Err() != nil && context.Cause(ctx) == errTooMuchOutput:
		return nil, errTooMuchOutput
	case ctx.Err() != nil && err != nil:
		return nil, interrupted(ctx)
	case errors.Is(err, exec.ErrWaitDelay):
		return nil, errors.New("the program ended, but something that it started still holds its output open")
	case errors.As(err, new(*exec.ExitError)) && said != "":
		return nil, rpc.WithType("exit", errors.New(said))
	case err != nil:
		return nil, rpc.WithType("exit", err)
	}
	if said != "" {
		log.Info("a program wrote to stderr", "func", p.name, "text", said)
	}
	return resultOf(stdout.kept)
}

// resultOf makes a result of what a program wrote.
func resultOf(out []byte) (json.RawMessage, error) {
	if json.Valid(out) {
		return out, nil
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(strings.TrimRight(string(out), "\n"))
	return text.Bytes(), err
}

// environment adds the simple ones of args to env, whose own variables of such
// names are left out.
func environment(env []string, args json.RawMessage) ([]string, error) {
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, argPrefix) })
	var values map[string]json.RawMessage
	if err := json.Unmarshal(args, &values); err != nil {
		return nil, err
	}
	for name, raw := range values {
		text := string(raw)
		switch raw[0] {
		case '{', '[', 'n':
			continue
		case '"':
			if err := json.Unmarshal(raw, &text); err != nil {
				return nil, err
			}
		}
		if isVariable(name) && len(text) <= mostArgument && !strings.Contains(text, "\x00") {
			env = append(env, argPrefix+name+"="+text)
		}
	}
	return env, nil
}

// isVariable says whether a shell takes ARG_name for the name of a variable.
func isVariable(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// A capped takes no more than mostOutput bytes, and calls full if there are more.
type capped struct {
	kept []byte
	full func()
}

func (c *capped) Write(p []byte) (int, error) {
	if len(c.kept)+len(p) > mostOutput {
		c.full()
		return 0, errTooMuchOutput
	}
	c.kept = append(c.kept, p...)
	return len(p), nil
}

// A tail keeps the last mostStderr bytes.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-mostStderr):]...)
	if more := len(t.kept) - mostStderr; more > 0 {
		t.kept = t.kept[:copy(t.kept, t.kept[more:])]
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.kept) }

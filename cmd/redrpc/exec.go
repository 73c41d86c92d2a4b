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
	"syscall"
	"time"
	"unicode/utf8"

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
	if !utf8.ValidString(name) {
		return errors.New("expected the name of a function in UTF-8")
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
for each call, without a shell: NAME=PROGRAM is split into words at blanks that are
not quoted with '...', "..." or \ as in a shell, and nothing is expanded.

Arguments: all are on stdin, as a JSON object. Text, numbers, true and false are also in
the environment, as ARG_name, if the name has only letters, digits and _ and the value
is no longer than 32 kB. If these take more than 64 kB together, or more than the system
allows, none of them is in the environment. ARGS_OMITTED is the number of arguments that are only on stdin.
REDIS_URL and REDRPC_* are not passed on, as they may hold passwords.

Result: what the program writes to stdout, up to 16 MB: any JSON, or else text, without
the line breaks at its end. If the exit code is not 0 the call fails with the last
8 kB of what the program wrote to stderr.

Timeout: after --exec-timeout, or when the deadline of the caller or the --shutdown-timeout
is over, the process group of the program gets SIGTERM, and SIGKILL 5 s later. A second
signal to serve, or the end of its terminal, kills it at once.`

const (
	mostOutput    = 16 << 20
	mostStderr    = 8 << 10
	mostVariable  = 32 << 10 // of the value of one; Linux takes 128 kB with its name
	mostVariables = 64 << 10 // of all together; Linux takes 2 MB with what else there is, or less by ulimit -s
	argPrefix     = "ARG_"
	argsOmitted   = "ARGS_OMITTED"

	endGrace = 5 * time.Second
)

// A runner runs programs.
type runner struct {
	timeout time.Duration // longest that one runs; 0 is no limit
	grace   time.Duration // from SIGTERM to SIGKILL, and for output that is open when the program has ended
	log     *slog.Logger
	running
}

// offer makes programs known to server.
func (r *runner) offer(server *rpc.Server, programs []program) error {
	for _, p := range programs {
		err := rpc.Handle(server, p.name, func(ctx context.Context, args json.RawMessage) (json.RawMessage, error) {
			return r.call(ctx, p, args)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var (
	errTooMuchOutput = fmt.Errorf("the program wrote more than %d bytes to stdout", mostOutput)
	errTooLong       = errors.New("the program runs for too long")
)

// call runs a program once.
func (r *runner) call(ctx context.Context, p program, args json.RawMessage) (json.RawMessage, error) {
	variables, others, err := variablesOf(args)
	if err != nil {
		return nil, err
	}
	if r.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.timeout, errTooLong)
		defer cancel()
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stdout, stderr := capped{full: func() { stop(errTooMuchOutput) }}, tail{}
	start := func(variables []string, omitted int) error {
		cmd := exec.Command(p.argv[0], p.argv[1:]...) // #nosec G204 -- the words of --exec; callers decide none of them
		cmd.Env = append(inherited(os.Environ()), fmt.Sprintf("%s=%d", argsOmitted, omitted))
		cmd.Env = append(cmd.Env, variables...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(args), &stdout, &stderr
		cmd.WaitDelay = r.grace
		inOwnGroup(cmd)
		return r.run(ctx, cmd, r.grace)
	}
	err = start(variables, others)
	if errors.Is(err, syscall.E2BIG) && len(variables) > 0 {
		err = start(nil, len(variables)+others)
	}
	said := strings.TrimRight(strings.ToValidUTF8(stderr.String(), "\uFFFD"), "\n")
	cause, failed := context.Cause(ctx), errors.As(err, new(*exec.ExitError))
	if said != "" && !failed {
		r.log.Info("a program wrote to stderr", "func", p.name, "text", said)
	}
	switch {
	case cause == errTooMuchOutput:
		return nil, errTooMuchOutput
	case err == errInterrupted && cause == errTooLong:
		r.log.Warn("a program was ended by --exec-timeout", "func", p.name, "after", r.timeout)
		return nil, rpc.WithType("timeout", fmt.Errorf("the program was ended after %v, the longest that it may run (--exec-timeout)", r.timeout))
	case err == errInterrupted:
		return nil, interrupted(ctx)
	case errors.Is(err, exec.ErrWaitDelay):
		return nil, errors.New("the program ended, but something that it started still holds its output open")
	case failed && said != "":
		return nil, rpc.WithType("exit", errors.New(said))
	case err != nil:
		return nil, rpc.WithType("exit", err)
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

// inherited is what a program gets of the environment of the command.
func inherited(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "REDIS_URL" || name == argsOmitted || strings.HasPrefix(name, "REDRPC_") || strings.HasPrefix(name, argPrefix)
	})
}

// variablesOf makes variables of the environment of those arguments that can be ones,
// and counts the others. If they are too much together there are none.
func variablesOf(args json.RawMessage) (variables []string, others int, err error) {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(args, &values); err != nil {
		return nil, 0, err
	}
	size := 0
	for name, raw := range values {
		text := string(raw)
		switch raw[0] {
		case '{', '[', 'n':
			continue
		case '"':
			if err := json.Unmarshal(raw, &text); err != nil {
				return nil, 0, err
			}
		}
		if isVariable(name) && len(text) <= mostVariable && !strings.Contains(text, "\x00") {
			v := argPrefix + name + "=" + text
			variables = append(variables, v)
			size += len(v) + 1 + 8 // as the system counts it, with its end and a pointer to it
		}
	}
	if size > mostVariables {
		variables = nil
	}
	return variables, len(values) - len(variables), nil
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

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"redrpc/internal/terminal"
	"redrpc/rpc"
)

const noExtensionsHelp = "speak the protocol as the Python and Go ports do: each result on a list of its own, with a connection for each call that waits"

// defaultPrefix is that of the protocol.
const defaultPrefix = "redis_rpc"

func newCall(getenv func(string) string) *cobra.Command {
	var conn connFlags
	async := false
	opt := rpc.ClientOptions{Prefix: defaultPrefix, Timeout: 5 * time.Second}
	cmd := &cobra.Command{
		Use:   "call FUNC [NAME=TEXT | NAME:=JSON | NAME=@FILE | NAME:=@FILE]...",
		Short: "Call a function once and print its result as JSON",
		Long: `Call a function and print its result, in JSON, on stdout. An error of the function
goes to stderr, with its traceback if the server sent one.

NAME=@FILE takes the text from a file, NAME:=@FILE the JSON; a file of - is stdin. So
arguments can be long, and secrets stay out of the list of processes. Text that begins
with @ can be given as JSON: NAME:='"@text"'.

Exit codes: 0 there is a result, 1 the call was not sent (it is safe to repeat), 2 wrong
flag or argument, 5 the function failed, 6 no result came (the function may have run).

With --async the call is only put into its queue, and its ID is printed. Its result or
error is discarded, and it has no deadline: it runs when a server gets to it, or never if
none does before the queue expires, 120 s after the last call. If it cannot be queued the
exit code is 1 if it is certain that the call was not sent, else 6.`,
		Example: `  redrpc call add a:=1 b:=2
  redrpc call echo x='some text' --timeout 500ms
  redrpc call echo x=@/etc/hostname
  echo '{"a": 1}' | redrpc call echo x:=@-
  redrpc call --async sleep seconds:=30
  redrpc call echo x:='{"list": [1, 2, null]}' --redis redis://127.0.0.1:6379`,
		Args: func(_ *cobra.Command, args []string) error {
			_, _, err := parseCall(args)
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			redisOpt, err := conn.options(defaultRedis)
			if err != nil {
				return err
			}
			fn, given, err := parseCall(args)
			if err != nil {
				return err
			}
			kw, err := readArgs(given, cmd.InOrStdin())
			if err != nil {
				return err
			}
			opt.Logger = slog.New(slog.DiscardHandler)
			if async {
				id, err := send(cmd.Context(), redisOpt, opt, fn, kw)
				if err != nil {
					return callError(err)
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), id)
				return err
			}
			result, err := call(cmd.Context(), redisOpt, opt, fn, kw)
			if remote, ok := errors.AsType[*rpc.RemoteError](err); ok && remote.Traceback != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), terminal.Text(strings.TrimRight(remote.Traceback, "\n")))
			}
			if err != nil {
				return callError(err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", result)
			return err
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&async, "async", false, "only send the call, and print its ID")
	flags.Var(positive(&opt.Timeout), "timeout", "timeout of the call, or with --async of sending it; and of connecting")
	flags.Var(name(&opt.Prefix, "TEXT"), "prefix", "prefix of all keys")
	flags.BoolVar(&opt.NoExtensions, "no-extensions", false, noExtensionsHelp)
	conn.register(flags, getenv, defaultRedis)
	return cmd
}

// A callArg is an argument of a call as it is given.
type callArg struct {
	name, text string
	isJSON     bool
	file       string // with the text; "" if it is given itself
}

// parseCall takes apart the words of the command line.
func parseCall(words []string) (fn string, given []callArg, err error) {
	if len(words) == 0 || words[0] == "" {
		return "", nil, usagef("call: expected the name of a function, then its arguments as NAME=TEXT or NAME:=JSON")
	}
	for i, word := range words {
		if !utf8.ValidString(word) {
			return "", nil, usagef("call: expected text in UTF-8, got %s", shown(word))
		}
		if i == 0 {
			continue
		}
		name, text, ok := strings.Cut(word, "=")
		name, isJSON := strings.CutSuffix(name, ":")
		if !ok || name == "" {
			return "", nil, usagef("call: expected arguments as NAME=TEXT or NAME:=JSON, got %s", shown(word))
		}
		if slices.ContainsFunc(given, func(a callArg) bool { return a.name == name }) {
			return "", nil, usagef("call: expected each argument once, got %s again", shown(name))
		}
		a := callArg{name: name, text: text, isJSON: isJSON}
		if file, ok := strings.CutPrefix(text, "@"); ok {
			if file == "" {
				return "", nil, usagef("call: expected the name of a file after %s, or - for stdin", word)
			}
			if file == "-" && slices.ContainsFunc(given, func(a callArg) bool { return a.file == file }) {
				return "", nil, usagef("call: expected @- once, as stdin can be read only once")
			}
			a.text, a.file = "", file
		} else if isJSON && !json.Valid([]byte(text)) {
			return "", nil, usagef("call: expected JSON after %s:=, such as 1, true or '\"text\"' (in the shell's quotes), got %s", name, shown(text))
		}
		given = append(given, a)
	}
	return words[0], given, nil
}

// readArgs reads what is in files.
func readArgs(given []callArg, stdin io.Reader) (rpc.Args, error) {
	kw := rpc.Args{}
	for _, a := range given {
		if a.file != "" {
			text, err := readArg(a.file, stdin)
			switch {
			case err != nil:
				return nil, usagef("call: %s: expected a file: %w", a.name, err)
			case !utf8.Valid(text):
				return nil, usagef("call: %s: expected text in UTF-8, got other bytes in %s", a.name, a.file)
			case a.isJSON && !json.Valid(text):
				return nil, usagef("call: %s: expected JSON in %s", a.name, a.file)
			}
			a.text = string(text)
		}
		if kw[a.name] = a.text; a.isJSON {
			kw[a.name] = json.RawMessage(a.text)
		}
	}
	return kw, nil
}

func readArg(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file) // #nosec G304 -- the user names the file
}

// callError gives an error of a call the exit code that says whether it may have run.
func callError(err error) error {
	switch {
	case errors.As(err, new(*rpc.RemoteError)):
		return coded{exitRemote, err}
	case errors.Is(err, rpc.ErrNoResult), errors.Is(err, rpc.ErrBadResult):
		return coded{exitNoResult, err}
	}
	return err
}

// withClient gives use a client.
func withClient(ctx context.Context, redisOpt *endpoint, opt rpc.ClientOptions, use func(*rpc.Client) error) (err error) {
	admin, _, err := reach(ctx, redisOpt, min(opt.Timeout, reachWithin))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	client, err := rpc.NewClient(admin, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return use(client)
}

// send sends one call and returns its ID.
func send(ctx context.Context, redisOpt *endpoint, opt rpc.ClientOptions, fn string, kw rpc.Args) (id string, err error) {
	err = withClient(ctx, redisOpt, opt, func(client *rpc.Client) (err error) {
		id, err = client.Send(ctx, fn, kw)
		return err
	})
	return id, err
}

// call makes one call and returns its result on one line.
func call(ctx context.Context, redisOpt *endpoint, opt rpc.ClientOptions, fn string, kw rpc.Args) ([]byte, error) {
	var result json.RawMessage
	err := withClient(ctx, redisOpt, opt, func(client *rpc.Client) error {
		return client.Call(ctx, fn, kw, &result)
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("%w: is %s served under the prefix %s at %s?", err, fn, opt.Prefix, where(redisOpt))
	}
	if err != nil {
		return nil, err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, result); err != nil {
		return nil, err
	}
	return terminal.JSON(plainHTML(line.Bytes())), nil
}

// plainHTML undoes the escapes of <, > and & in a JSON text, which encoders use
// that write for web pages.
func plainHTML(text []byte) []byte {
	var plain []byte
	for {
		i := bytes.IndexByte(text, '\\') // within a string, the only place for it
		if i < 0 || i+1 == len(text) {
			return append(plain, text...)
		}
		plain = append(plain, text[:i]...)
		text = text[i:]
		if len(text) >= 6 && text[1] == 'u' {
			switch strings.ToLower(string(text[2:6])) {
			case "003c":
				plain, text = append(plain, '<'), text[6:]
				continue
			case "003e":
				plain, text = append(plain, '>'), text[6:]
				continue
			case "0026":
				plain, text = append(plain, '&'), text[6:]
				continue
			}
		}
		plain, text = append(plain, text[:2]...), text[2:]
	}
}

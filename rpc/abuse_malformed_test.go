package rpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"redrpc/rpc"
)

// anyArguments returns a number that says that it ran.
func anyArguments(context.Context, map[string]any) (int, error) { return 1, nil }

// awaitTaken waits until servers have taken all calls from the queue of fn.
func (h *house) awaitTaken(fn string) {
	h.Helper()
	eventually(h.T, "the queue of "+fn+" to be empty", func() bool {
		n, err := h.rdb.LLen(context.Background(), h.prefix+":"+fn+":calls").Result()
		return err == nil && n == 0
	})
}

// only returns the only message of a list, and its fields. It is empty if there is none.
func (h *house) only(list string) (message string, fields map[string]any) {
	h.Helper()
	messages, err := h.rdb.LRange(context.Background(), list, 0, -1).Result()
	if err != nil {
		h.Error(err)
	}
	if len(messages) != 1 {
		h.Errorf("%s: got %.200q, want one message", list, messages)
		return "", nil
	}
	if err := json.Unmarshal([]byte(messages[0]), &fields); err != nil {
		h.Errorf("%s: %.200q: %v", list, messages[0], err)
	}
	return messages[0], fields
}

// TestNumbersThatAreNotJSON: Python writes NaN and both infinities into messages. A call
// with such an argument is answered with an error that names it.
func TestNumbersThatAreNotJSON(t *testing.T) {
	t.Parallel()
	calls := []struct{ message, want string }{
		{`{"id": %q, "ts": "t", "kw": {"x": NaN}}`, "NaN"},
		{`{"id": %q, "ts": "t", "kw": {"x": Infinity}}`, "Infinity"},
		{`{"id": %q, "ts": "t", "kw": {"x": -Infinity}}`, "-Infinity"},
		{`{"id":%q,"kw":{"x":NaN}}`, "NaN"},
		{`{"id": %q, "ts": "t", "kw": {"a": 1, "x": [1.5, {"y": [NaN, 2]}], "z": "text"}}`, "NaN"},
		{`{"id": %q, "ts": "t", "kw": {"x": {"y": {"z": -Infinity}}}}`, "-Infinity"},
		{`{"id": %q, "ts": "t", "kw": {"x": [Infinity]}}`, "Infinity"},
		{`{"id": %q, "ts": "t", "kw": {"x": [NaN, Infinity, -Infinity]}}`, "NaN"},
		{`{"kw": {"x": NaN}, "ts": "t", "id": %q}`, "NaN"},
		{`{"id": %q, "ts": NaN, "kw": {}}`, "NaN"},
		{`{"id": %q, "ts": "t", "kw": {}, "timeout_ms": Infinity}`, "Infinity"},
		{`{"id": %q, "ts": "t", "kw": {"n": 1}, "other": [-Infinity]}`, "-Infinity"},
		{`{"id": %q, "ts": "t", "kw": NaN}`, "NaN"},
		{`{"id": %q, "ts": "t", "kw": {"\"}": "NaN \" {", "x": NaN}}`, "NaN"},
	}
	// A caller cannot be told where the id is broken, too.
	malformed := []string{
		`{"id": NaN, "ts": "t", "kw": {}}`,
		`{"id": NaN, "ts": "t", "kw": {"x": NaN}}`,
		`{"id": 1, "ts": "t", "kw": {"x": NaN}}`,
		`{"id": "a\x", "ts": "t", "kw": {"x": NaN}}`,
		`{"ts": "t", "kw": {"x": NaN}}`,
		`{"kw": {"id": "inner", "x": NaN}}`,
		`{"id": "cut", "kw": {"x": NaN`,
		`[NaN]`, `NaN`, `-Infinity`,
	}
	raw := offer("raw", func(_ context.Context, in json.RawMessage) (int, error) { return len(in), nil })
	onBoth(t, func(t *testing.T, h *house) {
		w := h.employ(rpc.ServerOptions{}, offer("any", anyArguments), raw, small)
		functions := []string{"any", "raw", "small"}
		for _, fn := range functions {
			for i, c := range calls {
				h.pushCalls(fn, fmt.Sprintf(c.message, fmt.Sprint("call", i)))
			}
		}
		h.pushCalls("any", `{"id": "text", "ts": "NaN", "kw": {"NaN": "Infinity", "x": "\" NaN"}}`) // these are only texts
		h.pushCalls("any", malformed...)
		for _, fn := range functions {
			h.awaitTaken(fn)
		}
		w.end(t)
		for _, fn := range functions {
			for i, c := range calls {
				message, fields := h.only(h.resultKey(fn, fmt.Sprint("call", i)))
				if text, _ := fields["err"].(string); !strings.Contains(text, c.want) || fields["res"] != nil {
					t.Errorf("%s: %s: got %s, want an error with %s", fn, c.message, message, c.want)
				}
			}
		}
		if message, fields := h.only(h.resultKey("any", "text")); fields["res"] != 1.0 {
			t.Errorf("got %s, want 1, as the call is JSON", message)
		}
		if got := w.Stats().Malformed; got != uint64(len(malformed)) {
			t.Errorf("got %d malformed calls, want %d", got, len(malformed))
		}
		if got, want := len(h.keys("*:result:*")), len(functions)*len(calls)+1; got != want {
			t.Errorf("got %d results, want %d", got, want)
		}
	})
}

// malformedCall is a message that cannot be answered, one of many kinds.
func malformedCall(r *rand.Rand) string {
	kinds := []string{
		"not json", "", "[]", "[1, 2", "null", "true", "42", `"text"`, "{", "}", `{"id"`, "\x00\xff\xfe",
		`{"kw": {}}`, `{"ts": "t", "kw": {"id": "x"}}`, `{"id": 42, "kw": {}}`, `{"id": null, "kw": {}}`, `{"id": ["x"], "kw": {}}`,
		`{"ID": "x", "kw": {}}`, `{"id": "x", "kw": {}`, `{"id": "x" "kw": {}}`, `{"id": "x", "kw": {}} trailing`,
		`{"id": NaN, "kw": {}}`, `{"id": "x", "kw": {"x": undefined}}`, "{'id': 'x', 'kw': {}}", "\n\r\x1b[31m",
	}
	m := kinds[r.IntN(len(kinds))]
	if r.IntN(10) == 0 {
		m += strings.Repeat(" ?", r.IntN(1000)+1)
	}
	return m
}

// TestManyMalformedCalls: all of them are counted, few of them are logged, and others
// are answered meanwhile.
func TestManyMalformedCalls(t *testing.T) {
	t.Parallel()
	const messages = 3_000
	onBoth(t, func(t *testing.T, h *house) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		all := make([]string, messages)
		for i := range all {
			all[i] = malformedCall(r)
		}
		w := h.employ(rpc.ServerOptions{Workers: 8}, small, offer("f", anyArguments))
		client, ctx := h.newClient(rpc.ClientOptions{Timeout: prompt}), context.Background()
		steady := h.callSteadily(client, "small")
		steady.await(5)
		h.pushCalls("f", all...)
		if _, err := rpc.Call[int](ctx, client, "f", nil, rpc.Timeout(patience)); err != nil {
			t.Errorf("a call among malformed ones: %v", err)
		}
		eventually(t, "all messages to be counted", func() bool { return w.Stats().Malformed == messages })
		steady.await(5)
		steady.stop()
		w.end(t)
		log := w.log.String()
		if lines := strings.Count(log, "\n"); lines == 0 || lines >= 100 {
			t.Errorf("%d malformed calls made %d lines of log, want some, and fewer than 100", messages, lines)
		}
		if !strings.Contains(log, "malformed") {
			t.Errorf("got log %.1000s, want a word of malformed calls", log)
		}
		if got := w.Stats().Functions["f"]; got.Malformed != messages || got.Calls != 1 {
			t.Errorf("got %+v, want %d malformed calls and one that ran", got, messages)
		}
	})
}

// TestManyCallsWithNaN: they are answered one by one, and not logged so.
func TestManyCallsWithNaN(t *testing.T) {
	t.Parallel()
	const messages = 1_000
	onBoth(t, func(t *testing.T, h *house) {
		all := make([]string, messages)
		for i := range all {
			all[i] = fmt.Sprintf(`{"id": "m%d", "ts": "t", "kw": {"x": NaN}}`, i)
		}
		w := h.employ(rpc.ServerOptions{Workers: 8}, offer("f", anyArguments))
		h.pushCalls("f", all...)
		h.awaitTaken("f")
		w.end(t)
		if lines := strings.Count(w.log.String(), "\n"); lines >= 100 {
			t.Errorf("%d calls made %d lines of log, want fewer than 100", messages, lines)
		}
		if n := len(h.keys("f:result:*")); n != messages {
			t.Errorf("got %d results, want %d", n, messages)
		}
	})
}

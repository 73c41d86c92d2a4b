package rpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// onlyResult is only for a list of results, of which it also checks how long it lives.
func (h *house) onlyResult(list string) (message string, fields map[string]any) {
	h.Helper()
	message, fields = h.only(list)
	if message != "" {
		if ttl, err := h.rdb.TTL(context.Background(), list).Result(); ttl < patience || ttl > 120*time.Second || err != nil {
			h.Errorf("%s lives for %v, %v, want 120 s", list, ttl, err)
		}
	}
	return message, fields
}

// noList checks that there is no such list.
func (h *house) noList(list string) {
	h.Helper()
	if n, err := h.rdb.Exists(context.Background(), list).Result(); n != 0 || err != nil {
		h.Errorf("%s exists: %d, %v", list, n, err)
	}
}

// callMessage is a call with a reply_to, in JSON, that is the client's.
func callMessage(id, replyTo string, n int) string {
	return fmt.Sprintf(`{"id":%s,"ts":"2026-11-22T10:51:17.441508","reply_to":%s,"kw":{"n":%d}}`, quote(id), replyTo, n)
}

func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestReplyListOnTheWire: a server answers a call that names a client on the client's
// list, with the ID of the call, and not on the single-use list.
func TestReplyListOnTheWire(t *testing.T) {
	t.Parallel()
	clients := []string{
		"c", strings.Repeat("c", 128), strings.Repeat("ż", 64), `q "uo\te`, "a b*?[c]", "{tag}x-1", "f47ac10b-58cc-4372-a567-0e02b2c3d479-17", "\u2028\x00",
	}
	onBoth(t, func(t *testing.T, h *house) {
		w := h.employ(rpc.ServerOptions{ID: "s"}, small, failing)
		id := func(i int) string {
			return []string{"plain", `ż "é"` + "\n", strings.Repeat("i", 300)}[i%3] + fmt.Sprint(i)
		}
		for i, client := range clients {
			h.pushCalls("small", callMessage(id(i), quote(client), i))
		}
		// Failures come there, too.
		failures := map[string]string{
			"function":  `{"id":"function","reply_to":"of the function","kw":{"n":3}}`,
			"arguments": `{"id":"arguments","reply_to":"of the arguments","kw":[1]}`,
		}
		for _, call := range failures {
			h.pushCalls("failing", call)
		}
		h.awaitTaken("small")
		h.awaitTaken("failing")
		w.end(t)
		for i, client := range clients {
			message, fields := h.onlyResult(h.replyList(client))
			if fields["id"] != id(i) || fields["res"] != float64(i) || fields["server"] != "s" || fields["run_ms"] == nil || fields["ts"] == nil || fields["err"] != nil || fields["at"] != nil {
				t.Errorf("%q: got %s, want the result of %q", client, message, id(i))
			}
			h.noList(h.resultKey("small", id(i)))
		}
		for id := range failures {
			if message, fields := h.onlyResult(h.replyList("of the " + id)); fields["id"] != id || fields["err"] == nil || fields["res"] != nil {
				t.Errorf("got %s, want a failure of %q", message, id)
			}
		}
		if keys := h.keys("*:result:*"); len(keys) != 0 {
			t.Errorf("got single-use lists %q, want none", keys)
		}
	})
}

// TestManyResultsOnOneReplyList: those of all functions, and only the client's own.
func TestManyResultsOnOneReplyList(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h *house) {
		const calls = 50
		w := h.employ(rpc.ServerOptions{}, small, offer("other", returnN))
		var mine, theirs, others []string
		for n := range calls {
			mine = append(mine, callMessage(fmt.Sprint("a", n), `"mine"`, n))
			theirs = append(theirs, callMessage(fmt.Sprint("b", n), `"theirs"`, n))
			others = append(others, callMessage(fmt.Sprint("c", n), `"mine"`, 1000+n), fmt.Sprintf(`{"id":"d%d","kw":{"n":%d}}`, n, n))
		}
		h.pushCalls("small", append(mine, theirs...)...)
		h.pushCalls("other", others...)
		h.awaitTaken("small")
		h.awaitTaken("other")
		w.end(t)
		for client, want := range map[string]map[string]int{"mine": {"a": 0, "c": 1000}, "theirs": {"b": 0}} {
			messages := h.rdb.LRange(context.Background(), h.replyList(client), 0, -1).Val()
			got := map[string]bool{}
			for _, m := range messages {
				var result struct {
					ID  string
					Res int
				}
				if err := json.Unmarshal([]byte(m), &result); err != nil {
					t.Fatalf("%s: %v", m, err)
				}
				var n int
				kind := result.ID[:1]
				if _, err := fmt.Sscan(result.ID[1:], &n); err != nil {
					t.Fatalf("%s: %v", m, err)
				}
				if first, ok := want[kind]; !ok || result.Res != first+n || got[result.ID] {
					t.Errorf("%s: got %s", client, m)
				}
				got[result.ID] = true
			}
			if len(messages) != calls*len(want) {
				t.Errorf("%s: got %d results, want %d", client, len(messages), calls*len(want))
			}
		}
		if got := len(h.keys("other:result:*")); got != calls {
			t.Errorf("got %d single-use lists, want those of the %d calls without a client", got, calls)
		}
		if keys := h.keys("small:result:*"); len(keys) != 0 {
			t.Errorf("got single-use lists %q, want none", keys)
		}
	})
}

// TestLongResultBesideReplyList: the list tells that a result is on its single-use list,
// if it is long.
func TestLongResultBesideReplyList(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h *house) {
		w := h.employ(rpc.ServerOptions{}, sized, failing)
		cases := []struct {
			fn   string
			n    int
			long bool
		}{
			{"sized", 1000, false},
			{"sized", 200_000, true},
			{"sized", 2_000_000, true},
			{"failing", 200_000, true},
		}
		id := func(i int) string { return fmt.Sprint("call", i) }
		client := func(i int) string { return fmt.Sprint("client", i) }
		for i, c := range cases {
			h.pushCalls(c.fn, callMessage(id(i), quote(client(i)), c.n))
		}
		h.awaitTaken("sized")
		h.awaitTaken("failing")
		w.end(t)
		for i, c := range cases {
			message, fields := h.onlyResult(h.replyList(client(i)))
			if len(message) > 10_000 || fields["id"] != id(i) || fields["ts"] == nil {
				t.Errorf("got %.300s of %d bytes, want a short message for %q", message, len(message), id(i))
			}
			single := h.resultKey(c.fn, id(i))
			if !c.long {
				if text, _ := fields["res"].(string); len(text) != c.n || fields["at"] != nil {
					t.Errorf("got %.300s, want a result of %d bytes", message, c.n)
				}
				h.noList(single)
				continue
			}
			if fields["at"] != "result" || fields["res"] != nil || fields["err"] != nil {
				t.Errorf(`got %.300s, want "at":"result"`, message)
			}
			message, fields = h.onlyResult(single)
			value := fields["res"]
			if c.fn == "failing" {
				value = fields["err"]
			}
			if text, _ := value.(string); len(text) != c.n {
				t.Errorf("got %.300s of %d bytes, want %d", message, len(message), c.n)
			}
		}
	})
}

// TestInvalidReplyTo: what names no client is as if it were absent.
func TestInvalidReplyTo(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h *house) {
		w := h.employ(rpc.ServerOptions{}, small)
		invalid := []string{
			`""`, `":"`, `"a:b"`, `"a\u003ab"`, `"c:"`, quote(strings.Repeat("c", 129)), quote(strings.Repeat("ż", 65)), quote(strings.Repeat("c", 100_000)),
			`42`, `1.5`, `null`, `true`, `["c"]`, `{"c":1}`, `[]`,
		}
		h.pushCalls("small", `{"id":"absent","ts":"t","kw":{"n":0}}`)
		for i, replyTo := range invalid {
			h.pushCalls("small", callMessage(fmt.Sprint("call", i), replyTo, 0))
		}
		h.awaitTaken("small")
		w.end(t)
		pattern := regexp.MustCompile(`"(ts|run_ms)":("[^"]*"|[0-9.]+)`)
		absent, _ := h.only(h.resultKey("small", "absent"))
		want := pattern.ReplaceAllString(absent, `"$1":0`)
		for i, replyTo := range invalid {
			got, _ := h.only(h.resultKey("small", fmt.Sprint("call", i)))
			if pattern.ReplaceAllString(got, `"$1":0`) != want {
				t.Errorf("%.100s: got %s, want it like %s", replyTo, got, absent)
			}
		}
		for _, key := range h.keys("*") {
			if !strings.HasPrefix(key, h.prefix+":small:result:") {
				t.Errorf("got key %.300q", key)
			}
		}
	})
}

// TestAnswersAsBefore: a call without a client is answered byte for byte as ever, and an
// old server does not know clients.
func TestAnswersAsBefore(t *testing.T) {
	t.Parallel()
	const ts = `"ts":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"`
	onBoth(t, func(t *testing.T, h *house) {
		for _, c := range []struct {
			fn      string
			opt     rpc.ServerOptions
			message string
			want    string
		}{
			{"small", newServer, `{"id":"x","ts":"t","kw":{"n":7}}`, `^{` + ts + `,"server":"s","run_ms":\d+(\.\d{3})?,"res":7}$`},
			{"small", newServer, `{"id":"x","kw":{"n":"no"}}`, `^{` + ts + `,"server":"s","run_ms":\d+(\.\d{3})?,"err":"argument .*","err_type":"bad_arguments"}$`},
			{"failing", newServer, `{"id":"x","kw":{"n":3}}`, `^{` + ts + `,"server":"s","run_ms":\d+(\.\d{3})?,"err":"xxx"}$`},
			{"small", oldServer, `{"id":"x","ts":"t","kw":{"n":7}}`, `^{` + ts + `,"res":7}$`},
			{"small", oldServer, `{"id":"x","ts":"t","reply_to":"c","kw":{"n":7}}`, `^{` + ts + `,"res":7}$`},
			{"failing", oldServer, `{"id":"x","reply_to":"c","kw":{"n":3}}`, `^{` + ts + `,"err":"xxx"}$`},
		} {
			c.opt.ID = "s"
			w := h.employ(c.opt, small, failing)
			h.pushCalls(c.fn, c.message)
			h.awaitTaken(c.fn)
			w.end(t)
			message, _ := h.onlyResult(h.resultKey(c.fn, "x"))
			if !regexp.MustCompile(c.want).MatchString(message) {
				t.Errorf("%s: got %s, want %s", c.message, message, c.want)
			}
			h.noList(h.replyList("c"))
			h.do("del", h.resultKey(c.fn, "x"))
		}
	})
}

// TestReplyListInCluster: the list lies in the slot of the function's queue; a client
// that is to lie elsewhere is as if it were absent.
func TestReplyListInCluster(t *testing.T) {
	t.Parallel()
	c := &cluster{T: t, nodes: redistest.StartCluster(t, 3)}
	rdb, ctx := c.client(t), context.Background()
	h := &house{T: t, cluster: rdb, prefix: "p"}
	slot := func(key string) int64 { return rdb.ClusterKeySlot(ctx, key).Val() }
	push := func(fn, message string) {
		if err := rdb.RPush(ctx, h.prefix+":"+fn+":calls", message).Err(); err != nil {
			t.Fatal(err)
		}
	}
	// take takes a call of ours, whose ID begins with a hash tag for the slot.
	client := h.newClient(rpc.ClientOptions{})
	take := func(fn string) (call takenCall, ended <-chan outcome) {
		ended = h.start(ctx, client, fn, 7, rpc.Timeout(patience))
		element, err := rdb.BLPop(ctx, prompt, h.prefix+":"+fn+":calls").Result()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(element[1]), &call); err != nil {
			t.Fatal(err)
		}
		return call, ended
	}
	for _, fn := range []string{"f", "g", "{b}h"} {
		queue := h.prefix + ":" + fn + ":calls"
		call, ended := take(fn)
		tag := call.ReplyTo[:strings.Index(call.ReplyTo, "}")+1]
		list := h.replyList(call.ReplyTo)
		if !strings.HasPrefix(call.ReplyTo, "{") || slot(list) != slot(queue) {
			t.Errorf("%s: got client %q, want one that begins with a hash tag for the slot of the queue", fn, call.ReplyTo)
			list = h.resultKey(fn, call.ID)
		}
		if err := rdb.RPush(ctx, list, fmt.Sprintf(`{"id":%q,"ts":"t","res":7}`, call.ID)).Err(); err != nil {
			t.Error(err)
		}
		next(t, ended).isResult(t)

		w := h.employ(rpc.ServerOptions{}, offer(fn, returnN))
		push(fn, callMessage("here", quote(tag+"client"), 1))
		if got, err := rdb.BLPop(ctx, prompt, h.replyList(tag+"client")).Result(); err != nil || !strings.Contains(got[1], `"here"`) {
			t.Errorf("%s: got %q, %v, want the result on the reply list", fn, got, err)
		}
		for _, elsewhere := range []string{"client", "{elsewhere}client", "{}client", "{" + tag} {
			if slot(h.replyList(elsewhere)) == slot(queue) {
				t.Fatalf("%s: %s is in the slot of the queue", fn, elsewhere)
			}
			push(fn, callMessage(elsewhere, quote(elsewhere), 2))
			if got, err := rdb.BLPop(ctx, prompt, h.resultKey(fn, elsewhere)).Result(); err != nil || !strings.Contains(got[1], `"res":2`) {
				t.Errorf("%s: reply_to %q: got %q, %v, want it on the single-use list", fn, elsewhere, got, err)
			}
		}
		next(t, h.start(ctx, client, fn, 3, rpc.Timeout(patience))).isResult(t)
		w.end(t)
	}
	closeSoon(t, client)
}

package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc"
)

// listResult is the result of a taken call, for the reply list.
func listResult(c takenCall) any {
	return fmt.Sprintf(`{"id":%q,"ts":"2026-11-22T10:51:17.443249","res":%d}`, c.ID, c.KW.N)
}

// singleResult is the same for the single-use list.
func singleResult(c takenCall) any { return fmt.Sprintf(`{"ts":"t","res":%d}`, c.KW.N) }

// takeCalls takes so many calls, which all have to name the same reply list, and returns
// that, too.
func (h *house) takeCalls(fn string, calls int) (taken []takenCall, list string) {
	h.Helper()
	for range calls {
		c := h.takeCallWithList(fn)
		if list == "" {
			list = h.replyList(c.ReplyTo)
		}
		if h.replyList(c.ReplyTo) != list {
			h.Fatalf("got calls with the reply lists %s and %s, want one", list, h.replyList(c.ReplyTo))
		}
		taken = append(taken, c)
	}
	return taken, list
}

// TestClientNamesItsList: each call says where its result may come, unless the client is
// an old one.
func TestClientNamesItsList(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		answer := func(c takenCall, ended <-chan outcome) {
			t.Helper()
			h.pushResults(h.resultKey(c.fn, c.ID), singleResult(c))
			next(t, ended).isResult(t)
		}
		var ids []string
		for range 2 {
			client := h.newClient(rpc.ClientOptions{})
			for n := range 3 {
				ended := h.start(ctx, client, []string{"f", "g"}[n%2], n, rpc.Timeout(patience))
				c := h.takeCallWithList([]string{"f", "g"}[n%2])
				if id := c.ReplyTo; len(id) > 128 || strings.Contains(id, ":") {
					t.Errorf("got client %q, want 1 to 128 bytes without a colon", id)
				}
				ids = append(ids, c.ReplyTo)
				answer(c, ended)
			}
		}
		if ids[0] != ids[1] || ids[1] != ids[2] || ids[3] != ids[4] || ids[4] != ids[5] || ids[0] == ids[3] {
			t.Errorf("got clients %q, want one for each client", ids)
		}
		ended := h.start(ctx, h.newClient(oldPort), "f", 7, rpc.Timeout(patience))
		c := h.takeCall("f")
		var fields map[string]any
		if err := json.Unmarshal([]byte(c.raw), &fields); err != nil || len(fields) != 3 {
			t.Errorf("an old client sent %s, %v, want an id, a time and the arguments", c.raw, err)
		}
		answer(c, ended)
	})
}

// TestClientReadsItsList: whatever else is on it, and in whatever order, each call gets
// its result.
func TestClientReadsItsList(t *testing.T) {
	t.Parallel()
	const calls = 20
	each := func(of func(takenCall) any) func([]takenCall) []any {
		return func(taken []takenCall) (messages []any) {
			for _, c := range taken {
				messages = append(messages, of(c))
			}
			return messages
		}
	}
	results := each(listResult)
	malformed := []any{
		"not json", "", "[]", "[1]", "42", "null", `"text"`, "{", `{"res":1}`, `{"id":7,"res":1}`, `{"id":"","res":1}`, `{"id":null,"res":1}`, `{"id":["x"]}`,
		"\x00\xff", `{"id":"x","res":NaN}`, `{"id":"x","res":`, strings.Repeat("?", 100_000),
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for _, c := range []struct {
		name string

		// push sends the results of calls, of which the reply list is that.
		push func(h *house, list string, taken []takenCall)
	}{
		{"one by one", func(h *house, list string, taken []takenCall) {
			for _, m := range results(taken) {
				h.pushResults(list, m)
			}
		}},
		{"one push", func(h *house, list string, taken []takenCall) { h.pushResults(list, results(taken)...) }},
		{"the other way round", func(h *house, list string, taken []takenCall) {
			messages := results(taken)
			slices.Reverse(messages)
			h.pushResults(list, messages...)
		}},
		{"in any order", func(h *house, list string, taken []takenCall) {
			messages := results(taken)
			rand.New(rand.NewPCG(seed, 0)).Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
			h.pushResults(list, messages[:7]...)
			h.pushResults(list, messages[7:]...)
		}},
		{"doubles", func(h *house, list string, taken []takenCall) {
			for _, m := range results(taken) {
				h.pushResults(list, m, m)
			}
			h.pushResults(list, results(taken)...)
		}},
		{"doubles that differ", func(h *house, list string, taken []takenCall) { // the first counts
			h.pushResults(list, results(taken)...)
			h.pushResults(list, each(func(c takenCall) any { return fmt.Sprintf(`{"id":%q,"err":"double"}`, c.ID) })(taken)...)
		}},
		{"results that nobody waits for", func(h *house, list string, taken []takenCall) {
			for i, m := range results(taken) {
				h.pushResults(list, fmt.Sprintf(`{"id":"of nobody %d","res":1}`, i), m)
			}
		}},
		{"thousands that nobody waits for", func(h *house, list string, taken []takenCall) {
			var messages []any
			for i := range 5000 {
				messages = append(messages, fmt.Sprintf(`{"id":"of nobody %d","res":1}`, i))
			}
			h.pushResults(list, append(messages, results(taken)...)...)
		}},
		{"malformed ones", func(h *house, list string, taken []takenCall) {
			var messages []any
			for i, m := range results(taken) {
				messages = append(messages, malformed[i%len(malformed)], m, malformed[(i+7)%len(malformed)])
			}
			h.pushResults(list, messages...)
		}},
		{"a malformed one at first", func(h *house, list string, taken []takenCall) {
			for i, m := range results(taken) {
				h.pushResults(list, malformed[i%len(malformed)])
				h.pushResults(list, m)
			}
		}},
		{"more fields", func(h *house, list string, taken []takenCall) {
			h.pushResults(list, each(func(c takenCall) any {
				return fmt.Sprintf(`{"new": {"id": "x"}, "server": "s", "res": %d, "queue_ms": 1, "run_ms": 0.5, "traceparent": "00-1", "verbose": false, "id": %q, "ts": "t"}`, c.KW.N, c.ID)
			})(taken)...)
		}},
		{"on the single-use lists", func(h *house, _ string, taken []takenCall) { // as an old server does
			for _, c := range taken {
				h.pushResults(h.resultKey(c.fn, c.ID), singleResult(c))
			}
		}},
		{"on lists of either kind", func(h *house, list string, taken []takenCall) {
			for i, c := range taken {
				if i%2 == 0 {
					h.pushResults(list, listResult(c))
				} else {
					h.pushResults(h.resultKey(c.fn, c.ID), singleResult(c))
				}
			}
		}},
		{"long ones apart", func(h *house, list string, taken []takenCall) {
			for _, c := range taken {
				h.pushResults(h.resultKey(c.fn, c.ID), singleResult(c))
				h.pushResults(list, fmt.Sprintf(`{"id":%q,"ts":"t","at":"result"}`, c.ID))
			}
		}},
		{"long ones apart, among others, and doubles", func(h *house, list string, taken []takenCall) {
			for i, c := range taken {
				if i%3 > 0 {
					h.pushResults(list, listResult(c))
					continue
				}
				h.pushResults(h.resultKey(c.fn, c.ID), singleResult(c))
				notice := fmt.Sprintf(`{"id":%q,"ts":"t","at":"result"}`, c.ID)
				h.pushResults(list, notice, notice)
			}
		}},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			onBoth(t, func(t *testing.T, h *house) {
				client, ctx := h.newClient(rpc.ClientOptions{}), context.Background()
				for range 2 { // again, after all that
					var ended []<-chan outcome
					for n := range calls {
						ended = append(ended, h.start(ctx, client, "f", n, rpc.Timeout(patience)))
					}
					taken, list := h.takeCalls("f", calls)
					c.push(h, list, taken)
					for _, ended := range ended {
						next(t, ended).isResult(t)
					}
				}
				// While another call waits, what is left of these goes.
				last := h.start(ctx, client, "f", 7, rpc.Timeout(patience))
				taken, list := h.takeCalls("f", 1)
				eventually(t, "the reply list to be empty", func() bool { return h.rdb.LLen(ctx, list).Val() == 0 })
				h.pushResults(list, listResult(taken[0]))
				next(t, last).isResult(t)
				closeSoon(t, client)
				h.awaitNoKeys()
			})
		})
	}
}

// TestFailuresOnTheList: what is on the list for a call is its outcome, also if it is no
// result that fits.
func TestFailuresOnTheList(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h *house) {
		client, ctx := h.newClient(rpc.ClientOptions{}), context.Background()
		for _, c := range []struct {
			message string // without its id
			remote  string // message of the remote error
			typ     string
			bad     string // part of the error of a result that cannot be read
		}{
			{message: `"ts":"t","err":"no","err_type":"t","err_traceback":"somewhere"`, remote: "no", typ: "t"},
			{message: `"err":""`, remote: ""},
			{message: `"res":"text"`, bad: "expected int, got string"},
			{message: `"res":1.5`, bad: "expected int, got number 1.5"},
			{message: `"ts":"t"`}, // null
			{message: `"res":0,"err":null`},
		} {
			ended := h.start(ctx, client, "f", 0, rpc.Timeout(patience))
			call := h.takeCallWithList("f")
			h.pushResults(h.replyList(call.ReplyTo), fmt.Sprintf(`{"id":%q,%s}`, call.ID, c.message))
			o := next(t, ended)
			switch {
			case c.bad != "":
				is(t, o.err, rpc.ErrBadResult)
				if !strings.Contains(fmt.Sprint(o.err), c.bad) {
					t.Errorf("%s: got %v, want %q", c.message, o.err, c.bad)
				}
			case strings.Contains(c.message, `"err":"`):
				if e := isRemote(t, o.err, c.remote); e.Type != c.typ {
					t.Errorf("%s: got type %q", c.message, e.Type)
				}
			default:
				o.isResult(t)
			}
		}
		// A long result that has been announced and is not there is none.
		limited, giveUp := context.WithCancel(ctx)
		defer giveUp()
		ended := h.start(limited, client, "f", 0, rpc.Timeout(patience))
		call := h.takeCallWithList("f")
		h.pushResults(h.replyList(call.ReplyTo), fmt.Sprintf(`{"id":%q,"at":"result"}`, call.ID))
		other := h.start(ctx, client, "f", 1, rpc.Timeout(patience))
		h.pushResults(h.replyList(call.ReplyTo), listResult(h.takeCallWithList("f")))
		next(t, other).isResult(t)
		giveUp()
		if err := next(t, ended).err; !errors.Is(err, rpc.ErrNoResult) && !errors.Is(err, rpc.ErrBadResult) {
			t.Errorf("got %v, want no result", err)
		}
		closeSoon(t, client)
		h.awaitNoKeys()
	})
}

// TestLateResultsOnTheList: results of calls that were given up are dropped.
func TestLateResultsOnTheList(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h *house) {
		client := h.newClient(rpc.ClientOptions{})
		ctx, cancel := context.WithCancel(context.Background())
		const calls = 10
		var ended []<-chan outcome
		for n := range calls {
			ended = append(ended, h.start(ctx, client, "f", n, rpc.Timeout(patience)))
		}
		taken, list := h.takeCalls("f", calls)
		cancel()
		for _, ended := range ended {
			is(t, next(t, ended).err, rpc.ErrNoResult, context.Canceled)
		}
		for _, c := range taken {
			h.pushResults(list, listResult(c))
		}
		for n := range 3 {
			ended := h.start(context.Background(), client, "f", n, rpc.Timeout(patience))
			taken, list := h.takeCalls("f", 1)
			h.pushResults(list, listResult(taken[0]))
			next(t, ended).isResult(t)
		}
		closeSoon(t, client)
		h.awaitNoKeys()
	})
}

// TestResultsOnTheListOfALostConnection: calls name the list of the connection that they
// were sent over. When that is lost their results are read all the same; calls after it
// name another list.
func TestResultsOnTheListOfALostConnection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		before, after bool // results come before the connections are lost, or after it
		kills         int
		single        bool // results come on single-use lists
	}{
		{name: "results after it", after: true, kills: 1},
		{name: "results before it", before: true, kills: 1},
		{name: "results before and after it", before: true, after: true, kills: 1},
		{name: "lost three times", before: true, after: true, kills: 3},
		{name: "results of an old server", before: true, after: true, kills: 1, single: true},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			onBoth(t, func(t *testing.T, h *house) {
				const calls = 10
				client, ctx := h.named("caller").newClient(rpc.ClientOptions{}), context.Background()
				push := func(of []takenCall) {
					for _, call := range of {
						if c.single {
							h.pushResults(h.resultKey("f", call.ID), singleResult(call))
						} else {
							h.pushResults(h.replyList(call.ReplyTo), listResult(call))
						}
					}
				}
				// answered has a call answered on the list that it names, which takes a
				// connection that is set up. A call that meets the end of another one may
				// fail, or get lost: then it is made again.
				answered := func() (list string) {
					t.Helper()
					eventually(t, "a call to be answered on its reply list", func() bool {
						ended := h.start(ctx, client, "g", 7, rpc.Timeout(time.Second))
						for {
							switch m, err := h.rdb.LPop(ctx, h.prefix+":g:calls").Result(); {
							case err == nil:
								call := decodeCall(t, "g", m)
								if call.ReplyTo == "" {
									t.Fatalf("the call names no reply list: %s", m)
								}
								list = h.replyList(call.ReplyTo)
								h.pushResults(list, listResult(call))
								o := next(t, ended)
								return o.err == nil && o.got == 7
							case !errors.Is(err, redis.Nil):
								t.Fatal(err)
							}
							select {
							case <-ended:
								return false
							case <-time.After(time.Millisecond):
							}
						}
					})
					return list
				}
				var ended []<-chan outcome
				var later []takenCall
				lists := map[string]bool{}
				for range c.kills {
					answered()
					for n := range calls {
						ended = append(ended, h.start(ctx, client, "f", n, rpc.Timeout(patience)))
					}
					taken, list := h.takeCalls("f", calls)
					lists[list] = true
					before := 0
					if c.before {
						before = calls
						if c.after {
							before = calls / 2
						}
					}
					push(taken[:before])
					later = append(later, taken[before:]...)
					if n := h.kill("caller"); n == 0 {
						t.Error("the client has no connection")
					}
					eventually(t, "calls to name another reply list", func() bool { return !lists[answered()] })
				}
				push(later)
				for _, ended := range ended {
					next(t, ended).isResult(t)
				}
				closeSoon(t, client)
				h.awaitNoKeys()
			})
		})
	}
}

// TestCloseDeletesLists: with results on them that nobody has read.
func TestCloseDeletesLists(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h *house) {
		client, ctx := h.named("caller").newClient(rpc.ClientOptions{}), context.Background()
		ended := h.start(ctx, client, "f", 1, rpc.Timeout(patience))
		taken, first := h.takeCalls("f", 1)
		h.pushResults(first, listResult(taken[0]))
		next(t, ended).isResult(t)

		waits := h.start(ctx, client, "f", 2, rpc.Timeout(patience)) // while the client is closed
		_, first = h.takeCalls("f", 1)
		for i := range 1000 {
			h.pushResults(first, fmt.Sprintf(`{"id":"of nobody %d","res":1}`, i))
		}
		closeSoon(t, client)
		if o := next(t, waits); !errors.Is(o.err, rpc.ErrNoResult) {
			t.Errorf("a call at the time of Close: got %v", o.err)
		}
		if keys := h.keys("client:*"); len(keys) != 0 {
			t.Errorf("got lists %q after Close, want none", keys)
		}
	})
}

// TestReplyListsLiveForATime: at no time there is one without a time to live, under load.
func TestReplyListsLiveForATime(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h *house) {
		f := startClient(h, newClient)
		w := f.hireOne(newServer)
		stop := f.load(8)
		seen := 0
		for begun := time.Now(); time.Since(begun) < 300*time.Millisecond || seen < 10 && time.Since(begun) < prompt; {
			for _, key := range h.keys("client:*") {
				switch ttl := h.rdb.TTL(context.Background(), key).Val(); {
				case ttl == -1:
					t.Fatalf("%s has no time to live", key)
				case ttl > 0:
					seen++
				}
			}
		}
		stop()
		if seen == 0 {
			t.Error("saw no reply list")
		}
		f.check(w)
	})
}

package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// TestUnusableQueue: a queue that is no list, or that the server may not use, is no
// trouble for other functions. The log says which it is, and the function works when
// the queue does.
func TestUnusableQueue(t *testing.T) {
	t.Parallel()
	addr := redistest.Start(t).Addr
	const others = 4 // functions
	asString := []any{"set", "", "a string"}
	asHash := []any{"hset", "", "field", "value"}
	var scenarios []scenario
	for _, c := range []struct {
		name    string
		bad     []string // functions whose queues are of no use
		key     []any    // makes a key of another type; nil: it is forbidden by ACL
		running bool     // it happens to a server that runs
		workers int
		weight  int // of the bad functions
		only    bool
	}{
		{name: "string", bad: []string{"a"}, key: asString},
		{name: "string from the start, one worker", bad: []string{"a"}, key: asString, workers: 1},
		{name: "string later, one worker", bad: []string{"a"}, key: asString, workers: 1, running: true},
		{name: "last function", bad: []string{"z"}, key: asString, workers: 1},
		{name: "hash", bad: []string{"b"}, key: asHash, running: true},
		{name: "of great weight", bad: []string{"a"}, key: asHash, weight: 100},
		{name: "of great weight, one worker", bad: []string{"b"}, key: asString, weight: 100, workers: 1},
		{name: "several", bad: []string{"a", "b", "z"}, key: asString},
		{name: "the only function", bad: []string{"a"}, key: asString, only: true},
		{name: "forbidden", bad: []string{"a"}},
		{name: "forbidden, one worker", bad: []string{"z"}, workers: 1},
		{name: "forbidden later", bad: []string{"a"}, running: true},
		{name: "several forbidden", bad: []string{"a", "z"}, weight: 10},
	} {
		scenarios = append(scenarios, scenario{strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			h := newHouse(t, &redis.Options{Addr: addr})
			h.prefix = strings.ReplaceAll(c.name, " ", "-")
			queue := func(fn string) string { return h.prefix + ":" + fn + ":calls" }
			user := "user-" + h.prefix
			spoil := func() {
				for _, fn := range c.bad {
					if c.key == nil {
						continue
					}
					command := append([]any{}, c.key...)
					command[1] = queue(fn)
					h.do(command...)
				}
				if c.key == nil { // all keys but those of the bad functions
					allowed := []any{"acl", "setuser", user, "reset", "on", "nopass", "&*", "+@all"}
					for n := range others {
						allowed = append(allowed, fmt.Sprintf("~%s:other%d:*", h.prefix, n))
					}
					h.do(append(allowed, "~"+h.prefix+":server:*", "~"+h.prefix+":client:*")...)
				}
			}
			repair := func() {
				for _, fn := range c.bad {
					if c.key != nil {
						h.do("del", queue(fn))
					}
				}
				if c.key == nil {
					h.do("acl", "setuser", user, "~*")
				}
			}
			var functions []func(*rpc.Server) error
			for _, fn := range c.bad {
				functions = append(functions, func(s *rpc.Server) error {
					return rpc.Handle(s, fn, returnN, rpc.Weight(max(1, c.weight)))
				})
			}
			var good []string
			for n := range others {
				if fn := fmt.Sprint("other", n); !c.only {
					good = append(good, fn)
					functions = append(functions, offer(fn, returnN))
				}
			}
			staff := h
			if c.key == nil {
				h.do("acl", "setuser", user, "on", "nopass", "~*", "&*", "+@all")
				staff = h.withOptions(func(opt *redis.Options) { opt.Username, opt.Password = user, "any" })
			}
			if !c.running {
				spoil()
			}
			begun := time.Now()
			w := staff.employ(rpc.ServerOptions{Workers: c.workers}, functions...)
			client, ctx := h.newClient(rpc.ClientOptions{Timeout: patience}), context.Background()
			if c.running {
				for _, fn := range c.bad {
					next(t, h.start(ctx, client, fn, 1)).isResult(t)
				}
				spoil()
			}
			var steady []*steadyCaller
			for _, fn := range good {
				steady = append(steady, h.callSteadily(client, fn))
			}
			for _, s := range steady {
				s.await(20)
			}
			log := ""
			eventually(t, "the log to name the queues", func() bool {
				log = w.log.String()
				for _, fn := range c.bad {
					if !strings.Contains(log, queue(fn)) {
						return false
					}
				}
				return true
			})
			if c.key != nil {
				is(t, client.Call(ctx, c.bad[0], rpc.Args{"n": 1}, nil), rpc.ErrNotSent)
			}
			repair()
			for _, fn := range c.bad {
				next(t, h.start(ctx, client, fn, 2)).isResult(t)
			}
			for _, s := range steady {
				s.await(5)
				s.stop()
			}
			w.end(t)
			log = w.log.String()
			// A queue is left out for a second, each time with a line.
			if lines, most := strings.Count(log, "\n"), 20+len(c.bad)*(1+int(time.Since(begun).Seconds())); lines > most {
				t.Errorf("got %d lines of log, want no more than %d: %.1000s", lines, most, log)
			}
			for _, fn := range good {
				if strings.Contains(log, queue(fn)) {
					t.Errorf("got log %.1000s, want no word of %s", log, fn)
				}
			}
		}})
	}
	atOnce(t, scenarios)
}

// TestUnusableResultKey: a result that cannot be pushed, as its key is no list, is lost
// for its caller and for nobody else, whether it is a single-use list or the list of a
// client.
func TestUnusableResultKey(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h *house) {
		w := h.employ(rpc.ServerOptions{Workers: 2}, small)
		client, ctx := h.newClient(rpc.ClientOptions{}), context.Background()
		steady := h.callSteadily(client, "small")
		steady.await(5)
		const calls = 500
		h.do("set", h.replyList("poor"), "a string")
		for n := range calls {
			single, list := fmt.Sprint("single", n), fmt.Sprint("list", n)
			h.do("set", h.resultKey("small", single), "a string")
			h.pushCalls("small", fmt.Sprintf(`{"id":%q,"kw":{"n":%d}}`, single, n), fmt.Sprintf(`{"id":%q,"reply_to":"poor","kw":{"n":%d}}`, list, n))
		}
		h.awaitTaken("small")
		steady.await(5)
		eventually(t, "all calls to have ended", func() bool { return w.Stats().InFlight <= 1 })
		for _, key := range []string{h.replyList("poor"), h.resultKey("small", "single0")} {
			if value, err := h.rdb.Get(ctx, key).Result(); value != "a string" {
				t.Errorf("the key of another program has %q, %v", value, err)
			}
		}
		// When the key is a list, or none, results come again: for a while on the single-use
		// list, which clients look at, too.
		h.do("del", h.replyList("poor"))
		h.pushCalls("small", `{"id":"again","reply_to":"poor","kw":{"n":1}}`)
		h.awaitTaken("small")
		eventually(t, "a result", func() bool {
			return h.rdb.Exists(ctx, h.replyList("poor"), h.resultKey("small", "again")).Val() == 1
		})
		steady.await(5)
		steady.stop()
		w.end(t)
		log := w.log.String()
		if lines := strings.Count(log, "\n"); lines == 0 || lines > 100 {
			t.Errorf("%d results that were lost made %d lines of log, want some, and few", 2*calls, lines)
		}
		if !strings.Contains(log, h.resultKey("small", "single")) && !strings.Contains(log, h.replyList("poor")) {
			t.Errorf("got log %.1000s, want a key that is of no use", log)
		}
	})
}

// TestReplyListOfAnotherType: a client whose reply list is taken by another program gets
// no results, and its calls end; other clients get theirs. It is well again when the
// key is gone.
func TestReplyListOfAnotherType(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h *house) {
		w := h.employ(rpc.ServerOptions{}, small)
		poor, rich, ctx := h.newClient(rpc.ClientOptions{}), h.newClient(rpc.ClientOptions{}), context.Background()

		// A call that the test answers tells the client's list, and then is not to be taken.
		ended := h.start(ctx, poor, "probe", 7, rpc.Timeout(patience))
		probe := h.takeCallWithList("probe")
		h.pushResults(h.resultKey("probe", probe.ID), `{"res":7}`)
		next(t, ended).isResult(t)
		next(t, h.start(ctx, rich, "small", 1, rpc.Timeout(patience))).isResult(t)

		steady := h.callSteadily(rich, "small")
		for range 2 {
			h.do("set", h.replyList(probe.ReplyTo), "a string")
			for n := range 5 {
				o := next(t, h.start(ctx, poor, "small", n, rpc.Timeout(200*time.Millisecond)))
				switch {
				case o.err == nil: // it may have another list by now
					o.isResult(t)
				case o.took > prompt || !errors.Is(o.err, rpc.ErrNoResult) && !errors.Is(o.err, rpc.ErrNotSent):
					t.Errorf("a call with 200 ms ended after %v with %v", o.took, o.err)
				}
			}
			steady.await(5)
			h.do("del", h.replyList(probe.ReplyTo))
			eventually(t, "the client to get results again", func() bool {
				return poor.Call(ctx, "small", rpc.Args{"n": 1}, nil) == nil
			})
			for n := range 5 {
				next(t, h.start(ctx, poor, "small", n, rpc.Timeout(patience))).isResult(t)
			}
		}
		steady.stop()
		closeSoon(t, poor)
		closeSoon(t, rich)
		w.end(t)
	})
}

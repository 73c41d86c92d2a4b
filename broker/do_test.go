package broker

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker/internal/command"
)

func TestDo(t *testing.T) {
	type queue string
	b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0), Password: "secret"})
	for _, c := range []struct {
		args []any
		want any
	}{
		{[]any{"SET", "k", "v"}, "OK"},
		{[]any{"GET", "k"}, "v"},
		{[]any{"get", []byte("none")}, nil},
		{[]any{"RPUSH", queue("q"), []string{"a", "b"}, 3, uint8(4), 1.5, true, false, []byte{0, 255}}, int64(8)},
		{[]any{"LRANGE", "q", 0, int64(-1)}, []any{"a", "b", "3", "4", "1.5", "1", "0", "\x00\xff"}},
		{[]any{"LPOS", "q", "a", "COUNT", 0}, []any{int64(0)}},
		{[]any{"LPOP", "none", 1}, nil},
		{[]any{"BLPOP", "none", 0}, nil},
		{[]any{"SET", "n", 1e6}, "OK"},
		{[]any{"INCR", "n"}, int64(1_000_001)},
		{[]any{"PING"}, "PONG"},
		{[]any{"CONFIG", "GET", "maxmemory*y"}, map[string]any{"maxmemory-eviction-tenacity": "10", "maxmemory-policy": "noeviction"}},
		{[]any{"CLIENT", "LIST"}, ""},
		{[]any{"TIME"}, []any{"1700000000", "0"}},
		{[]any{"EXPIRE", "k", 10}, int64(1)},
	} {
		if got, err := b.Do(c.args...); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %#v, %v, want %#v", c.args, got, err, c.want)
		}
	}
	b.Advance(10 * time.Second)
	if got, err := b.Do("EXISTS", "k"); got != int64(0) || err != nil {
		t.Errorf("after it expired: got %v, %v", got, err)
	}
	if got, err := b.DoIn(1, "DBSIZE"); got != int64(0) || err != nil {
		t.Errorf("database 1: got %v, %v", got, err)
	}
}

func TestDoErrors(t *testing.T) {
	b := newBroker(t, Options{})
	do := func(args ...any) error {
		_, err := b.Do(args...)
		return err
	}
	if err := do("RPUSH", "q", "a"); err != nil {
		t.Fatal(err)
	}
	_, noDatabase := b.DoIn(16, "PING")
	for _, c := range []struct {
		err  error
		want string
	}{
		{do("GET", "q"), "WRONGTYPE "},
		{do("NONSENSE", "q"), "ERR unknown command 'NONSENSE'"},
		{do("GET"), "ERR wrong number of arguments for 'get'"},
		{do("MULTI"), "ERR 'multi' is about a client's own connection"},
		{do("SELECT", 1), "broker: Do: SELECT would hold for no other command: use DoIn"},
		{do("SUBSCRIBE", "c"), "ERR 'subscribe' is about"},
		{do("CLIENT", "SETNAME", "me"), "ERR 'client|setname' is about"},
		{do(), "broker: Do: expected a command"},
		{do("SET", "k", "v", "PX", time.Second), "broker: Do: argument 4 is the time.Duration 1s: expected"},
		{do("SET", "k", nil), "broker: Do: argument 2 is of type <nil>: expected"},
		{do("SET", "k", []int{1}), "broker: Do: argument 2 is of type []int: expected"},
		{noDatabase, "broker: DoIn: there is no database 16"},
	} {
		var reply Error
		if c.err == nil || !strings.HasPrefix(c.err.Error(), c.want) {
			t.Errorf("got %v, want %s...", c.err, c.want)
		} else if isReply := !strings.HasPrefix(c.want, "broker:"); errors.As(c.err, &reply) != isReply {
			t.Errorf("%v: is it an Error? got %v, want %v", c.err, !isReply, isReply)
		}
	}
	if err := do("GET", "q"); !redis.HasErrorPrefix(err, "WRONGTYPE") {
		t.Errorf("go-redis does not take it for an error reply: %v", err)
	}
	b.Close()
	if err := do("PING"); err != ErrClosed {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

// What Do brings has been given to blocked clients when it returns.
func TestDoServesBlockedClients(t *testing.T) {
	b := newBroker(t, Options{})
	w := inMemory(t, b)
	w.send(t, "BLPOP", "q", "0")
	if n, err := b.Do("RPUSH", "q", "a", "b"); n != int64(2) || err != nil {
		t.Fatal(n, err)
	}
	if n, err := b.Do("LLEN", "q"); n != int64(1) || err != nil {
		t.Errorf("got %v, %v elements left, want 1", n, err)
	}
	if got := w.reply(t); got != "[q a]" {
		t.Errorf("got %s", got)
	}
	w.expect(t, "+OK", "WATCH", "k")
	w.expect(t, "+OK", "MULTI")
	w.expect(t, "+QUEUED", "PING")
	if _, err := b.Do("SET", "k", "v"); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "nil-list", "EXEC")
	w.expect(t, `[subscribe c 1]`, "SUBSCRIBE", "c")
	if n, err := b.Do("PUBLISH", "c", "hello"); n != int64(1) || err != nil {
		t.Error(n, err)
	}
	if got := w.reply(t); got != "[message c hello]" {
		t.Errorf("got %s", got)
	}
}

// Every command can be tried, with any number of arguments.
func TestDoOfEveryCommand(t *testing.T) {
	for name, cmd := range testTable.All() {
		b := newBroker(t, Options{TestCommands: true})
		for more := range 4 {
			args := []any{strings.Split(name, "|")}
			for len(args) < max(cmd.Arity, -cmd.Arity)+more {
				args = append(args, "1")
			}
			_, err := b.Do(args...)
			if cmd.Flags&command.Personal != 0 && err == nil || err != nil && strings.Contains(err.Error(), "internal error") {
				t.Errorf("%v: got %v", args, err)
			}
		}
		if n := len(b.Clients()); n != 0 {
			t.Errorf("%s: %d clients are left", name, n)
		}
	}
}

func TestAs(t *testing.T) {
	failed := errors.New("failed")
	check := func(got any, err error) string { return fmt.Sprintf("%#v %v", got, err) }
	str := func(v any, err error) string { return check(As[string](v, err)) }
	num := func(v any, err error) string { return check(As[int](v, err)) }
	for _, c := range []struct{ got, want string }{
		{str("v", nil), `"v" <nil>`},
		{str("v", failed), `"" failed`},
		{str(nil, nil), `"" broker: As: got <nil>, expected what fits in a string`},
		{str(int64(1), nil), `"" broker: As: got 1, expected what fits in a string`},
		{num(int64(1), nil), `1 <nil>`},
		{num("12", nil), `12 <nil>`},
		{num("x", nil), `0 broker: As: got "x", expected what fits in a int`},
		{check(As[float64]("1.5", nil)), `1.5 <nil>`},
		{check(As[float64](int64(2), nil)), `2 <nil>`},
		{check(As[bool](int64(1), nil)), `true <nil>`},
		{check(As[bool]("OK", nil)), `false broker: As: got "OK", expected what fits in a bool`},
		{check(As[[]string]([]any{"a", "b"}, nil)), `[]string{"a", "b"} <nil>`},
		{check(As[[]string](nil, nil)), `[]string(nil) broker: As: got <nil>, expected what fits in a []string`},
		{check(As[[]string]([]any{"a", nil}, nil)), `[]string(nil) broker: As: got []interface {}{"a", interface {}(nil)}, expected what fits in a []string`},
		{check(As[map[string]string](map[string]any{"a": "b"}, nil)), `map[string]string{"a":"b"} <nil>`},
		{check(As[map[string]string]([]any{"a", "b"}, nil)), `map[string]string{"a":"b"} <nil>`},
		{check(As[map[string]string]([]any{"a"}, nil)), `map[string]string(nil) broker: As: got []interface {}{"a"}, expected what fits in a map[string]string`},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}

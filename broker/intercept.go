package broker

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// A Command is an intercepted command.
type Command struct {
	Name       string   // in lower case; of a sub-command such as "client|list"
	Args       []string // without the name
	Client     int64    // the client's number, as in CLIENT LIST
	ClientName string   // as CLIENT SETNAME set it, or ""
	InMulti    bool     // the client is between MULTI and EXEC
}

// A Verdict is what a function decides about a command. The zero Verdict is that of Pass.
type Verdict struct{ action faultAction }

// Pass lets the command go on: the next rule applies, or it runs.
func (*Command) Pass() Verdict { return Verdict{} }

// Answer sends the client a reply, and the command does not run.
//
// The value is nil, a string or []byte, a bool, an integer or a float, a [Status], an
// error (sent as an error reply), or a pointer, a slice, an array or a map of these. A
// map's entries are sent in the order of its keys as text. Anything else, such as a struct
// or a value nested more than 128 deep, sends an error reply that says so.
//
// In a transaction the reply takes the place of QUEUED, and the command is not queued. An
// answer to EXEC ends the transaction.
func (c *Command) Answer(value any) Verdict {
	r, err := toReply(value, maxAnswerDepth)
	if err != nil {
		return c.Fail(fmt.Sprintf("ERR the function that intercepts '%s' answers with %v", c.Name, err))
	}
	return Verdict{faultAction{answer: &r}}
}

// Fail sends the client an error reply, such as "ERR no", and the command does not run. In
// a transaction it makes EXEC discard the transaction.
func (*Command) Fail(text string) Verdict {
	if text == "" {
		text = "ERR"
	}
	return Verdict{faultAction{err: text}}
}

// Drop closes the client's connection.
func (c *Command) Drop(when Drop) Verdict {
	if when < DropBefore || when > DropHalf {
		return c.Fail(fmt.Sprintf("ERR the function that intercepts '%s' drops with %v: expected DropBefore, DropAfter or DropHalf", c.Name, when))
	}
	return Verdict{faultAction{drop: when}}
}

// After delays the command by the broker's clock before the verdict applies, as a fault's
// Delay does.
func (v Verdict) After(d time.Duration) Verdict {
	v.action.delay = d
	return v
}

// Intercept adds a rule that calls a function for every command, see [Broker.Inject]. For
// some commands only, use a [Fault] with a Func.
//
// The function is called without a lock, so it may block, and call the broker's methods
// other than Close. Meanwhile the client's later commands wait; other clients are not
// affected. It may be called by several goroutines at once. It runs in the goroutine of the
// client's Write if the client is in memory and has just sent the command, else in a
// goroutine of its own, which Close waits for. If it panics, the client gets an error, and
// the stack is logged.
//
// After Remove, calls that have begun may still be running.
func (b *Broker) Intercept(f func(*Command) Verdict) (*Rule, error) { return b.Inject(Fault{Func: f}) }

// An interception is a call of a function about a postponed command, made once the lock is
// released.
type interception struct {
	postponed *postponed
	function  func(*Command) Verdict
	command   *Command
}

// intercept schedules an interception.
func (s *session) intercept(f func(*Command) Verdict, cmd *command.Command, h *postponed) {
	c := &Command{Name: cmd.FullName, Client: s.id, ClientName: s.name, InMulti: s.transaction.open}
	behind := h.args[1:]
	if cmd.FullName != cmd.Name { // a sub-command
		behind = behind[1:]
	}
	for _, arg := range behind {
		c.Args = append(c.Args, string(arg))
	}
	s.broker.interceptions = append(s.broker.interceptions, &interception{h, f, c})
}

// runInterceptions starts goroutines for interceptions, but for that of the client in whose
// goroutine it is called, which it returns.
func (b *Broker) runInterceptions(questions []*interception, own *session) (rest *interception) {
	for _, q := range questions {
		if q.postponed.session == own {
			rest = q
			continue
		}
		name := fmt.Sprintf("a function that intercepts %s of client %d", q.command.Name, q.command.Client)
		if !b.goroutines.enter(name) {
			continue // the broker is closed, and the client with it
		}
		go func() {
			defer b.goroutines.leave(name)
			b.runInterception(q)
		}()
	}
	return rest
}

// runInterception runs an interception, and those that follow from it for the same client.
func (b *Broker) runInterception(q *interception) {
	for q != nil {
		v := b.interceptVerdict(q)
		q = b.resolve(q, v, q.postponed.session)
	}
}

// resolve releases the command with a verdict. It returns the client's next interception
// if this is its goroutine, see leaveTo.
func (b *Broker) resolve(q *interception, v Verdict, own *session) *interception {
	b.enter()
	q.postponed.cursor.action = v.action
	q.postponed.release()
	return b.leaveTo(own)
}

// interceptVerdict calls the function. If it panics or ends its goroutine, the client gets
// an error.
func (b *Broker) interceptVerdict(q *interception) (v Verdict) {
	c, ended := q.command, true
	defer func() {
		if p := recover(); p != nil {
			b.logger.Error("a function that intercepts commands panicked",
				"command", c.Name, "client", c.Client, "panic", p, "stack", string(debug.Stack()))
			v = c.Fail(fmt.Sprintf("ERR the function that intercepts '%s' panicked: %v", c.Name, p))
		} else if ended { // by runtime.Goexit
			b.resolve(q, c.Fail(fmt.Sprintf("ERR the function that intercepts '%s' has ended its goroutine", c.Name)), nil)
		}
	}()
	v = q.function(c)
	ended = false
	return v
}

// A Status is a simple string reply, such as OK.
type Status string

// maxAnswerDepth is how deep the values of an answer may be nested.
const maxAnswerDepth = 128

// toReply converts a value to a reply. The error says which value has none.
func toReply(value any, depth int) (resp.Reply, error) {
	switch v := value.(type) {
	case nil:
		return resp.Null, nil
	case Status:
		return resp.Simple(string(v)), nil
	case error:
		return resp.ErrorReply(v.Error()), nil
	case []byte:
		return resp.Bulk(slices.Clone(v)), nil
	case time.Duration:
		return resp.Reply{}, fmt.Errorf("the time.Duration %v: expected a number of a unit, such as d.Milliseconds()", v)
	}
	v := reflect.ValueOf(value)
	if depth == 0 {
		return resp.Reply{}, fmt.Errorf("what is nested more than %d deep", maxAnswerDepth)
	}
	switch v.Kind() {
	case reflect.String:
		return resp.BulkString(v.String()), nil
	case reflect.Bool:
		r := resp.Reply{Kind: resp.KindBoolean}
		if v.Bool() {
			r.N = 1
		}
		return r, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return resp.Integer(v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() > math.MaxInt64 {
			return resp.Reply{}, fmt.Errorf("%d, which is more than an integer reply can be", v.Uint())
		}
		return resp.Integer(int64(v.Uint())), nil
	case reflect.Float32, reflect.Float64:
		text := strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits())
		return resp.Reply{Kind: resp.KindDouble, Bytes: []byte(strings.ToLower(strings.TrimPrefix(text, "+")))}, nil // inf, -inf, nan
	case reflect.Pointer:
		if v.IsNil() {
			return resp.Null, nil
		}
		return toReply(v.Elem().Interface(), depth-1)
	case reflect.Slice, reflect.Array:
		items := make([]resp.Reply, v.Len())
		for i := range items {
			var err error
			if items[i], err = toReply(v.Index(i).Interface(), depth-1); err != nil {
				return resp.Reply{}, err
			}
		}
		return resp.Array(items...), nil
	case reflect.Map:
		return mapToReply(v, depth)
	default:
		return resp.Reply{}, fmt.Errorf("a %T, which has no reply", value)
	}
}

func mapToReply(m reflect.Value, depth int) (resp.Reply, error) {
	keys := m.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		return cmp.Compare(fmt.Sprint(a.Interface()), fmt.Sprint(b.Interface()))
	})
	pairs := make([]resp.Reply, 0, 2*len(keys))
	for _, key := range keys {
		for _, part := range []any{key.Interface(), m.MapIndex(key).Interface()} {
			r, err := toReply(part, depth-1)
			if err != nil {
				return resp.Reply{}, err
			}
			pairs = append(pairs, r)
		}
	}
	return resp.Map(pairs...), nil
}

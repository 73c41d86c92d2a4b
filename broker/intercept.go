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

// A Command is what a function that intercepts commands sees of one.
type Command struct {
	Name       string   // in lower case; of a sub-command such as "client|list"
	Args       []string // what the client sent behind the name
	Client     int64    // the client's number, as in CLIENT LIST
	ClientName string   // "" if it has given itself none
	InMulti    bool     // the client has sent MULTI, and not yet EXEC
}

// A Verdict is what is to become of a command. The zero Verdict is that of Pass.
type Verdict struct{ action faultAction }

// Pass lets the command go on: it meets the next rule, or runs.
func (*Command) Pass() Verdict { return Verdict{} }

// Answer gives the client a reply instead of having the command run.
//
// The value is nil, a string or []byte, a bool, an integer or a float, a [Status], an
// error (whose text is then an error reply), or a pointer, a slice, an array or a map
// of these. A map's entries are sent in the order of its keys' text. Anything else, such
// as a struct, and what is nested more than 128 deep, gives the client an error that
// says so.
//
// In a transaction the client gets the reply in the place of QUEUED, and the command is
// not queued. EXEC ends the transaction, also if it is answered so.
func (c *Command) Answer(value any) Verdict {
	r, err := toReply(value, maxAnswerDepth)
	if err != nil {
		return c.Fail(fmt.Sprintf("ERR the function that intercepts '%s' answers with %v", c.Name, err))
	}
	return Verdict{faultAction{answer: &r}}
}

// Fail gives the client an error reply, such as "ERR no", instead of having the command
// run. In a transaction it makes EXEC refuse the whole.
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

// After makes the command wait by the broker's clock before the verdict is carried out,
// as a fault's Delay does.
func (v Verdict) After(d time.Duration) Verdict {
	v.action.delay = d
	return v
}

// Intercept has a function decide about every command, where and as [Broker.Inject]
// says of rules. For some commands only use a [Fault] with a Func.
//
// The function is called without any lock, so it may wait, and may call the broker's
// methods, but for Close. While it works nothing that this client has sent behind the
// command is looked at; other clients are not held up. It may be called by several
// goroutines at once. It runs in the goroutine of the client's Write if the client is in
// memory and has just sent the command, else in one of its own, which Close waits for. If
// it panics, its client gets an error, and the broker's log the stack.
//
// What Remove was called for may be at work for some time still.
func (b *Broker) Intercept(f func(*Command) Verdict) (*Rule, error) { return b.Inject(Fault{Func: f}) }

// A interception is a command that a function is to be asked about, as soon as the lock
// has been released.
type interception struct {
	postponed *postponed
	function  func(*Command) Verdict
	command   *Command
}

// intercept has a function asked about a command that is held.
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

// runInterceptions asks those questions that do not belong to the client whose goroutine this is,
// and returns the one that does.
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

// runInterception asks a question, and those that follow from it for the same client.
func (b *Broker) runInterception(q *interception) {
	for q != nil {
		v := b.interceptVerdict(q)
		q = b.resolve(q, v, q.postponed.session)
	}
}

// resolve lets the client go on. The next question about it is returned if this is its
// goroutine, see leaveTo.
func (b *Broker) resolve(q *interception, v Verdict, own *session) *interception {
	b.enter()
	q.postponed.cursor.action = v.action
	q.postponed.release()
	return b.leaveTo(own)
}

// interceptVerdict calls the function. If it does not return, that is an error for the client,
// which has to go on.
func (b *Broker) interceptVerdict(q *interception) (v Verdict) {
	c, ended := q.command, true
	defer func() {
		if p := recover(); p != nil {
			b.logger.Error("a function that intercepts commands panicked",
				"command", c.Name, "client", c.Client, "panic", p, "stack", string(debug.Stack()))
			v = c.Fail(fmt.Sprintf("ERR the function that intercepts '%s' panicked: %v", c.Name, p))
		} else if ended { // its goroutine
			b.resolve(q, c.Fail(fmt.Sprintf("ERR the function that intercepts '%s' has ended its goroutine", c.Name)), nil)
		}
	}()
	v = q.function(c)
	ended = false
	return v
}

// A Status is a reply such as OK, which the protocol keeps apart from strings.
type Status string

// maxAnswerDepth is how deep the values of an answer may be nested.
const maxAnswerDepth = 128

// toReply turns a value into a reply. The error says what has none.
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

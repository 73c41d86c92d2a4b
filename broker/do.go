package broker

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"redrpc/broker/internal/acl"
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/transport"
)

// An Error is an error reply of a command, such as "WRONGTYPE Operation against a
// key holding the wrong kind of value".
type Error string

func (e Error) Error() string { return string(e) }

// RedisError makes it a redis.Error of go-redis, for redis.HasErrorPrefix and the like.
func (Error) RedisError() {}

// Do runs a command in database 0, without a connection: it needs no password, and CLIENT
// LIST does not show it. When it returns, the clients that it unblocks have been served.
//
// An argument is a string, a []byte, an integer, a float, a bool (1 or 0), or a
// []string, which stands for as many arguments. A time.Duration is refused, as some
// commands count seconds and others milliseconds.
//
// The result is a string (also for a status such as OK), an int64, nil, a []any, or
// a map[string]any; see [As] for others. An error reply is an [Error]; ErrClosed
// means that the broker is closed. As in a transaction, a command that would block
// times out at once. Commands about the client's own connection, such as MULTI or
// SUBSCRIBE, are refused.
func (b *Broker) Do(args ...any) (any, error) { return b.DoIn(0, args...) }

// DoIn is Do in database db.
func (b *Broker) DoIn(db int, args ...any) (any, error) {
	words, err := toWords(args)
	if err != nil {
		return nil, fmt.Errorf("broker: Do: %w", err)
	}
	b.enter()
	defer b.leave()
	switch {
	case b.closed:
		return nil, ErrClosed
	case db < 0 || db >= len(b.keys.DBs):
		return nil, fmt.Errorf("broker: DoIn: there is no database %d, only 0 to %d", db, len(b.keys.DBs)-1)
	case resp.Is(words[0], "SELECT"):
		return nil, errors.New("broker: Do: SELECT would hold for no other command: use DoIn")
	}
	r := b.newInternalClient(b.keys.DBs[db]).runInternal(words)
	if r.IsDeeper(b.options.MaxDepth) {
		r = b.tooDeep()
	}
	if r.IsError() {
		b.countError(r.Text)
	}
	if r.Kind == resp.KindError {
		return nil, Error(r.Text)
	}
	return resultOf(&r), nil
}

// newInternalClient returns a client without a connection, for Do and Seed.
func (b *Broker) newInternalClient(d *keyspace.DB) *session {
	l := transport.NewMemory(host{b}).Transport()
	s := &session{
		broker: b, transport: l, protocol: 3, user: acl.InternalClient, authenticated: true, db: d,
		created: b.keys.Now, used: b.keys.Now, transaction: transaction{running: true},
	}
	l.Attach(s)
	return s
}

// internalCommand looks up a command for an internal client. It returns the error reply to
// one that can never run.
func (b *Broker) internalCommand(args [][]byte) (*command.Command, *resp.Reply) {
	cmd, err := b.table.Lookup(args)
	switch {
	case err != nil:
		return nil, err
	case !cmd.Accepts(len(args)):
		r := cmd.WrongNumber()
		return cmd, &r
	case cmd.Flags&command.Personal != 0:
		r := resp.Errorf("ERR '%s' is about a client's own connection, which there is none of here", cmd.FullName)
		return cmd, &r
	}
	return cmd, nil
}

// runInternal runs a command of an internal client and returns the reply, which is valid
// until another command runs. The handler of another command may call it.
func (s *session) runInternal(args [][]byte) resp.Reply {
	b := s.broker
	cmd, err := b.internalCommand(args)
	if err == nil {
		err = s.refuse(cmd, args, nil)
	}
	if err == nil && b.isBusy() && cmd.Flags&command.AllowBusy == 0 {
		r := b.scripting.running.busyReply()
		err = &r
	}
	if err != nil {
		b.countRejected(cmd)
		if b.observed {
			s.logNotRun(cmd, args, Refused, err.Text)
		}
		return *err
	}
	outer, began := b.running, b.measuredUntil
	var r resp.Reply
	s.invoke(cmd, args, &r)
	s.account(cmd, args, began, &r)
	b.running = outer
	if b.observed {
		s.observe(cmd, args, &r)
	}
	if b.tracking.active {
		b.tracking.deliverOwn()
	}
	return r
}

// resultOf converts a reply to the result of Do.
func resultOf(r *resp.Reply) any {
	switch r.Kind {
	case resp.KindSimple:
		return r.Text
	case resp.KindError:
		return Error(r.Text)
	case resp.KindInteger:
		return r.N
	case resp.KindBoolean:
		return r.N != 0
	case resp.KindBulk, resp.KindVerbatim, resp.KindDouble, resp.KindBigNumber:
		return string(r.Bytes)
	case resp.KindMap, resp.KindKeyed:
		m := map[string]any{}
		key, isKey := "", true
		for item := range r.All() {
			if isKey {
				key = fmt.Sprint(resultOf(&item))
			} else {
				m[key] = resultOf(&item)
			}
			isKey = !isKey
		}
		return m
	case resp.KindArray, resp.KindStrings, resp.KindPairs, resp.KindScored, resp.KindSet, resp.KindPush:
		list := make([]any, 0, len(r.Items))
		for item := range r.All() {
			list = append(list, resultOf(&item))
		}
		return list
	case resp.KindNothing, resp.KindNull, resp.KindNullArray, resp.KindSequence, resp.KindArrayHeader, resp.KindWait:
	}
	return nil
}

// toWords encodes the arguments of a command.
func toWords(args []any) ([][]byte, error) {
	var words [][]byte
	for i, arg := range args {
		if several, is := arg.([]string); is {
			for _, word := range several {
				words = append(words, []byte(word))
			}
			continue
		}
		word, err := toWord(arg)
		if err != nil {
			return nil, fmt.Errorf("argument %d %w", i, err)
		}
		words = append(words, word)
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("expected a command")
	}
	return words, nil
}

func toWord(arg any) ([]byte, error) {
	switch v := arg.(type) {
	case string:
		return []byte(v), nil
	case []byte:
		return v, nil
	case time.Duration:
		return nil, fmt.Errorf("is the time.Duration %v: expected a number of the command's unit, such as d.Milliseconds()", v)
	}
	switch v := reflect.ValueOf(arg); v.Kind() {
	case reflect.String:
		return []byte(v.String()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(nil, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(nil, v.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		return strconv.AppendFloat(nil, v.Float(), 'f', -1, v.Type().Bits()), nil
	case reflect.Bool:
		if v.Bool() {
			return []byte("1"), nil
		}
		return []byte("0"), nil
	default:
		return nil, fmt.Errorf("is of type %T: expected a string, []byte, number, bool or []string", arg)
	}
}

// As converts the result of [Broker.Do]:
//
//	n, err := broker.As[int](b.Do("LLEN", "jobs"))
//
// The result for an int or a float64 may be a string with a number, for a bool an integer
// (true if it is not 0), and for a map an array of alternating names and values. nil is an
// error. An error of Do is returned as it is.
func As[T string | int | float64 | bool | []string | map[string]string](result any, err error) (T, error) {
	var to, zero T
	if err != nil {
		return zero, err
	}
	if !convert(any(&to), result) {
		return zero, fmt.Errorf("broker: As: got %#v, expected what fits in a %T", result, zero)
	}
	return to, nil
}

// convert sets *to. It reports false if the result does not fit.
func convert(to, result any) (fits bool) {
	text, isText := result.(string)
	n, isInt := result.(int64)
	list, isList := result.([]any)
	var err error
	switch to := to.(type) {
	case *string:
		*to = text
		return isText
	case *int:
		if isText {
			n, err = strconv.ParseInt(text, 10, strconv.IntSize)
		}
		*to = int(n)
		return (isInt || isText) && err == nil
	case *float64:
		*to = float64(n)
		if isText {
			*to, err = strconv.ParseFloat(text, 64)
		}
		return (isInt || isText) && err == nil
	case *bool:
		*to = n != 0
		return isInt
	case *[]string:
		*to = make([]string, len(list))
		for i, element := range list {
			if !convert(&(*to)[i], element) {
				return false
			}
		}
		return isList
	case *map[string]string:
		pairs, isMap := result.(map[string]any)
		if !isMap {
			pairs = map[string]any{}
			for i := 0; i+1 < len(list); i += 2 {
				pairs[fmt.Sprint(list[i])] = list[i+1]
			}
		}
		*to = make(map[string]string, len(pairs))
		for name, value := range pairs {
			if text, isText = value.(string); !isText {
				return false
			}
			(*to)[name] = text
		}
		return isMap || isList && len(list)%2 == 0
	}
	return false
}

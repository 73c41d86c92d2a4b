package keyspace

import (
	"time"

	"redrpc/broker/internal/resp"
)

// What the commands share that pop elements from the first of several keys, such as LMPOP,
// BLPOP and BZMPOP.

// ParseMultiPop reads the arguments of LMPOP and the like: the number of keys, the keys, the
// end, which parseEnd reads, and optionally COUNT with the number of elements.
func ParseMultiPop[E any](args [][]byte, parseEnd func([]byte) (E, bool)) (names [][]byte, from E, n int64, err *resp.Reply) {
	number, isInt := resp.ParseInt(args[0])
	if !isInt || number < 1 {
		r := resp.ErrorReply("ERR numkeys should be greater than 0")
		return nil, from, 0, &r
	}
	if number >= int64(len(args)-1) {
		return nil, from, 0, &resp.SyntaxError
	}
	names, rest := args[1:1+number], args[1+number:]
	from, isEnd := parseEnd(rest[0])
	if !isEnd {
		return nil, from, 0, &resp.SyntaxError
	}
	switch {
	case len(rest) == 1:
		return names, from, 1, nil
	case len(rest) < 3 || !resp.Is(rest[1], "COUNT"):
		return nil, from, 0, &resp.SyntaxError
	}
	if n, isInt = resp.ParseInt(rest[2]); !isInt || n < 1 {
		r := resp.ErrorReply("ERR count should be greater than 0")
		return nil, from, 0, &r
	}
	if len(rest) > 3 {
		return nil, from, 0, &resp.SyntaxError
	}
	return names, from, n, nil
}

// A ServeValue answers a client from a value of the type that its command is for.
type ServeValue[V Value] func(*Call, *Entry, V) resp.Reply

// PopFirst serves the client from the first key that exists. It reports false if there is
// none. The reply is WrongType if that key holds another type.
func PopFirst[V Value](c *Call, names [][]byte, serve ServeValue[V]) (r resp.Reply, found bool) {
	for _, key := range names {
		e := c.Find(key)
		if e == nil {
			continue
		}
		v, is := e.Value.(V)
		if !is {
			return resp.WrongType, true
		}
		return serve(c, e, v), true
	}
	return resp.Nothing, false
}

// PopOrWait is PopFirst that blocks the client if none of the keys exists.
func PopOrWait[V Value](c *Call, names [][]byte, timeout time.Duration, serve ServeValue[V]) resp.Reply {
	if r, found := PopFirst(c, names, serve); found {
		return r
	}
	return (&Wait{Keys: names, Timeout: timeout, Refused: resp.NullArray, Late: resp.NullArray, Serve: ServeOnly(serve)}).Reply()
}

// ServeOnly is a Wait.Serve that leaves the client blocked while the key holds another type.
func ServeOnly[V Value](serve ServeValue[V]) func(*Call, *Entry) (answer resp.Reply, served bool) {
	return func(c *Call, e *Entry) (answer resp.Reply, served bool) {
		v, is := e.Value.(V)
		if !is {
			return resp.Nothing, false
		}
		return serve(c, e, v), true
	}
}

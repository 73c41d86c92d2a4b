package rpc

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A taker pops calls, over a connection of its own, as it blocks.
type taker struct {
	link *link
	wake string // a list that comes before the queues

	spare *buffers // for calls

	conn  *conn
	how   popping
	whole bool // times are whole seconds, before 6.0
	out   []byte
}

// popping is what the taker's Redis can do.
type popping int

const (
	blmpop    popping = iota // from 7.0 on
	blpopLpop                // BLPOP, and LPOP with a count for more, from 6.2 on
	blpopOnly                // one call at a time
)

func (t *taker) hangUp() {
	if t.conn != nil {
		t.conn.Close()
		t.conn = nil
	}
}

// pop takes up to n calls from the first queue that has any, waiting for one, up to
// maxSlice. With an error there may be calls, too.
func (t *taker) pop(queues []string, n int, wait time.Duration) (key string, messages [][]byte, err error) {
	if t.conn == nil {
		if t.conn, err = t.link.connect(2, sharedSize); err != nil {
			return "", nil, err
		}
	}
	if err := t.conn.keepTime(); err != nil {
		t.hangUp()
		return "", nil, err
	}
	for {
		key, messages, err = t.ask(queues, n, wait)
		if !t.settleForLess(err) {
			break
		}
	}
	switch {
	case err == errNull:
		return "", nil, nil
	case isAsk(err): // of which the connection knows nothing
	case err != nil:
		t.hangUp()
	}
	return key, messages, err
}

// settleForLess reports whether err says that Redis cannot do what was asked, but
// may be able to do less.
func (t *taker) settleForLess(err error) bool {
	if isReply(err) && redis.HasErrorPrefix(err, "timeout is not ") && !t.whole {
		t.whole = true
		return true
	}
	if !isReply(err) || t.how == blpopOnly {
		return false
	}
	for _, sign := range []string{"ERR unknown command", "NOPERM", "ERR wrong number of arguments"} {
		if strings.HasPrefix(err.Error(), sign) {
			t.how++
			return true
		}
	}
	return false
}

// ask sends one command, or two, and reads what it popped.
func (t *taker) ask(queues []string, n int, wait time.Duration) (key string, messages [][]byte, err error) {
	keys := append(append(make([]string, 0, 1+len(queues)), t.wake), queues...)
	if t.whole {
		wait = maxSlice
	}
	slice := blockFor(wait)
	if t.how == blmpop {
		t.out = appendHeader(t.out[:0], '*', 6+len(keys))
		for _, a := range []string{"BLMPOP", slice, strconv.Itoa(len(keys))} {
			t.out = appendArg(t.out, a)
		}
		for _, k := range keys {
			t.out = appendArg(t.out, k)
		}
		for _, a := range []string{"LEFT", "COUNT", strconv.Itoa(n)} {
			t.out = appendArg(t.out, a)
		}
		if err := t.send(); err != nil {
			return "", nil, err
		}
		return t.readMany()
	}
	t.out = appendCommand(t.out[:0], append(append([]string{"BLPOP"}, keys...), slice)...)
	if err := t.send(); err != nil {
		return "", nil, err
	}
	key, first, err := readPop(t.conn)
	if err != nil {
		return "", nil, err
	}
	messages = [][]byte{first}
	if t.how == blpopOnly || n == 1 || key == t.wake {
		return key, messages, nil
	}
	t.out = appendCommand(t.out[:0], "LPOP", key, strconv.Itoa(n-1))
	if err := t.send(); err != nil {
		return key, messages, err
	}
	more, err := t.conn.elements(t.spare)
	if t.settleForLess(err) || err == errNull {
		err = nil
	}
	return key, append(messages, more...), err
}

func (t *taker) send() error {
	t.conn.within(maxSlice)
	_, err := t.conn.send(t.out)
	return err
}

// readMany reads the reply to BLMPOP.
func (t *taker) readMany() (key string, messages [][]byte, err error) {
	n, err := t.conn.array()
	if err != nil {
		return "", nil, err
	}
	if n != 2 {
		return "", nil, fmt.Errorf("expected a key and elements from BLMPOP, got %d values", n)
	}
	name, err := t.conn.view()
	if err != nil {
		return "", nil, err
	}
	key = string(name)
	messages, err = t.conn.elements(t.spare)
	return key, messages, err
}

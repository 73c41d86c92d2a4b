package rpc

import (
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc/internal/resp"
)

// A fetcher pops calls over a connection of its own, as it blocks.
type fetcher struct {
	dialer *dialer
	wake   string // a list that comes before the queues; empty if it is forbidden
	spare  *buffers

	conn  *conn
	how   popping
	whole bool // times are whole seconds, before Redis 6.0
	out   []byte

	messages [][]byte // of the last fetch
}

// popping is what the fetcher's Redis can do.
type popping int

const (
	blmpop    popping = iota // from 7.0 on
	blpop                    // one call, which may be followed by LPOP
	blpopOnly                // LPOP is forbidden
)

const fetchBuffer = 64 << 10 // to read through

// hangUp closes the connection. The next may be to a Redis that can do more.
func (f *fetcher) hangUp() {
	f.how, f.whole = blmpop, false
	if f.conn != nil {
		f.conn.Close()
		f.conn = nil
	}
}

// fetch pops calls from the first queue that has any, waiting for one: up to n, or before
// Redis 7.0 one. With an error there may be calls, too. The list is used again by the next
// fetch.
func (f *fetcher) fetch(queues []string, n int, wait time.Duration) (key string, messages [][]byte, err error) {
	for {
		key, messages, err = f.ask(queues, n, wait)
		if !f.downgrade(err) {
			break
		}
	}
	switch {
	case err == resp.ErrNull:
		err = nil
	case err != nil && !isMigrating(err) && !isOfKey(err): // of which the connection knows nothing
		f.hangUp()
	}
	return key, messages, err
}

// downgrade reports whether err says that Redis cannot do what was asked, but
// may be able to do less.
func (f *fetcher) downgrade(err error) bool {
	switch {
	case !resp.IsError(err) || isOfKey(err):
		return false
	case redis.HasErrorPrefix(err, "timeout is not ") && !f.whole:
		f.whole = true
		return true
	case f.how == blmpop && isForbidden(err):
		f.how = blpop
		return true
	}
	return false
}

// ask sends a command and reads what it popped.
func (f *fetcher) ask(queues []string, n int, wait time.Duration) (key string, messages [][]byte, err error) {
	if f.conn == nil {
		if f.conn, err = f.dialer.connect(fetchBuffer); err != nil {
			return "", nil, err
		}
	}
	keys := queues
	if f.wake != "" {
		keys = append([]string{f.wake}, queues...)
	}
	if f.whole {
		wait = maxBlock
	}
	if f.how == blmpop {
		f.out = resp.AppendArray(f.out[:0], 6+len(keys))
		f.out = resp.AppendArg(f.out, "BLMPOP")
		f.out = resp.AppendArg(f.out, blockFor(wait))
		f.out = resp.AppendArg(f.out, strconv.Itoa(len(keys)))
		for _, k := range keys {
			f.out = resp.AppendArg(f.out, k)
		}
		f.out = resp.AppendArg(f.out, "LEFT")
		f.out = resp.AppendArg(f.out, "COUNT")
		f.out = resp.AppendArg(f.out, strconv.Itoa(n))
	} else {
		f.out = resp.AppendCommand(f.out[:0], append(append([]string{"BLPOP"}, keys...), blockFor(wait))...)
	}
	f.conn.within(maxBlock)
	if _, err := f.conn.Write(f.out); err != nil {
		return "", nil, err
	}
	return f.read()
}

// read reads a key and what was popped from it.
func (f *fetcher) read() (string, [][]byte, error) {
	switch n, err := f.conn.Array(); {
	case err != nil:
		return "", nil, err
	case n != 2:
		return "", nil, fmt.Errorf("expected a key and elements of Redis, got %d values", n)
	}
	key, err := f.conn.Bulk(nil)
	if err != nil {
		return "", nil, err
	}
	if f.how == blmpop {
		f.messages, err = f.conn.Strings(f.messages[:0], f.spare.get)
		return string(key), f.messages, err
	}
	one, err := f.conn.Bulk(f.spare.get())
	if err != nil {
		return "", nil, err
	}
	f.messages = append(f.messages[:0], one)
	return string(key), f.messages, nil
}

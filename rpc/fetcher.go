package rpc

import (
	"fmt"
	"strconv"
	"strings"
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
	blpopLpop                // BLPOP, and LPOP with a count for more, from 6.2 on
	blpopOnly                // one call at a time
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

// fetch pops up to n calls from the first queue that has any, waiting for one. With an
// error there may be calls, too. The list is used again by the next fetch.
func (f *fetcher) fetch(queues []string, n int, wait time.Duration) (key string, messages [][]byte, err error) {
	for {
		key, messages, err = f.ask(queues, n, wait)
		if !f.downgrade(err) {
			return key, messages, f.ended(err)
		}
	}
}

// fetchFrom pops up to n calls from one queue, without waiting.
func (f *fetcher) fetchFrom(queue string, n int) (messages [][]byte, err error) {
	for {
		if messages, err = f.pop(queue, n); !f.downgrade(err) {
			return messages, f.ended(err)
		}
	}
}

// ended looks whether the connection is of further use.
func (f *fetcher) ended(err error) error {
	switch {
	case err == resp.ErrNull:
		return nil
	case err != nil && !isMigrating(err) && !isOfKey(err): // of which the connection knows nothing
		f.hangUp()
	}
	return err
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
	case f.how < blpopOnly && (isForbidden(err) || strings.HasPrefix(err.Error(), "ERR wrong number of arguments")):
		f.how++
		return true
	}
	return false
}

// ask sends one command, or two, and reads what it popped.
func (f *fetcher) ask(queues []string, n int, wait time.Duration) (key string, messages [][]byte, err error) {
	keys := queues
	if f.wake != "" {
		keys = append(append(make([]string, 0, 1+len(queues)), f.wake), queues...)
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
		if key, err = f.readKey(); err == nil {
			f.messages, err = f.conn.Strings(f.messages[:0], f.spare.get)
		}
		return key, f.messages, err
	}
	f.out = resp.AppendCommand(f.out[:0], append(append([]string{"BLPOP"}, keys...), blockFor(wait))...)
	if key, err = f.readKey(); err != nil {
		return "", nil, err
	}
	first, err := f.conn.Bulk(nil)
	if err != nil {
		return "", nil, err
	}
	messages = [][]byte{first}
	if f.how == blpopLpop && n > 1 && key != f.wake {
		var more [][]byte
		more, err = f.pop(key, n-1)
		messages = append(messages, more...)
		if err == resp.ErrNull || f.downgrade(err) {
			err = nil
		}
	}
	return key, messages, err
}

// pop pops up to n calls from a queue; before Redis 6.2 one.
func (f *fetcher) pop(queue string, n int) ([][]byte, error) {
	if f.how == blpopOnly {
		f.out = resp.AppendCommand(f.out[:0], "LPOP", queue)
		if err := f.send(); err != nil {
			return nil, err
		}
		one, err := f.conn.Bulk(f.spare.get())
		if err != nil {
			return nil, err
		}
		return [][]byte{one}, nil
	}
	f.out = resp.AppendCommand(f.out[:0], "LPOP", queue, strconv.Itoa(n))
	if err := f.send(); err != nil {
		return nil, err
	}
	return f.conn.Strings(nil, f.spare.get)
}

// readKey sends a command and reads the key that elements were popped from.
func (f *fetcher) readKey() (string, error) {
	if err := f.send(); err != nil {
		return "", err
	}
	n, err := f.conn.Array()
	if err != nil {
		return "", err
	}
	if n != 2 {
		return "", fmt.Errorf("expected a key and elements of Redis, got %d values", n)
	}
	key, err := f.conn.Bulk(nil)
	return string(key), err
}

func (f *fetcher) send() (err error) {
	if f.conn == nil {
		if f.conn, err = f.dialer.connect(fetchBuffer); err != nil {
			return err
		}
	}
	f.conn.within(maxBlock)
	_, err = f.conn.Write(f.out)
	return err
}

package rpc

import (
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc/internal/resp"
)

// This file is how results are found that do not come on the reply list: those of old
// servers, which know no such lists and answer each call on a list of its own, long
// ones, and those of reply lists whose connection was lost.
//
// Where old servers are known to answer a function, each call of it waits by BLPOP on a
// connection, as in the original. Otherwise single-use lists are looked at from time to
// time: soon for calls of functions that nobody has answered yet, and for others when
// they take long.

const (
	pollSoon  = 20 * time.Millisecond  // between looks while it is not known who answers
	pollLate  = 100 * time.Millisecond // otherwise
	pollMoved = 2 * time.Millisecond   // where lists of earlier connections are to be read
	pollKeys  = 512                    // keys in one command
	pollSome  = 256                    // most calls that are looked at while no old servers are known

	// pollLoad is how much longer the pauses are for each call that is looked at.
	pollLoad = 20 * time.Microsecond
)

// watch sees to it that poll runs, for a call that was sent. It is called under the lock.
func (s *slotClient) watch(c *pendingCall) {
	if s.polling || s.isClosing {
		return
	}
	s.polling = true
	first := pollLate
	if !c.function.answered.Load() {
		first = pollSoon
	}
	s.running.Go(func() { s.poll(first) })
}

// poll looks for results as long as calls wait.
func (s *slotClient) poll(pause time.Duration) {
	moved := pollMoved
	for sleep(pause, s.closing) {
		due, named, any := s.due()
		if !any {
			return
		}
		lists, old := s.replies.toPoll(named)
		s.client.nodes.busy <- struct{}{} // so that many slots need few connections
		s.lookAtSingleUse(due)
		s.lookAtLists(lists)
		if len(old) > 0 {
			s.delete(old)
		}
		<-s.client.nodes.busy
		pause = pollLate
		for _, c := range due {
			if !c.function.answered.Load() || c.function.hasOldServers() {
				pause = pollSoon + time.Duration(len(due))*pollLoad
				break
			}
		}
		if len(lists) == 0 {
			moved = pollMoved
		} else {
			pause, moved = min(pause, moved), min(2*moved, pollLate)
		}
	}
}

// due returns the calls whose single-use lists are to be looked at now, which reply lists
// the calls that wait have named, and whether any call waits: else poll ends.
func (s *slotClient) due() (due []*pendingCall, named map[int]bool, any bool) {
	named = map[int]bool{}
	last := 0
	before := time.Now().Add(-pollSoon)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.pending {
		if c.list == 0 {
			continue
		}
		if any = true; c.list != last {
			last = c.list
			named[last] = true
		}
		// Where no old servers are known some calls, in no order, will show them.
		if c.sent.Before(before) && c.is(written) && !c.blocked.Load() && !c.long.Load() && (len(due) < pollSome || c.function.hasOldServers()) {
			due = append(due, c)
		}
	}
	s.polling = any
	return due, named, any
}

// lookAtSingleUse pops the results that have come on single-use lists.
func (s *slotClient) lookAtSingleUse(calls []*pendingCall) {
	for some := range slices.Chunk(calls, pollKeys) {
		keys := make([]string, len(some))
		for i, c := range some {
			keys[i] = c.singleUse()
		}
		exists := redis.NewIntCmd(s.dialer.life, commandArgs("exists", keys)...)
		asking := s.client.nodes.do(keys[0], exists)
		if n, err := exists.Result(); err == nil && n == 0 && !asking {
			continue // where a slot is being migrated each key has to be asked for
		} else if err != nil && !resp.IsError(err) {
			s.trouble(err)
			return
		}
		for i, message := range s.readFirst(keys) {
			if c := some[i]; len(message) > 0 {
				c.function.answeredBy(message)
				c.end(outcome{message: message})
			}
		}
	}
}

// readFirst returns the first elements of lists, which it deletes when it has them: if
// the connection is lost before they are still there.
func (s *slotClient) readFirst(keys []string) [][]byte {
	reads, messages := make([]redis.Cmder, len(keys)), make([][]byte, len(keys))
	for i, key := range keys {
		reads[i] = redis.NewStringCmd(s.dialer.life, "lindex", key, 0)
	}
	s.client.nodes.do(keys[0], reads...)
	var found []string
	for i, key := range keys {
		message, err := reads[i].(*redis.StringCmd).Bytes()
		if err == nil {
			messages[i] = message
			found = append(found, key)
		} else if !resp.IsError(err) {
			s.trouble(err)
		}
	}
	if len(found) > 0 {
		s.delete(found)
	}
	return messages
}

func (s *slotClient) delete(keys []string) {
	s.client.nodes.do(keys[0], redis.NewIntCmd(s.dialer.life, commandArgs("del", keys)...))
}

// lookAtLists hands over what is in reply lists, without removing it.
func (s *slotClient) lookAtLists(keys []string) {
	for _, key := range keys {
		for start := 0; ; start += readResults {
			read := redis.NewStringSliceCmd(s.dialer.life, "lrange", key, start, start+readResults-1)
			s.client.nodes.do(key, read)
			values, err := read.Result()
			if err != nil && !resp.IsError(err) {
				s.trouble(err)
				return
			}
			messages := make([][]byte, len(values))
			for i, v := range values {
				messages[i] = []byte(v)
			}
			s.deliver(messages, nil)
			if len(values) < readResults {
				break
			}
		}
	}
}

// fetchLong reads a result that was too long for the reply list, where a short message has
// told of it.
func (s *slotClient) fetchLong(c *pendingCall) {
	if c.long.Swap(true) {
		return // it is being read
	}
	s.start(func() {
		for again := (backoff{}); !c.is(ended); {
			s.client.long <- struct{}{}
			message := s.readFirst([]string{c.singleUse()})[0]
			<-s.client.long
			if len(message) > 0 {
				c.end(outcome{message: message})
			} else if !again.pause(nil, s.closing) {
				return
			}
		}
	})
}

// start runs f, unless s is closing, and reports whether it does.
func (s *slotClient) start(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosing {
		return false
	}
	s.running.Go(f)
	return true
}

// waitByBLPOP has a BLPOP wait for the result of a call that was pushed, if there is no
// other way, or if an old server may answer and there is a connection to be had for it.
func (s *slotClient) waitByBLPOP(c *pendingCall) {
	switch {
	case c.list == 0:
		if !c.reserved.CompareAndSwap(true, false) {
			return // the caller has left
		}
	case !c.function.hasOldServers() || c.blocked.Load():
		return
	default:
		select {
		case <-s.client.blpops:
		default:
			return // its single-use list is looked at
		}
	}
	c.blocked.Store(true)
	if !s.start(func() {
		s.popSingleUse(c)
		s.client.blpops <- struct{}{}
	}) {
		s.client.blpops <- struct{}{}
	}
}

// popSingleUse waits until a result comes on a single-use list, or the call has ended.
func (s *slotClient) popSingleUse(c *pendingCall) {
	defer c.blocked.Store(false)
	var again backoff
	for !c.is(ended) && time.Now().Before(c.deadline) {
		d := min(time.Until(c.deadline), s.dialer.block())
		if s.client.wholeSeconds.Load() {
			d = time.Second
		}
		pop := redis.NewStringSliceCmd(s.dialer.life, "blpop", c.singleUse(), blockFor(d))
		s.client.nodes.do(c.singleUse(), pop)
		got, err := pop.Result()
		switch {
		case err == nil && len(got) == 2:
			if got[1] != "" {
				message := []byte(got[1])
				c.function.answeredBy(message)
				c.blocked.Store(false) // before the caller looks
				c.end(outcome{message: message})
			}
			return
		case err == redis.Nil:
		case redis.HasErrorPrefix(err, "timeout is not ") && !s.client.wholeSeconds.Swap(true):
		case resp.IsError(err) && !isTransient(err):
			if c.list == 0 {
				c.fail(ErrNoResult, err)
			}
			return
		default:
			s.trouble(err)
			if !again.pause(nil, s.closing) {
				return
			}
		}
	}
}

// unblock ends the BLPOP of a call that has ended otherwise: it pops an empty message.
func (s *slotClient) unblock(c *pendingCall) {
	s.pushes.push(unblocking(c.singleUse()))
}

// An unblocking is an empty message for a BLPOP.
type unblocking string

func (u unblocking) begin() (queueMessage, bool) {
	return queueMessage{key: string(u), message: []byte{}, life: time.Second}, true
}

func (unblocking) settle(pushResult)      {} // without it the BLPOP ends in a moment
func (unblocking) unreachable(error) bool { return false }

// blockFor renders a time to block: a whole number where it is one, as Redis
// before 6.0 takes nothing else. Zero would mean for ever, so it is never less
// than a millisecond.
func blockFor(d time.Duration) string {
	if d == d.Truncate(time.Second) && d > 0 {
		return strconv.Itoa(int(d / time.Second))
	}
	return strconv.FormatFloat(max(d, time.Millisecond).Seconds(), 'f', 3, 64)
}

package rpc

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"redrpc/rpc/internal/resp"
)

// A queuePush is a message on its way to a list: a call to its queue, or a result to its
// caller.
type queuePush interface {
	// begin returns what to append to which list, or reports that it is no longer to be
	// done. The message is not to change before settle.
	begin() (m queueMessage, ok bool)

	// settle is told what became of it, once for each begin.
	settle(r pushResult)

	// unreachable is told that it waits while Redis cannot be reached, and reports
	// whether it waits on.
	unreachable(err error) bool
}

// A queueMessage is what is appended to a list.
type queueMessage struct {
	key     string
	message []byte
	life    time.Duration // of the list, from then on
	again   bool          // it may be there already: the list is deleted before
}

// A pushResult is what became of a queuePush that was begun.
type pushResult struct {
	pushOutcome
	err error // Redis's, or why the connection was lost
}

type pushOutcome int

const (
	pushed     pushOutcome = iota // Redis has it
	refused                       // Redis said no
	notWritten                    // certainly not in Redis, and not the reason why: it may be sent again
	cutOff                        // not in Redis, as the end of the transaction was not written
	unknown                       // the connection was lost before Redis confirmed it
)

// A batch is what is pushed in one transaction: each list is appended to and its life
// set, both or neither.
type batch struct {
	pushes  []listPush
	asked   time.Time // when it asked for Redis's clock, if it did
	size    int       // bytes
	sent    int       // of them
	written time.Time // when they were
	end     int64     // bytes that had been written on the connection then
}

// A listPush is what is appended to one list.
type listPush struct {
	key      string
	life     time.Duration
	again    bool
	messages [][]byte
	owners   []queuePush // of each message
	result   pushResult
}

// add adds what is pushed, with others to the same list if there are any.
func (b *batch) add(q queuePush, m queueMessage) {
	n := len(b.pushes)
	for i := n - 1; i >= max(0, n-8) && !m.again; i-- {
		if same := &b.pushes[i]; same.key == m.key && same.life == m.life && !same.again {
			same.messages = append(same.messages, m.message)
			same.owners = append(same.owners, q)
			return
		}
	}
	b.pushes = slices.Grow(b.pushes, 1)[:n+1] // with the memory of an earlier one
	p := &b.pushes[n]
	*p = listPush{key: m.key, life: m.life, again: m.again, messages: append(p.messages[:0], m.message), owners: append(p.owners[:0], q)}
}

func (b *batch) clear() {
	for i := range b.pushes {
		p := &b.pushes[i]
		clear(p.messages)
		clear(p.owners)
		p.owners = p.owners[:0]
	}
	b.pushes = b.pushes[:0]
}

// settle tells the owners what became of their messages.
func (b *batch) settle() {
	for i := range b.pushes {
		for _, q := range b.pushes[i].owners {
			q.settle(b.pushes[i].result)
		}
	}
}

// lose settles a batch whose connection was lost before its replies came. multi says that
// Redis takes MULTI.
func (b *batch) lose(multi bool, err error) {
	r := pushResult{unknown, err}
	switch {
	case b.sent == 0 || err == errCut: // Redis has not read it
		r.pushOutcome = notWritten
	case b.sent < b.size && multi: // without its EXEC
		r.pushOutcome = cutOff
	}
	for i := range b.pushes {
		b.pushes[i].result = r
	}
	b.settle()
}

func (b *batch) appendTo(out []byte) []byte {
	for i := range b.pushes {
		if b.pushes[i].again {
			out = resp.AppendCommand(out, "DEL", b.pushes[i].key)
		}
	}
	out = append(out, "*1\r\n$5\r\nMULTI\r\n"...)
	for i := range b.pushes {
		p := &b.pushes[i]
		out = resp.AppendArray(out, 2+len(p.messages))
		out = append(out, "$5\r\nRPUSH\r\n"...)
		out = resp.AppendArg(out, p.key)
		for _, m := range p.messages {
			out = resp.AppendArg(out, m)
		}
		out = append(out, "*3\r\n$6\r\nEXPIRE\r\n"...)
		out = resp.AppendArg(out, p.key)
		out = resp.AppendArg(out, strconv.FormatInt(wholeSeconds(p.life), 10))
	}
	return append(out, "*1\r\n$4\r\nEXEC\r\n"...)
}

// wholeSeconds rounds up, as EXPIRE takes no less.
func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// What readFrom returns if the results are known, but nothing can be read any more.
var (
	errCut  = errors.New("the connection is closed by Redis because of what it was sent") // it has read nothing of what was sent after that
	errOpen = errors.New("the transaction may still be open")
)

// readFrom reads the replies, and with them the results. After an error, but for errCut and
// errOpen, these are not known. multi reports whether Redis took MULTI: then nothing is
// done before EXEC.
func (b *batch) readFrom(r *resp.Reader) (multi bool, err error) {
	for i := range b.pushes {
		if b.pushes[i].again {
			if _, err := r.Skip(); err != nil {
				return false, err
			}
		}
	}
	noMulti, err := r.Skip()
	if err != nil {
		return false, err
	}
	multi = noMulti == nil
	others := pushResult{pushOutcome: pushed} // of those that were not refused
	for i := range b.pushes {
		push, err := r.Skip()
		if err != nil {
			return multi, err
		}
		if push != nil && strings.HasPrefix(push.Error(), "ERR Protocol error") {
			// Redis reads no further, so nothing of the transaction is done.
			for j := range b.pushes {
				b.pushes[j].result = pushResult{notWritten, push}
			}
			b.pushes[i].result.pushOutcome = refused
			return true, errCut
		}
		expire, err := r.Skip()
		if err != nil {
			return multi, err
		}
		if push == nil && multi {
			push = expire // either keeps the transaction from running
		}
		b.pushes[i].result = pushResult{}
		if push != nil { // such as OOM, READONLY, NOPERM
			b.pushes[i].result = pushResult{refused, push}
			others.pushOutcome = notWritten
		}
	}
	n, err := r.Array()
	switch {
	case err == nil && n == 2*len(b.pushes):
		return true, b.readExec(r)
	case err == nil:
		return true, fmt.Errorf("expected %d replies from EXEC, got %d", 2*len(b.pushes), n)
	case !resp.IsError(err): // or null
		return multi, fmt.Errorf("expected what EXEC did: %w", err)
	case !multi: // it is forbidden, so each command ran at once
		return false, nil
	}
	text := err.Error()
	if others.pushOutcome == pushed { // EXEC itself was refused
		others = pushResult{refused, err}
		if _, why, ok := strings.Cut(text, "EXECABORT Transaction discarded because of: "); ok {
			others.err = resp.Error(why)
		}
	}
	for i := range b.pushes {
		if p := &b.pushes[i]; p.result.pushOutcome != refused {
			p.result = others
		}
	}
	if !strings.HasPrefix(text, "EXECABORT") {
		return true, errOpen
	}
	return true, nil
}

// readExec reads what each command of the transaction did.
func (b *batch) readExec(r *resp.Reader) error {
	for i := range b.pushes {
		no, err := r.Skip() // such as WRONGTYPE
		if err != nil {
			return err
		}
		if no != nil {
			b.pushes[i].result = pushResult{refused, no}
		}
		if _, err := r.Skip(); err != nil {
			return err
		}
	}
	return nil
}

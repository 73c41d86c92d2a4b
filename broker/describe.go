package broker

import (
	"fmt"
	"time"
	"unsafe"
)

// What CLIENT LIST tells of a client.

// replyBlock is how many bytes of replies Redis keeps in a block, which oll counts.
const replyBlock = 16 << 10

// String describes the client as CLIENT LIST does, with the fields of Redis in its
// order. What a client has not read in memory counts as what a socket did not take.
func (s *session) String() string {
	b := s.broker
	addr, laddr := s.transport.addresses()
	queuedCommands := -1
	if s.transaction.open || s.transaction.running {
		queuedCommands = len(s.transaction.queue)
	}
	name := "NULL"
	if s.command != nil {
		name = s.command.FullName
	}
	unread := s.transport.backlog()
	events := "r"
	if unread > 0 {
		events = "rw"
	}
	seconds := func(since int64) int64 { return (b.keys.Now - since) / int64(time.Second) }
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d "+
		"qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=%d rbs=%d rbp=%d obl=%d oll=%d omem=%d tot-mem=%d events=%s cmd=%s user=%s redir=%d resp=%d",
		s.id, addr, laddr, s.transport.descriptor(), s.name, seconds(s.created), seconds(s.used), s.flags(), s.db.Index,
		len(s.subscriptions[channels]), len(s.subscriptions[patterns]), len(s.subscriptions[shards]), queuedCommands,
		s.requests.Buffered(), s.requests.Spare(), s.argumentBytes(), s.transaction.bytes, cap(s.out), s.outPeak, len(s.out),
		(unread+replyBlock-1)/replyBlock, unread, s.memory(), events, name, s.user.name, s.tracking.redirection(), s.protocol)
}

// memory is how many bytes a client takes, but for what it subscribes to, tracks and
// watches.
func (s *session) memory() int {
	return int(unsafe.Sizeof(*s)) + s.requests.Buffered() + s.requests.Spare() + s.heldBytes() + s.transaction.bytes +
		cap(s.out) + s.transport.backlog()
}

// heldBytes is how many bytes the arguments of a command have that may not run yet.
func (s *session) heldBytes() int {
	if s.postponed == nil {
		return 0
	}
	return s.postponed.bytes
}

// argumentBytes is how many bytes the arguments of a command have that runs, waits or may
// not run yet.
func (s *session) argumentBytes() int {
	switch {
	case s.postponed != nil:
		return s.postponed.bytes
	case s.waiter == nil:
		return s.requests.Running()
	}
	n := 0
	for _, arg := range keptArgumentsOf(s.kept) {
		n += len(arg)
	}
	return n
}

// flags are the letters by which CLIENT LIST tells what a client is doing.
func (s *session) flags() string {
	f := ""
	for _, flag := range []struct {
		on     bool
		letter string
	}{
		{s.monitors, "O"},
		{s.subscriptions.any(), "P"},
		{s.transaction.open || s.transaction.running, "x"},
		{s.blocked(), "b"},
		{s.tracking.on, "t"},
		{s.tracking.broken, "R"},
		{s.tracking.broadcast, "B"},
		{s.transaction.watchedChanged, "d"},
		{s.closing, "c"},
		{s.transport.isUnix(), "U"},
		{s.noEvict, "e"},
	} {
		if flag.on {
			f += flag.letter
		}
	}
	if f == "" {
		return "N"
	}
	return f
}

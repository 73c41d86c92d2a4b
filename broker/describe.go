package broker

import (
	"fmt"
	"time"
	"unsafe"
)

// What CLIENT LIST tells of a client. Fields of Redis's that say nothing here are
// left out.

// String describes the client as CLIENT LIST does.
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
	seconds := func(since int64) int64 { return (b.keys.Now - since) / int64(time.Second) }
	return fmt.Sprintf("id=%d addr=%s laddr=%s name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d "+
		"qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=%d rbs=%d obl=%d omem=%d tot-mem=%d cmd=%s user=%s redir=%d resp=%d",
		s.id, addr, laddr, s.name, seconds(s.created), seconds(s.used), s.flags(), s.db.Index,
		len(s.subscriptions[channels]), len(s.subscriptions[patterns]), len(s.subscriptions[shards]), queuedCommands,
		s.requests.Buffered(), s.requests.Spare(), s.heldBytes(), s.transaction.bytes, cap(s.out), len(s.out), s.transport.backlog(),
		s.memory(), name, s.user.name, s.tracking.redirection(), s.protocol)
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

package broker

import "redrpc/broker/internal/resp"

// How much memory the data take. It is known at any time while there is a limit to
// hold (Options.MaxMemory), and counted when it is asked for else.

// emptyBytes is what a broker without keys counts for: about as much as Redis. So
// a limit of a few bytes refuses every write, in both.
const emptyBytes = 1 << 20

// entryBytes is what a key takes besides its name and its value: the entry, its
// places in the map and in the order, and what the allocator rounds up.
const entryBytes = 160

// footprint is the memory of a key and its value in bytes, about.
func (e *entry) footprint() int { return entryBytes + len(e.key) + e.value.size() }

func (t *stringValue) size() int { return 32 + cap(t.bytes) }
func (l *list) size() int        { return 96 + l.packed }

// measure brings the count up to date after an entry changed.
func (b *Broker) measure(e *entry) {
	n := e.footprint()
	b.used += n - e.bytes
	e.bytes = n
	b.peak = max(b.peak, emptyBytes+b.used)
}

// usedMemory is what the data take, in bytes.
func (b *Broker) usedMemory() int {
	if b.options.MaxMemory == 0 {
		b.measureAll()
	}
	b.peak = max(b.peak, emptyBytes+b.used)
	return emptyBytes + b.used
}

// measureAll counts anew.
func (b *Broker) measureAll() {
	for _, d := range b.dbs {
		for _, e := range d.order {
			b.measure(e)
		}
	}
}

// outOfMemory is the answer to a command that could need more memory while the data
// take more than they may.
var outOfMemory = resp.ErrorReply("OOM command not allowed when used memory > 'maxmemory'.")

// lacksMemory reports whether a command has to be refused. In a transaction every
// command is, as to queue it takes memory too; EXEC only if what was queued is
// refused alone.
func (s *session) lacksMemory(cmd *command) bool {
	b := s.broker
	if emptyBytes+b.used <= b.options.MaxMemory {
		return false
	}
	if !s.transaction.open {
		return cmd.flags&denyOOM != 0
	}
	switch cmd.fullName {
	case "exec":
		for _, q := range s.transaction.queue {
			if q.command.flags&denyOOM != 0 {
				return true
			}
		}
		return false
	case "discard", "quit", "reset":
		return false
	}
	return true
}

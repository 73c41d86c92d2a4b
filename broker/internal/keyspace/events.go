package keyspace

import (
	"strings"
)

// Events of keys, which are published on channels: for each event on one that is named
// for the key and one that is named for the event, as far as Redis's
// notify-keyspace-events says so.

// An EventClass is a set of kinds of events, and of the channels to publish them
// on.
type EventClass uint16

const (
	GenericEvent EventClass = 1 << iota
	StringEvent
	ListEvent
	SetEvent
	HashEvent
	ZsetEvent
	ExpiredEvent
	EvictedEvent
	StreamEvent
	ModuleEvent
	NewEvent         // a key was made
	KeyspaceChannels // publish on __keyspace@db__:key
	KeyeventChannels // publish on __keyevent@db__:event
	MissEvent        // a key was to be read that does not exist

	AllEvents = NewEvent - 1
)

// EventLetters are the letters of the classes, in their order. "A" stands for
// AllEvents.
const EventLetters = "g$lshzxetdnKEm"

// ParseEvents reads classes by their letters. It ends at a zero byte, as Redis
// does.
func ParseEvents(letters string) (classes EventClass, valid bool) {
	letters, _, _ = strings.Cut(letters, "\x00")
	for _, letter := range []byte(letters) {
		i := strings.IndexByte(EventLetters, letter)
		switch {
		case letter == 'A':
			classes |= AllEvents
		case i < 0:
			return 0, false
		default:
			classes |= 1 << i
		}
	}
	return classes, true
}

// String writes classes by their letters. Next to "A" Redis does not write "n".
func (e EventClass) String() string {
	letters := ""
	if e&AllEvents == AllEvents {
		letters = "A"
		e &^= AllEvents | NewEvent
	}
	for i, letter := range []byte(EventLetters) {
		if e&(1<<i) != 0 {
			letters += string(letter)
		}
	}
	return letters
}

// Notify publishes what happened to a key, if anybody asked for events of its class.
func (k *Keyspace) Notify(d *DB, key []byte, class EventClass, event string) {
	if k.Events&class != 0 {
		k.hooks.Notify(d, string(key), event)
	}
}

package broker

import (
	"strconv"
	"strings"
)

// Keyspace notifications: what happens to keys is published on channels, for each
// event on one that is named for the key and one that is named for the event, as
// far as Redis's notify-keyspace-events says so.

// An eventClass is a set of kinds of events, and of the channels to publish them
// on.
type eventClass uint16

const (
	genericEvent eventClass = 1 << iota
	stringEvent
	listEvent
	setEvent
	hashEvent
	zsetEvent
	expiredEvent
	evictedEvent
	streamEvent
	moduleEvent
	newEvent  // a key was made
	keyspace  // publish on __keyspace@db__:key
	keyevent  // publish on __keyevent@db__:event
	missEvent // a key was to be read that does not exist

	allEvents = newEvent - 1
)

// eventLetters are the letters of the classes, in their order. "A" stands for
// allEvents.
const eventLetters = "g$lshzxetdnKEm"

// parseEvents reads classes by their letters. It ends at a zero byte, as Redis
// does.
func parseEvents(letters string) (classes eventClass, valid bool) {
	letters, _, _ = strings.Cut(letters, "\x00")
	for _, letter := range []byte(letters) {
		i := strings.IndexByte(eventLetters, letter)
		switch {
		case letter == 'A':
			classes |= allEvents
		case i < 0:
			return 0, false
		default:
			classes |= 1 << i
		}
	}
	return classes, true
}

// String writes classes by their letters. Next to "A" Redis does not write "n".
func (e eventClass) String() string {
	letters := ""
	if e&allEvents == allEvents {
		letters = "A"
		e &^= allEvents | newEvent
	}
	for i, letter := range []byte(eventLetters) {
		if e&(1<<i) != 0 {
			letters += string(letter)
		}
	}
	return letters
}

// changed tells everyone who depends on its value that the client changed a key of
// its database, and publishes what happened to it. A handler calls it once for each
// change, after making it.
func (c *call) changed(key []byte, class eventClass, event string) {
	c.signalModified(c.session, c.db, key)
	c.notify(c.db, key, class, event)
}

// notify publishes what happened to a key, if anybody asked for events of its
// class.
func (b *Broker) notify(d *database, key []byte, class eventClass, event string) {
	if b.options.events&class != 0 {
		b.publishEvent(d, string(key), event)
	}
}

func (b *Broker) publishEvent(d *database, key, event string) {
	for _, to := range []struct {
		class                  eventClass
		prefix, name, contents string
	}{
		{keyspace, "__keyspace@", key, event},
		{keyevent, "__keyevent@", event, key},
	} {
		if b.options.events&to.class != 0 {
			channel := to.prefix + strconv.Itoa(d.index) + "__:" + to.name
			b.pubsub.publish(channels, []byte(channel), []byte(to.contents))
		}
	}
}

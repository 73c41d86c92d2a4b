package broker

import (
	"strconv"

	"redrpc/broker/internal/keyspace"
)

// hooks implements keyspace.Hooks: modified and expired keys, and keyspace notifications.
type hooks struct{ *Broker }

// Modified fails transactions that watch a key, and invalidates it for client tracking.
func (h hooks) Modified(by keyspace.Caller, d *keyspace.DB, key string) {
	if len(h.watched[d.Index]) > 0 {
		h.touchWatched(d, key)
	}
	if h.tracking.active {
		s, _ := by.(*session)
		if s != nil {
			s = s.origin()
		}
		h.tracking.changed(s, key)
	}
}

// Expired signals that a key has expired; during CLIENT PAUSE, at its end.
func (h hooks) Expired(d *keyspace.DB, key string) {
	if h.pause.mode == notPaused {
		h.tellExpired(d, key)
	} else {
		h.pause.expired = append(h.pause.expired, readyKey{db: d, key: key})
	}
	h.touchWatched(d, key)
}

// tellExpired counts and publishes the event, and invalidates the key.
func (b *Broker) tellExpired(d *keyspace.DB, key string) {
	b.keys.Expired++
	b.keys.Notify(d, []byte(key), keyspace.ExpiredEvent, "expired")
	if b.tracking.active {
		b.tracking.changed(nil, key)
	}
}

// Notify publishes a keyspace notification.
func (h hooks) Notify(d *keyspace.DB, key, event string) {
	for _, to := range []struct {
		class                  keyspace.EventClass
		prefix, name, contents string
	}{
		{keyspace.KeyspaceChannels, "__keyspace@", key, event},
		{keyspace.KeyeventChannels, "__keyevent@", event, key},
	} {
		if h.keys.Events&to.class != 0 {
			channel := to.prefix + strconv.Itoa(d.Index) + "__:" + to.name
			h.pubsub.publish(channels, []byte(channel), []byte(to.contents))
		}
	}
}

// updateWatched tells the keyspace in which databases modified keys are of interest.
func (b *Broker) updateWatched() {
	for i, d := range b.keys.DBs {
		d.Watched = b.tracking.active || len(b.watched[i]) > 0
	}
}

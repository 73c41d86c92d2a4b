package broker

import "redrpc/broker/internal/alarm"

// Keys are evicted before a command runs, as in Redis, and not in a script or a transaction. When
// the limit is changed they also are if no command comes.

// An evictor evicts keys without a command.
type evictor struct {
	broker *Broker
	alarm  alarm.Alarm
}

// evictSoon evicts keys at the next moment, unless a command does so before.
func (b *Broker) evictSoon() { b.keys.Alarms.Set(&b.evictor.alarm, &b.evictor, b.keys.Now+1) }

// Due evicts keys. In a pause that is left to the commands after it.
func (v *evictor) Due() {
	if b := v.broker; b.options.MaxMemory > 0 && b.pause.mode == notPaused {
		b.keys.Evict()
	}
}

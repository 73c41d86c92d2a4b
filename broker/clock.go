package broker

import "time"

// A clock tells the time of a broker, in nanoseconds since 1970. A real clock
// never goes back, whatever happens to the machine's; a manual one stands still
// until it is set.
type clock struct {
	manual bool
	start  time.Time // real: when the clock was made, with a monotonic reading
	now    int64     // manual: the time
}

func newClock(manual time.Time) clock {
	if manual.IsZero() {
		return clock{start: time.Now()}
	}
	return clock{manual: true, now: manual.UnixNano()}
}

func (c *clock) read() int64 {
	if c.manual {
		return c.now
	}
	return c.start.UnixNano() + int64(time.Since(c.start))
}

// An alarm is a time at which something is due: a key to delete, for example, or
// a client that has waited long enough.
type alarm struct {
	at    int64 // nanoseconds since 1970
	place int   // in the heap, counted from 1; 0: not set
	owner owner
}

// An owner of an alarm does what is due. It is called under the broker's lock, and
// its alarm is not set any more.
type owner interface{ due(*Broker) }

// alarms is a heap with the earliest alarm first.
type alarms []*alarm

// set makes an alarm go off at a time, at which its owner does what is due.
func (h *alarms) set(a *alarm, o owner, at int64) {
	a.at, a.owner = at, o
	if a.place == 0 {
		*h = append(*h, a)
		a.place = len(*h)
	}
	h.up(a.place)
	h.down(a.place)
}

func (h *alarms) clear(a *alarm) {
	if a.place == 0 {
		return
	}
	i, last := a.place, len(*h)
	h.swap(i, last)
	(*h)[last-1] = nil
	*h = (*h)[:last-1]
	a.place = 0
	if i < last {
		h.up(i)
		h.down(i)
	}
}

// first returns the earliest alarm, or nil.
func (h alarms) first() *alarm {
	if len(h) == 0 {
		return nil
	}
	return h[0]
}

func (h alarms) swap(i, j int) {
	h[i-1], h[j-1] = h[j-1], h[i-1]
	h[i-1].place, h[j-1].place = i, j
}

func (h alarms) up(i int) {
	for i > 1 && h[i-1].at < h[i/2-1].at {
		h.swap(i, i/2)
		i /= 2
	}
}

func (h alarms) down(i int) {
	for {
		child := 2 * i
		if child > len(h) {
			return
		}
		if child < len(h) && h[child].at < h[child-1].at {
			child++
		}
		if h[i-1].at <= h[child-1].at {
			return
		}
		h.swap(i, child)
		i = child
	}
}

// runDue sounds every alarm whose time has come.
func (b *Broker) runDue() {
	b.setTime()
	for a := b.alarms.first(); a != nil && a.at <= b.now; a = b.alarms.first() {
		b.alarms.clear(a)
		a.owner.due(b)
	}
}

// setTime reads the clock.
func (b *Broker) setTime() {
	b.now = b.clock.read()
	b.second = uint32(b.now / int64(time.Second))
}

// rearm makes the timer go off at the next alarm. There is no timer while there
// is nothing to wait for.
func (b *Broker) rearm() {
	if b.clock.manual || b.closed {
		return
	}
	a := b.alarms.first()
	switch {
	case a == nil:
		if b.armed != 0 {
			b.timer.Stop()
			b.armed = 0
		}
	case b.armed == 0 || a.at < b.armed:
		b.armed = a.at
		wait := max(0, time.Duration(a.at-b.clock.read()))
		if b.timer == nil {
			b.timer = time.AfterFunc(wait, b.tick)
		} else {
			b.timer.Reset(wait)
		}
	}
}

// tick is called by the timer. It may come early, when the alarm that it was set
// for has been cleared since.
func (b *Broker) tick() {
	if !b.goroutines.enter("timer") {
		return
	}
	defer b.goroutines.leave("timer")
	b.enter()
	b.armed = 0
	b.leave()
}

// Advance moves a manual clock forward and lets everything happen on the way
// that was due, in order and at its own time: keys expire, and blocked clients
// time out. It panics if the broker's clock is real, or d is negative.
func (b *Broker) Advance(d time.Duration) {
	if !b.clock.manual {
		panic("broker: Advance: the broker has no manual clock, see Options.ManualTime")
	}
	if d < 0 {
		panic("broker: Advance: time does not go back")
	}
	b.enter()
	until := b.clock.now + int64(d)
	for a := b.alarms.first(); a != nil && a.at <= until; a = b.alarms.first() {
		b.clock.now = max(b.clock.now, a.at)
		b.runDue()
		b.settle()
	}
	b.clock.now = until
	b.leave()
}

// Now is the time by the broker's clock.
func (b *Broker) Now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Unix(0, b.clock.read())
}

// milliseconds is the time of the running command in milliseconds since 1970,
// the unit of Redis's expiry.
func (b *Broker) milliseconds() int64 { return b.now / int64(time.Millisecond) }

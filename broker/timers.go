package broker

import (
	"errors"
	"math"
	"time"

	"redrpc/broker/internal/alarm"
)

// A clock tells the time of a broker, in nanoseconds since 1970. A real clock
// never goes back, whatever happens to the machine's; a manual one stands still
// until it is set.
type clock struct {
	manual   bool
	inBubble bool      // it was made in a testing/synctest bubble
	start    time.Time // when the clock was made, with a monotonic reading unless it is in a bubble
	now      int64     // manual: the time; real: the time at start
}

func newClock(manual time.Time) clock {
	c := clock{manual: !manual.IsZero(), inBubble: inBubble(), start: time.Now(), now: manual.UnixNano()}
	if !c.manual {
		c.now = c.start.UnixNano()
	}
	return c
}

// inBubble reports whether the caller is in a testing/synctest bubble: there time.Now has
// no monotonic reading.
func inBubble() bool {
	now := time.Now()
	return now == now.Round(0)
}

// elsewhere returns an error if the caller is in a bubble and the clock is not, or the
// other way round. A manual clock is at home everywhere.
func (c *clock) elsewhere() error {
	switch {
	case c.manual || c.inBubble == inBubble():
		return nil
	case c.inBubble:
		return errors.New("broker: the broker was made in a testing/synctest bubble and is used outside of it")
	}
	return errors.New("broker: the broker was made outside of the testing/synctest bubble in which it is used: make it in the function that synctest.Test calls")
}

// longStep is less than lies between the time of a bubble, which begins with the year
// 2000, and that outside of it, and more than a broker is left alone for.
const longStep = int64(10 * 365 * 24 * time.Hour)

// checkClock panics if the time, which has made a long step, is another than that of the
// broker's clock. Go on it must not: the first timer that is used in and outside of a
// bubble ends the process. The lock is released before.
func (b *Broker) checkClock() {
	if err := b.clock.elsewhere(); err != nil {
		b.mu.Unlock()
		panic(err.Error())
	}
}

// elapsed is by how much real time has gone on since the clock was made, in
// nanoseconds. It is what commands are measured with, whatever the clock.
func (c *clock) elapsed() int64 { return int64(time.Since(c.start)) }

// at is the time that the clock shows when so much real time has gone on.
func (c *clock) at(elapsed int64) int64 {
	if c.manual {
		return c.now
	}
	return c.now + elapsed
}

func (c *clock) read() int64 { return c.at(c.elapsed()) }

// runDue does all that is due, in order. During a stall that is nothing, and at its
// end the alarms of that time come before the commands.
func (b *Broker) runDue() {
	b.setTime()
	if b.keys.Now >= b.stats.nextSample {
		b.takeSample()
	}
	if b.isBusy() {
		return
	}
	if b.stall.until != 0 {
		if b.keys.Now < b.stall.until {
			return
		}
		b.fireAlarms(b.stall.until)
		b.endStall()
		b.afterBatch()
	}
	if b.stall.until == 0 {
		b.fireAlarms(b.keys.Now)
	}
}

// fireAlarms sounds the alarms that are set for a time or before, and lets clients go on
// after each. A stall that begins meanwhile is the end of it.
func (b *Broker) fireAlarms(until int64) {
	for stall := b.stall.until; b.stall.until == stall; b.afterBatch() {
		a := b.keys.Alarms.First()
		if a == nil || a.At > until {
			return
		}
		b.keys.Alarms.Clear(a)
		b.fire(a.Owner)
	}
}

// fire lets the owner of an alarm do what is due.
func (b *Broker) fire(o alarm.Owner) {
	defer b.recoverPanic()
	o.Due()
}

// setTime reads the clock.
func (b *Broker) setTime() {
	b.startLap()
	b.keys.Now = b.clock.at(b.measuredUntil)
	b.keys.Second = uint32(b.keys.Now / int64(time.Second))
}

// next is when something is due next, if at all.
func (b *Broker) next() (at int64, ok bool) {
	if b.stall.until != 0 {
		return b.stall.until, true
	}
	if a := b.keys.Alarms.First(); a != nil {
		return a.At, true
	}
	return 0, false
}

// rearm makes the timer go off when something is due next. There is no timer while
// there is nothing to wait for.
func (b *Broker) rearm() {
	if b.clock.manual || b.closed || b.isBusy() {
		return
	}
	at, ok := b.next()
	switch {
	case !ok:
		if b.armed != 0 {
			b.timer.Stop()
			b.armed = 0
		}
	case b.armed == 0 || at < b.armed:
		b.armed = at
		wait := max(0, time.Duration(at-b.clock.read()))
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
// time out. It panics if the broker's clock is real, d is negative, or the clock would
// pass the year 2262, where it ends.
func (b *Broker) Advance(d time.Duration) {
	if !b.clock.manual {
		panic("broker: Advance: the broker has no manual clock, see Options.ManualTime")
	}
	if d < 0 {
		panic("broker: Advance: time does not go back")
	}
	b.enterIdle()
	defer b.leave()
	if d > b.timeLeft() {
		panic("broker: Advance: time ends in the year 2262")
	}
	b.advance(d)
}

// timeLeft is how far a manual clock can be moved: to the end of time, in the year 2262,
// less what clients have asked for already.
func (b *Broker) timeLeft() time.Duration {
	left := time.Duration(math.MaxInt64 - b.clock.now)
	for _, m := range b.moves {
		left -= m.by
	}
	return left
}

func (b *Broker) advance(d time.Duration) {
	until := b.clock.now + int64(d)
	for at, ok := b.next(); ok && at <= until; at, ok = b.next() {
		b.clock.now = max(b.clock.now, at)
		b.runDue()
	}
	b.clock.now = until
}

// Now is the time by the broker's clock.
func (b *Broker) Now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Unix(0, b.clock.read())
}

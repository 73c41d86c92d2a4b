package bench

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

// A pacer waits for points of time of a run, more precisely than timers do, which
// come up to 1 ms late. It belongs to one goroutine.
type pacer struct {
	elapsed func() time.Duration
	stop    <-chan struct{}
	alarm   *alarm // nil: timers alone
	spin    spinner
}

// Of the time to wait a timer gets what is more than timerMargin, as it may be late
// and can be stopped; the alarm what is more than spinMargin, about what it takes to
// wake up; and reading the clock the rest.
const (
	timerMargin = 2 * time.Millisecond
	spinMargin  = 50 * time.Microsecond
)

func (r *run) newPacer(sending context.Context) *pacer {
	p := &pacer{elapsed: r.elapsed, stop: sending.Done()}
	if !r.fake {
		p.alarm = newAlarm()
	}
	p.spin = spinner{elapsed: r.elapsed, mode: r.cfg.Spin, spun: &r.spun, cores: runtime.GOMAXPROCS(0)}
	return p
}

func (p *pacer) close() {
	if p.alarm != nil {
		p.alarm.close()
	}
}

// until waits for the time and reports whether it came before the run stopped.
func (p *pacer) until(at time.Duration) bool {
	for {
		wait := at - p.elapsed()
		switch {
		case wait <= 0:
			select {
			case <-p.stop:
				return false
			default:
				return true
			}
		case p.alarm == nil:
			if !p.timer(wait) {
				return false
			}
		case wait > timerMargin:
			if !p.timer(wait - timerMargin) {
				return false
			}
		case !p.spin.may():
			p.sleep(wait)
		case wait > spinMargin:
			p.sleep(wait - spinMargin)
		default:
			p.spin.until(at)
		}
	}
}

func (p *pacer) sleep(d time.Duration) {
	if !p.alarm.sleep(d) {
		p.timer(d)
	}
}

func (p *pacer) timer(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.stop:
		return false
	}
}

// inBubble reports whether time is that of testing/synctest, which begins with the
// year 2000 and which only Go's own timers keep.
func inBubble() bool { return time.Now().UTC().Year() == 2000 }

// A spinner waits by reading the clock, if a core is free for that.
type spinner struct {
	elapsed func() time.Duration
	mode    Spin
	cores   int
	spun    *atomic.Int64 // time, so far

	// Of SpinAuto: what was seen since looked, and what follows from it.
	looked          time.Duration
	used, spunSince time.Duration
	spins, torn     int
	busy            bool
}

// A core is looked for every lookEvery. There is none if, spinning aside, this
// process has used more than all cores but one, or if more than one of 20 spins
// was interrupted for tornBy, by who else wants the core.
const (
	lookEvery = 100 * time.Millisecond
	tornBy    = 200 * time.Microsecond
	tornShare = 20
)

// may reports whether to spin.
func (s *spinner) may() bool {
	switch {
	case s.mode == SpinOn:
		return true
	case s.mode == SpinOff || s.cores < 2:
		return false
	}
	now := s.elapsed()
	passed := now - s.looked
	if passed < lookEvery {
		return !s.busy
	}
	used, ok := processorTime()
	spun := time.Duration(s.spun.Load())
	work := (used - s.used) - (spun - s.spunSince)
	s.busy = !ok || s.used > 0 && work > time.Duration(s.cores-1)*passed || s.torn*tornShare > s.spins
	s.looked, s.used, s.spunSince, s.spins, s.torn = now, used, spun, 0, 0
	return !s.busy
}

func (s *spinner) until(at time.Duration) {
	runtime.Gosched() // to who was released just now
	began := s.elapsed()
	s.spins++
	last := began
	for last < at {
		now := s.elapsed()
		if now-last > tornBy {
			s.torn++
		}
		last = now
	}
	s.spun.Add(int64(last - began))
}

package bench

import (
	"context"
	"time"
)

// A pacer waits for points of time of a run, more precisely than timers do, which
// come up to 1 ms late. It belongs to one goroutine.
type pacer struct {
	elapsed func() time.Duration
	stop    <-chan struct{}
	precise bool // the precise functions work here
	thread  thread
}

// Of the time to wait a timer gets what is more than timerMargin, as it may be late
// and can be stopped, and the thread's sleep what is more than spinMargin.
const (
	timerMargin = 2 * time.Millisecond
	spinMargin  = 80 * time.Microsecond
)

func (r *run) newPacer(sending context.Context) *pacer {
	p := &pacer{elapsed: r.elapsed, stop: sending.Done(), precise: !inBubble()}
	if p.precise {
		p.precise = p.thread.open(r.cfg.Spin)
	}
	return p
}

func (p *pacer) close() {
	if p.precise {
		p.thread.close()
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
		case !p.precise:
			if !p.timer(wait) {
				return false
			}
		case wait > timerMargin:
			if !p.timer(wait - timerMargin) {
				return false
			}
		default:
			p.thread.wait(wait, at, p.elapsed)
		}
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

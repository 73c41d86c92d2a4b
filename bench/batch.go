package bench

import "context"

// A Batch is calls of a closed loop that are sent at once.
type Batch struct {
	// Numbers tell the calls of a run apart, as Attempt.Number does.
	Numbers []int64

	worker *worker
	calls  []call
}

// Label is Attempt.Label for call i. It has to be told before Done is.
func (b *Batch) Label(i, label int) { b.calls[i].label = label }

// Done tells that call i of the batch has ended, as soon as it has, and with which error.
// It has to be told of each call once, by the goroutine that DoBatch was called from.
func (b *Batch) Done(i int, err error) { b.worker.end(&b.calls[i], err) }

// batches sends batches of calls one after the other, as caller does calls. The first is
// that of so many callers from number first on.
func (r *run) batches(sending, calls context.Context, first, callers int) {
	var (
		b         = Batch{worker: r.worker(first)}
		windowEnd = r.windowEnd()
		loop, _   = r.cfg.Model.(ClosedLoop)
	)
	for number := int64(first); ; number += int64(r.cfg.Callers) {
		if number > int64(first) && !r.think(sending, loop.Think) || sending.Err() != nil {
			return
		}
		now := r.elapsed()
		if now >= windowEnd {
			return
		}
		b.Numbers, b.calls = b.Numbers[:0], b.calls[:0]
		for i := range callers {
			c := call{intended: now, sent: now, measured: now >= r.cfg.Warmup}
			if c.measured && !r.ticket() {
				break
			}
			b.Numbers, b.calls = append(b.Numbers, number+int64(i)), append(b.calls, c)
		}
		if len(b.calls) == 0 {
			return
		}
		b.worker.rec.sent.Add(int64(len(b.calls)))
		r.cfg.DoBatch(calls, &b)
	}
}

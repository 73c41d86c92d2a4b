package rpc

import (
	"iter"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// A volley is one batch of a trackTransport's commands, in this order: Redis is
// asked for its time, now and then; the keys
// of new calls' results are read, so that Redis tracks them; those of old calls
// are read again; results are popped; what nobody waits for is deleted; and in one
// transaction, last, the new calls are pushed. So if the end of the volley is not
// written the calls are not in Redis.
type volley struct {
	t *trackTransport

	sends  []*flight
	checks []*flight
	singly []*flight // to be checked, each by a command of its own
	pops   []*flight
	dels   []string

	asked time.Time // if it asks for Redis's time, when

	passing error // that Redis refused with, for now

	forbidden []*flight // whose keys may not be read
	refusals  []error   // why

	parcels []parcel       // of sends, one for each queue
	flights [][]*flight    // of each parcel
	at      map[string]int // its index, by queue
	fates   []fate
}

func newVolley(t *trackTransport) *volley { return &volley{t: t, at: map[string]int{}} }

// recycle makes an empty volley of v, for another time.
func (v *volley) recycle() {
	v.sends, v.checks, v.singly, v.pops = emptied(v.sends), emptied(v.checks), emptied(v.singly), emptied(v.pops)
	v.dels, v.forbidden, v.refusals = emptied(v.dels), emptied(v.forbidden), emptied(v.refusals)
	v.asked, v.passing = time.Time{}, nil
	for i := range v.parcels {
		v.parcels[i].messages = emptied(v.parcels[i].messages)
		v.flights[i] = emptied(v.flights[i])
	}
	v.parcels, v.flights = v.parcels[:0], v.flights[:0]
	clear(v.at)
	v.t.volleys.Put(v)
}

// emptied is s with nothing in it, to be filled again.
func emptied[T any](s []T) []T {
	clear(s)
	return s[:0]
}

func (v *volley) append(out []byte) []byte {
	v.sends = slices.DeleteFunc(v.sends, func(f *flight) bool { return !f.write() })
	v.checks = slices.DeleteFunc(v.checks, func(f *flight) bool { return f.is(ended) })
	v.singly = slices.DeleteFunc(v.singly, func(f *flight) bool { return f.is(ended) })
	v.pops = slices.DeleteFunc(v.pops, func(f *flight) bool {
		gone := f.is(ended)
		if gone { // the caller has left after it was looked for
			v.dels = append(v.dels, f.reply)
		}
		return gone
	})

	if !v.asked.IsZero() {
		out = append(out, askTime...)
	}
	for group := range v.groups() {
		out = appendExists(out, group)
	}
	for _, f := range v.pops {
		out = append(out, "*2\r\n$4\r\nLPOP\r\n"...)
		out = appendArg(out, f.reply)
	}
	if len(v.dels) > 0 {
		out = appendHeader(out, '*', 1+len(v.dels))
		out = append(out, "$3\r\nDEL\r\n"...)
		for _, key := range v.dels {
			out = appendArg(out, key)
		}
	}
	if len(v.sends) > 0 {
		v.pack()
		out = appendPushes(out, v.parcels)
	}
	return out
}

// groups are the flights of each EXISTS.
func (v *volley) groups() iter.Seq[[]*flight] {
	return func(yield func([]*flight) bool) {
		for _, list := range [][]*flight{v.sends, v.checks} {
			for group := range slices.Chunk(list, mostKeys) {
				if !yield(group) {
					return
				}
			}
		}
		for i := range v.singly {
			if !yield(v.singly[i : i+1]) {
				return
			}
		}
	}
}

func appendExists(out []byte, flights []*flight) []byte {
	out = appendHeader(out, '*', 1+len(flights))
	out = append(out, "$6\r\nEXISTS\r\n"...)
	for _, f := range flights {
		out = appendArg(out, f.reply)
	}
	return out
}

// pack makes a parcel for each queue.
func (v *volley) pack() {
	for _, f := range v.sends {
		i, ok := v.at[f.queue]
		if !ok {
			i = len(v.parcels)
			v.at[f.queue] = i
			v.parcels = slices.Grow(v.parcels, 1)[:i+1] // with what is left of earlier ones
			v.flights = slices.Grow(v.flights, 1)[:i+1]
			v.parcels[i].key, v.parcels[i].life = f.queue, v.t.expiry
		}
		v.parcels[i].messages = append(v.parcels[i].messages, f.message)
		v.flights[i] = append(v.flights[i], f)
	}
}

func (v *volley) read(r *reader) error {
	if !v.asked.IsZero() {
		micros, ok, err := r.readTime()
		if err != nil {
			return err
		}
		if ok {
			v.t.link.clock.read(v.asked, time.Now(), micros)
		}
	}
	for group := range v.groups() {
		if err := v.readExists(r, group); err != nil {
			return err
		}
	}
	for _, f := range v.pops {
		if err := v.readPop(r, f); err != nil {
			return err
		}
	}
	if len(v.dels) > 0 { // if it is refused the keys will expire
		if err := r.skip(1); err != nil {
			return err
		}
	}
	if len(v.sends) > 0 {
		if err := v.readPushes(r); err != nil {
			return err
		}
	}
	for i, f := range v.forbidden { // after the pushes, whose refusals say more
		f.abandon(v.refusals[i])
	}
	err := v.passing
	v.recycle()
	return err
}

// readExists looks which flights of a group may have results.
func (v *volley) readExists(r *reader, group []*flight) error {
	n, err := r.integer()
	switch {
	case err == nil && n == 0:
	case err == nil:
		v.t.later(&v.t.pops, group...)
	case !isReply(err):
		return err
	case isPassing(err): // on the next connection all are checked
		v.passing = err
	case len(group) == 1:
		v.forbidden, v.refusals = append(v.forbidden, group[0]), append(v.refusals, err)
	default: // one of the keys may be forbidden
		v.t.later(&v.t.singly, group...)
	}
	return nil
}

func (v *volley) readPop(r *reader, f *flight) error {
	message, err := r.bulk(v.t.spare.get())
	switch {
	case err == nil:
		f.end(outcome{message: message})
	case err == errNull:
		v.t.later(&v.t.checks, f)
	case !isReply(err):
		return err
	case isPassing(err): // on the next connection all are checked
		v.passing = err
	default: // such as WRONGTYPE
		f.fail(ErrNoResult, err)
	}
	return nil
}

func (v *volley) readPushes(r *reader) error {
	v.fates = slices.Grow(v.fates[:0], len(v.parcels))[:len(v.parcels)]
	if err := readPushes(r, v.fates); err != nil {
		return err
	}
	for i, fate := range v.fates {
		switch fate.kind {
		case refused:
			if isPassing(fate.why) {
				v.passing = fate.why
			}
			if isElsewhere(fate.why) {
				v.t.again(v.flights[i])
				continue
			}
			for _, f := range v.flights[i] {
				f.fail(ErrNotSent, fate.why)
			}
		case aborted:
			v.t.again(v.flights[i])
		}
	}
	return nil
}

// again sends flights that are certainly not in Redis.
func (t *trackTransport) again(flights []*flight) {
	t.noticed = true
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range flights {
		if f.unwrite() {
			t.sends.push(f)
		}
	}
}

func (v *volley) unread(how wrote, why error) {
	switch how {
	case wroteNothing:
		v.t.again(v.sends)
	case wroteSome: // not again: what is in it may be why
		for _, f := range v.sends {
			f.fail(ErrNotSent, why)
		}
	case wroteAll: // the results may still come, over the next connection
	}
}

// isPassing says whether Redis refuses for now, and another connection may be
// to one that does not.
func isPassing(err error) bool {
	for _, prefix := range []string{"LOADING", "READONLY", "MASTERDOWN", "UNBLOCKED"} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return isElsewhere(err)
}

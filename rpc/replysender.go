package rpc

import (
	"fmt"
	"time"

	"redrpc/rpc/internal/wire"
)

// A reply is the result of a call on its way to its caller. It is sent again until Redis
// has confirmed it, so it may come twice, but it will come: on a reply list clients drop
// the second by its ID, a single-use list is deleted before.
type reply struct {
	run      *serverRun
	consumer *consumer
	function *function
	id       []byte // of the call, a JSON string
	list     string // the reply list; empty for a single-use list
	message  []byte
	until    time.Time // nobody waits for it any longer
	size     int64     // that counts towards what is undelivered
	holds    bool      // its worker is not free before it is delivered

	again bool // it may be there already
	cuts  int  // connections that were lost while it was sent, alone
}

const (
	// replyPatience is how long a server tries to deliver a result if the caller does not
	// say how long it waits.
	replyPatience = 30 * time.Second

	// mostCuts is how many lost connections make a message that is longer than the
	// smallest limit of Redis be taken for too long, if Redis does not tell its limit.
	mostCuts = 3
)

// mostUndelivered is how many bytes of results may be on their way before workers are held
// until they have arrived: then no more calls are fetched than can be answered.
const mostUndelivered = 1 << 20

// deliver sends a reply.
func (r *reply) deliver() {
	if n := len(r.message); n >= smallestLimit {
		if most := r.run.nodes.largestMessage(r.function.queue); n > most {
			r.tooLong(fmt.Sprintf("the result is a message of %d bytes, Redis takes no more than %d", n, most))
		}
	}
	r.push()
}

// push sends it to where its list is.
func (r *reply) push() {
	if r.run.cluster != nil && r.list == "" && keySlot(r.key()) != r.consumer.slot {
		r.pushCrossSlot()
		return
	}
	r.mux().push(r)
}

// isLong reports whether the message goes over the connection for long ones, and to the
// single-use list even if there is a reply list, which is told of it afterwards.
func (r *reply) isLong() bool { return len(r.message) >= longMessage }

// key is the list that message goes to next.
func (r *reply) key() string {
	if r.list != "" && !r.isLong() {
		return r.list
	}
	return wire.ResultKey(r.run.opt.Prefix, r.function.name, wire.Unquote(r.id))
}

// begin is that of a queuePush.
func (r *reply) begin() (queueMessage, bool) {
	key := r.key()
	return queueMessage{key: key, message: r.message, life: r.run.opt.Expiry, again: r.again && (r.list == "" || r.isLong())}, true
}

// settle is that of a queuePush.
func (r *reply) settle(p pushResult) {
	switch p.pushOutcome {
	case pushed:
		if r.list != "" && r.isLong() {
			r.message, r.again = wire.AppendNotice(nil, r.id, time.Now()), false
			r.push()
			return
		}
		r.run.spare.put(r.message)
		r.run.delivered(r)
	case notWritten:
		r.retry(p.err)
	case cutOff, unknown:
		r.again = r.again || p.pushOutcome == unknown
		if len(r.message) >= smallestLimit {
			r.cuts++
		}
		if r.cuts >= mostCuts {
			r.tooLong(fmt.Sprintf("the result is a message of %d bytes, at which Redis closed %d connections", len(r.message), r.cuts))
		}
		r.retry(p.err)
	case refused:
		switch {
		case isMigrating(p.err):
			r.pushCrossSlot()
		case needsReconnect(p.err):
			r.retry(p.err)
		case isTransient(p.err):
			if r.isOld() {
				r.lost(p.err)
			} else {
				r.mux().pushLater(r)
			}
		case len(r.message) >= smallestLimit:
			r.tooLong(fmt.Sprintf("the result is a message of %d bytes, which Redis does not take: %v", len(r.message), p.err))
			r.push()
		case r.list != "": // the list is forbidden, or of another type: the client looks at the other, too
			r.consumer.avoid(r.list)
			r.list = ""
			r.push()
		default:
			r.lost(p.err)
		}
	}
}

func (r *reply) mux() *mux {
	if r.isLong() {
		return r.consumer.bulk
	}
	return r.consumer.replies
}

// unreachable is that of a queuePush.
func (r *reply) unreachable(err error) bool {
	if r.isOld() {
		r.lost(err)
		return false
	}
	return true
}

// retry sends it again, unless it is old.
func (r *reply) retry(why error) {
	if r.isOld() {
		r.lost(why)
		return
	}
	r.mux().push(r)
}

// isOld reports whether it is given up if it is not delivered now.
func (r *reply) isOld() bool { return !time.Now().Before(r.until) || r.run.impatient.Err() != nil }

func (r *reply) lost(why error) {
	r.run.lost.add(r.run.log, "last_key", r.key(), "last_error", why)
	r.run.delivered(r)
}

// tooLong replaces the result by a failure that says why.
func (r *reply) tooLong(why string) {
	failure := wire.Result{
		At: time.Now(), Error: why, ErrorType: TypeTooLarge,
		Extensions: !r.run.opt.NoExtensions, Server: r.run.field, Queued: -1,
	}
	if r.list != "" {
		failure.ID = r.id
	}
	r.function.failed.Add(1)
	r.run.log.Error("rpc: result too long", "func", r.function.name, "id", wire.Unquote(r.id), "reason", why)
	r.message, r.again = failure.Append(nil), false
}

// pushCrossSlot sends a reply whose list lies in another slot of a Cluster, as those for the
// old ports may, or in one that is being migrated.
func (r *reply) pushCrossSlot() {
	run := r.run
	run.across.Go(func() {
		var again backoff
		for {
			m, _ := r.begin()
			p := run.nodes.push(m)
			switch {
			case p.pushOutcome == pushed || p.pushOutcome == refused && !isTransient(p.err) && !isRedirect(p.err):
				r.settle(p)
				return
			case p.pushOutcome == unknown:
				r.again = true
			}
			if r.isOld() {
				r.lost(p.err)
				return
			}
			again.pause(nil, nil)
		}
	})
}

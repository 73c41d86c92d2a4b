package rpc

import (
	"math"
	"redrpc/rpc/internal/wire"
	"time"
)

// A stand is where a server takes calls whose queues lie together: those of all its
// functions, or in a Cluster of those in one slot, as nobody can block in two.
type stand struct {
	link     *link
	post     *post
	rotation *rotation
	byKey    map[string]*function // by the key of the queue
	wake     string               // a list in the same place
	taker    taker
	slot     int // of a Cluster
	turn
}

// stand makes a stand for functions, which are sorted by name.
func (r *shift) stand(l *link, wake string, functions []*function) *stand {
	s := &stand{link: l, wake: wake, rotation: newRotation(functions), byKey: map[string]*function{}}
	if !r.opt.NoExtensions || !r.opt.IgnoreDeadlines {
		l.clock = newClock()
	}
	s.taker = taker{link: l, wake: wake, spare: &r.spare}
	s.granted = make(chan struct{}, 1)
	for _, f := range functions {
		f.stand = s
		s.byKey[f.queue] = f
		s.weight += f.weight
	}
	r.stands = append(r.stands, s)
	return s
}

// spread makes the stands of a Cluster.
func (r *shift) spread(functions []*function) {
	r.nodes = newNodes(r.cluster)
	bySlot := map[int][]*function{}
	var inOrder []int
	for _, f := range functions {
		slot := keySlot(f.queue)
		if len(bySlot[slot]) == 0 {
			inOrder = append(inOrder, slot)
		}
		bySlot[slot] = append(bySlot[slot], f)
	}
	for _, slot := range inOrder {
		here := bySlot[slot]
		tag, _ := tagFor(r.opt.Prefix+":", slot) // which NewServer has made sure of
		l := newLink(nil, &home{rdb: r.cluster, key: here[0].queue})
		r.stand(l, wire.WakeKey(r.opt.Prefix, tag+r.opt.Kind, r.opt.ID), here).slot = slot
	}
	if len(r.stands) > 1 {
		r.turns = &turns{stands: r.stands, free: r.opt.Workers, left: r.opt.MaxCalls, over: make(chan struct{})}
		if r.opt.MaxCalls == 0 {
			r.turns.left = math.MaxInt
		}
		r.turns.wake = func(s *stand) { r.wakeTaker(s, "calls of other functions wait a little longer") }
		r.give = r.turns.give
	}
}

// takeInTurns is take for one of several stands.
func (r *shift) takeInTurns(s *stand, stop <-chan struct{}) {
	defer s.taker.hangUp()
	retry, rest := firstRetry, firstRest
	for r.turns.take(s, stop) {
		queues, _, _ := s.rotation.begin(1)
		if len(queues) == 0 {
			r.turns.settle(s, 1, 0)
			select {
			case <-s.rotation.room:
			case <-stop:
			}
			continue
		}
		var key string
		var messages [][]byte
		var err error
		waited, disturbed := r.turns.mayWait(s), true
		if waited {
			key, messages, err = s.taker.pop(queues, 1, s.link.slice())
			disturbed = r.turns.awake(s) || isAsk(err)
		}
		if !waited || isAsk(err) {
			key, messages, err = r.look(queues, 1)
		}
		f, known := s.byKey[key]
		s.rotation.end(known)
		workers := 1
		if known {
			f.took(len(messages))
			if n := r.turns.more(s, f.room(math.MaxInt)); n > 0 {
				workers += n
				var more [][]byte
				more, err = r.nodes.pop(key, n, &r.spare)
				f.took(len(more))
				messages = append(messages, more...)
			}
			r.hand(f, messages)
		} else {
			messages = nil // they are of the wake list
		}
		r.turns.settle(s, workers, len(messages))
		switch {
		case err != nil:
			retry = r.pause(s.link, err, retry, stop)
			continue
		case known || !disturbed:
			rest = firstRest
		default: // others want a worker, too, or the slot is on its way
			sleep(rest, stop)
			rest = min(2*rest, lastRest)
		}
		retry = firstRetry
	}
}

// Pauses of a stand that found nothing, and could not wait in Redis as long as it may.
const (
	firstRest = 5 * time.Millisecond
	lastRest  = 100 * time.Millisecond
)

// look takes up to n calls from the first queue that has any, without waiting. It goes
// where each queue is, also while its slot is on its way.
func (r *shift) look(queues []string, n int) (key string, messages [][]byte, err error) {
	for _, key := range queues {
		if messages, err := r.nodes.pop(key, n, &r.spare); len(messages) > 0 || err != nil {
			return key, messages, err
		}
	}
	return "", nil, nil
}

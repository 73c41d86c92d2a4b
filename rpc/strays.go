package rpc

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"
)

// strays delivers the answers of a server whose lists lie in any slot of a Cluster, as
// those for the old ports do, or in a slot that is on its way to another node. As
// a post does, it sends one again until Redis has confirmed it.
type strays struct {
	nodes     *nodes
	life      time.Duration // of a result
	log       *slog.Logger
	spare     *buffers
	free      func(int)
	impatient context.Context

	mu      sync.Mutex // guards what follows
	letters fifo[*letter]
	workers int
	closing bool
	running sync.WaitGroup
}

// mostStrays is how many are delivered at a time.
const mostStrays = mostIdle

func (s *strays) answer(l *letter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letters.push(l)
	if s.workers < mostStrays {
		s.workers++
		s.running.Go(s.work)
	}
}

// close waits until all is delivered, or cannot be.
func (s *strays) close() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.running.Wait()
}

func (s *strays) work() {
	for {
		s.mu.Lock()
		l, ok := s.letters.next()
		if !ok {
			s.workers--
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		if why := s.deliver(l); why != nil {
			s.log.Error("rpc: result lost", "key", l.key, "error", why)
		} else {
			s.spare.put(l.message)
		}
		s.free(1)
	}
}

func (s *strays) deliver(l *letter) error {
	var again backoff
	for {
		var fate fate
		push := pushing(parcel{l.key, [][]byte{l.message}, s.life}, &fate)
		if l.again {
			s.nodes.run(command("DEL", l.key), push)
		} else {
			s.nodes.run(push)
		}
		err := cmp.Or(push.err, fate.why)
		switch {
		case err == nil:
			return nil
		case !isReply(err):
			l.again = l.again || push.how == wroteAll
		case !isPassing(err):
			return err
		}
		if s.isOld(l) {
			return err
		}
		again.pause(nil, nil)
	}
}

func (s *strays) isOld(l *letter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(l.since) >= answerPatience || s.closing && s.impatient.Err() != nil
}

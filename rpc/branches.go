package rpc

import (
	"fmt"
	"redrpc/rpc/internal/wire"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A branch is what a client has for one place: for its Redis, or for a slot of a
// Cluster.
type branch struct {
	link  *link
	via   *autoTransport
	sends *sendTransport

	// Of a slot. The mutex of branches guards users and used.
	slot  int
	plain string // the tag of functions whose keys have no braces
	users int    // calls
	used  time.Time
}

// A place is where a call goes.
type place struct {
	*branch
	tag string // that its ID begins with, so that the result comes where the call goes
}

func (b *branch) abandon() {
	b.sends.abandon()
	b.via.abandon()
}

// close returns when nothing of the branch runs any more. It has to be abandoned, or
// without calls.
func (b *branch) close() {
	b.via.close()
	b.sends.line.close()
}

// branches are those of a client of a Cluster, made when they are needed. A call and
// its result lie in one slot, so each has all that a client of one Redis has.
type branches struct {
	nodes *nodes
	make  func(*home) *branch

	leaving sync.WaitGroup // branches that made room

	mu     sync.Mutex // guards what follows
	bySlot map[int]*branch
	closed bool
}

// mostBranches is how many there are, if no more have calls at a time: the one that
// was not used for longest makes room.
const mostBranches = 64

func newBranches(rdb *redis.ClusterClient, open func(*home) *branch) *branches {
	return &branches{nodes: newNodes(rdb), make: open, bySlot: map[int]*branch{}}
}

// enter returns the place of a function with a prefix, whose branch stays until leave.
func (s *branches) enter(prefix, fn string) (place, error) {
	queue := wire.CallsKey(prefix, fn)
	slot, plain := keySlot(queue), !strings.Contains(queue, "{")
	tag := ""
	if !plain {
		var ok bool
		if tag, ok = tagFor(wire.ResultKey(prefix, fn, ""), slot); !ok {
			return place{}, fmt.Errorf("expected the name of a function without {} in a Cluster, as no result of it can be put where its calls are, got %q", fn)
		}
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return place{}, redis.ErrClosed
	}
	b := s.bySlot[slot]
	if b == nil {
		s.makeRoom()
		b = s.make(&home{rdb: s.nodes.rdb, key: queue})
		b.slot = slot
		b.plain, _ = tagFor("", slot)
		s.bySlot[slot] = b
	}
	b.users++
	if plain {
		tag = b.plain
	}
	s.mu.Unlock()
	return place{b, tag}, nil
}

// makeRoom takes out branches without calls, those first that were not used for
// longest, until there is room for one more. It is called under the lock.
func (s *branches) makeRoom() {
	for len(s.bySlot) >= mostBranches {
		var old *branch
		for _, b := range s.bySlot {
			if b.users == 0 && (old == nil || b.used.Before(old.used)) {
				old = b
			}
		}
		if old == nil {
			return
		}
		delete(s.bySlot, old.slot)
		s.leaving.Go(func() {
			old.abandon()
			old.close()
		})
	}
}

func (s *branches) leave(b *branch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.users--
	b.used = time.Now()
}

// all are the branches that there are now.
func (s *branches) all() (list []*branch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.bySlot {
		list = append(list, b)
	}
	return list
}

func (s *branches) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	all := s.all()
	for _, b := range all {
		b.abandon()
	}
	s.nodes.close()
	for _, b := range all {
		b.close()
	}
	s.leaving.Wait()
}

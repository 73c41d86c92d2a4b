package rpc

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
)

// spareConns is how many calls in flight wait by BLPOP where tracking works. One
// that does has its result a round trip sooner; with more, throughput would
// suffer.
const spareConns = 2

// noNeed is why the way of waiting is still open.
const noNeed = "so far there was no need to try"

// newTransport returns the transport that the options ask for.
// nodes is nil if it is no Cluster.
func newTransport(l *link, opt ClientOptions, spare *buffers, nodes *nodes) *autoTransport {
	most := opt.MaxConns
	if opt.Wait != WaitBLPOP {
		most = min(spareConns, opt.MaxConns-1)
	}
	t := &autoTransport{link: l, asked: opt.Wait, spare: int64(most), most: opt.MaxConns, log: opt.Logger,
		now: WaitAuto, why: noNeed}
	switch opt.Wait {
	case WaitBLPOP:
		t.settle(WaitBLPOP, "it was asked for")
		t.popsOnly.Store(true)
	case WaitTracking:
		t.spare = 0
	}
	t.pops = newPopTransport(l, opt, most)
	t.track = newTrackTransport(l, opt, spare, t.fit, t.unfit)
	if nodes != nil {
		t.detour = newDetour(nodes, opt.Expiry, t.resume)
		t.pops.detour, t.track.detour = t.detour, t.detour
	}
	return t
}

// autoTransport sends calls by the way that suits.
type autoTransport struct {
	link  *link
	asked Wait
	most  int   // connections where there is BLPOP alone
	spare int64 // calls in flight that wait by BLPOP where there is tracking, too
	log   *slog.Logger

	pops   *popTransport
	track  *trackTransport
	detour *detour // if it is a Cluster

	inFlight atomic.Int64
	popsOnly atomic.Bool

	mu  sync.Mutex // guards what follows
	now Wait
	why string
}

func (t *autoTransport) send(f *flight) {
	n := t.inFlight.Add(1)
	switch {
	case t.detour.inUse():
		t.detour.take(f)
	case t.popsOnly.Load():
		t.pops.send(f)
	case n <= t.spare && t.pops.offer(f):
	default:
		t.track.send(f)
	}
}

// resume waits for the result of a flight that is written.
func (t *autoTransport) resume(f *flight) {
	if t.popsOnly.Load() {
		t.pops.send(f)
	} else {
		t.track.resume(f)
	}
}

func (t *autoTransport) finished(f *flight) {
	t.inFlight.Add(-1)
	t.track.finished(f)
}

func (t *autoTransport) waiting() (Wait, string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now, t.why
}

// settle notes which way is in use, and reports whether that is news.
func (t *autoTransport) settle(way Wait, why string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	news := t.now != way
	t.now, t.why = way, why
	return news
}

func (t *autoTransport) fit() {
	if t.settle(WaitTracking, "tracking passed its test") {
		t.log.Info("rpc: results are waited for by client tracking")
	}
}

// unfit takes the flights over for which there is no tracking, and all that come
// after them.
func (t *autoTransport) unfit(why error, flights []*flight) {
	if t.asked == WaitTracking {
		for _, f := range flights {
			f.abandon(fmt.Errorf("tracking, which was asked for, does not work here: %w", why))
		}
		return
	}
	if t.settle(WaitBLPOP, "tracking does not work here: "+why.Error()) {
		t.log.Info("rpc: results are waited for by BLPOP, with a connection for each call, as tracking does not work here", "reason", why)
	}
	t.pops.allow(t.most)
	t.popsOnly.Store(true)
	for _, f := range flights {
		t.pops.send(f)
	}
}

// abandon ends all flights. To be followed by close.
func (t *autoTransport) abandon() {
	if t.detour != nil {
		t.detour.abandon()
	}
	t.pops.abandon()
	t.track.abandon()
}

// close returns when nothing runs any more.
func (t *autoTransport) close() {
	t.link.close()
	if t.detour != nil {
		t.detour.runs.Wait()
	}
	t.pops.running.Wait()
	t.track.line.close()
}

package torture

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"redrpc/internal/redistest"
)

// A proxy is the network between one process and Redis. What it does to it is set while
// connections exist, and holds for them and for new ones.
type proxy struct {
	relay *redistest.Relay
	life  context.Context
	end   context.CancelFunc

	mu      sync.Mutex // guards what follows
	weather weather
	conns   map[*link]struct{}
	random  *rand.Rand
}

// weather is what a proxy does.
type weather struct {
	delay time.Duration // of what comes, in both directions
	rate  int           // bytes per second of each direction of a connection; 0 is as fast as they come
	up    bool          // bytes to Redis are swallowed
	down  bool          // bytes from Redis are swallowed
	clock time.Duration // by which Redis's clock is ahead: the proxy changes replies to TIME
}

// A link is a connection through a proxy.
type link struct {
	client, server net.Conn

	// After one byte that was swallowed no other is passed on in its direction.
	upLost, downLost bool
	cutting          bool // the next bytes are passed on in part, and then it is closed
}

// startProxy starts a proxy before a Redis.
func startProxy(to string, seed uint64) (*proxy, error) {
	p := &proxy{conns: map[*link]struct{}{}, random: rand.New(rand.NewPCG(seed, 3))}
	p.life, p.end = context.WithCancel(context.Background())
	var err error
	p.relay, err = redistest.StartRelay(to, p.connect)
	return p, err
}

func (p *proxy) addr() string { return p.relay.Addr() }

// set changes the weather.
func (p *proxy) set(change func(*weather)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.weather)
}

// cut closes all connections, each when next something comes, of which a part is passed on.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.conns {
		l.cutting = true
	}
}

// calm ends bad weather, and all that is left of it: connections that were to be cut when
// next something comes.
func (p *proxy) calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = weather{clock: p.weather.clock}
	for l := range p.conns {
		if l.cutting {
			l.close()
		}
	}
}

// close ends the proxy and its connections.
func (p *proxy) close() {
	p.end()
	p.relay.Close()
}

func (l *link) close() {
	l.client.Close()
	l.server.Close()
}

// connect passes on what comes on a connection until it ends.
func (p *proxy) connect(client, server net.Conn) {
	l := &link{client: client, server: server}
	p.mu.Lock()
	p.conns[l] = struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pass(l, true) })
	both.Go(func() { p.pass(l, false) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, l)
}

// pass passes on what comes in one direction until the connection ends.
func (p *proxy) pass(l *link, up bool) {
	defer l.close()
	from, to := l.server, l.client
	if up {
		from, to = to, from
	}
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		b, cut := p.meet(l, up, buffer[:n])
		for first := true; len(b) > 0; first = false {
			w := p.now()
			if first && w.delay > 0 && !p.sleep(w.delay) {
				return
			}
			piece := b
			if w.rate > 0 {
				piece = b[:min(len(b), max(1, w.rate/50))]
			}
			if _, err := to.Write(piece); err != nil {
				return
			}
			b = b[len(piece):]
			if w.rate > 0 && !p.sleep(time.Duration(len(piece))*time.Second/time.Duration(w.rate)) {
				return
			}
		}
		if cut {
			return
		}
	}
}

func (p *proxy) now() weather {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.weather
}

// meet is what becomes of bytes in the weather: which are passed on, and whether the
// connection is cut behind them.
func (p *proxy) meet(l *link, up bool, b []byte) (pass []byte, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost, swallows := &l.downLost, p.weather.down
	if up {
		lost, swallows = &l.upLost, p.weather.up
	}
	if *lost = *lost || swallows; *lost {
		return nil, false
	}
	if !up && p.weather.clock != 0 {
		setClock(b, p.weather.clock)
	}
	if l.cutting {
		return b[:p.random.IntN(len(b))], true
	}
	return b, false
}

// sleep reports whether the proxy is still there.
func (p *proxy) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.life.Done():
		return false
	}
}

// timeReply is how a reply to TIME begins: two elements, the first of the ten digits that seconds
// since 1970 have from 2001 to 2286.
var timeReply = []byte("*2\r\n$10\r\n")

// setClock puts the clock of each reply to TIME forward. One that comes in two pieces keeps
// the right time.
func setClock(b []byte, by time.Duration) {
	for {
		at := bytes.Index(b, timeReply)
		if at < 0 || len(b) < at+len(timeReply)+10 {
			return
		}
		b = b[at+len(timeReply):]
		if seconds, err := strconv.ParseInt(string(b[:10]), 10, 64); err == nil {
			copy(b[:10], strconv.FormatInt(seconds+int64(by/time.Second), 10))
		}
	}
}

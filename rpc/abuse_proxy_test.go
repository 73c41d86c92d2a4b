package rpc_test

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

// A proxy stands between clients and a Redis. It passes bytes on at rates, which each
// connection has for itself, or not at all while it is stalled.
type proxy struct {
	up, down int // bytes a second to Redis and from it; 0 is as fast as they come
	relay    *redistest.Relay
	accepted atomic.Int32 // connections
	passed   atomic.Int64 // bytes to Redis

	mu      sync.Mutex    // guards what follows
	passing chan struct{} // closed unless it is stalled
	ended   chan struct{}
}

// startProxy starts a proxy for the Redis of h, and returns h as one reaches it by the
// proxy.
func startProxy(h *house, up, down int) (*proxy, *house) {
	h.Helper()
	p := &proxy{up: up, down: down, passing: make(chan struct{}), ended: make(chan struct{})}
	close(p.passing)
	var err error
	if p.relay, err = redistest.StartRelay(h.rdb.Options().Addr, p.pass); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		close(p.ended)
		p.relay.Close()
	})
	return p, h.withOptions(func(opt *redis.Options) { opt.Addr, opt.Dialer = p.relay.Addr(), nil })
}

func (p *proxy) pass(client, server net.Conn) {
	p.accepted.Add(1)
	// Small buffers, or most of what is under way would be in them.
	client.(*net.TCPConn).SetReadBuffer(32 << 10)
	server.(*net.TCPConn).SetReadBuffer(32 << 10)
	var both sync.WaitGroup
	both.Go(func() { p.copy(server, client, p.up, &p.passed) })
	both.Go(func() { p.copy(client, server, p.down, new(atomic.Int64)) })
	both.Wait()
}

// copy passes on what comes from a connection until either ends.
func (p *proxy) copy(to, from net.Conn, rate int, passed *atomic.Int64) {
	defer to.Close()
	defer from.Close()
	size := 64 << 10
	if rate > 0 {
		size = max(1, rate/50)
	}
	b := make([]byte, size)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		p.mu.Lock()
		passing := p.passing
		p.mu.Unlock()
		select {
		case <-passing:
		case <-p.ended:
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
		passed.Add(int64(n))
		if rate > 0 && n > size/4 { // what is short costs a slow link nothing
			time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
		}
	}
}

// stall keeps all bytes until resume. Connections can still be made.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passing = make(chan struct{})
}

func (p *proxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.passing)
}

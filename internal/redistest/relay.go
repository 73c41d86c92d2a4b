package redistest

import (
	"net"
	"sync"
)

// A Relay stands between clients and a Redis: for each connection that it accepts it makes one to
// the Redis.
type Relay struct {
	to       string
	pass     func(client, server net.Conn)
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]struct{}
	closed bool
}

// StartRelay starts a relay before the Redis at an address. pass is called with the two ends of each
// connection, in a goroutine of its own, and passes on what comes until one of them ends. Both are
// closed when it returns.
func StartRelay(to string, pass func(client, server net.Conn)) (*Relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{to: to, pass: pass, listener: l, conns: map[net.Conn]struct{}{}}
	r.running.Go(r.accept)
	return r, nil
}

// Addr is where clients reach it.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Cut closes all connections.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.Close()
	}
}

// Close closes the relay and all connections, and returns when pass has for each.
func (r *Relay) Close() {
	r.listener.Close() // what it says is of no interest
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.Cut()
	r.running.Wait()
}

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.to)
		if err != nil {
			client.Close()
			continue
		}
		r.mu.Lock()
		r.conns[client], r.conns[server] = struct{}{}, struct{}{}
		if r.closed {
			client.Close()
			server.Close()
		}
		r.mu.Unlock()
		r.running.Go(func() {
			r.pass(client, server)
			client.Close()
			server.Close()
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.conns, client)
			delete(r.conns, server)
		})
	}
}

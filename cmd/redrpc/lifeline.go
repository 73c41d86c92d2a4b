package main

import (
	"context"
	"errors"
	"net"
	"sync"
)

// A lifeline dials all connections of a run, and can cut them. go-redis does not
// interrupt a command that waits for its reply, but a connection that is closed
// ends it at once.
type lifeline struct {
	dial  dialer
	uncut context.Context
	end   context.CancelFunc // of uncut

	mu    sync.Mutex // guards conns
	conns map[*lifelineConn]struct{}
}

var errCut = errors.New("connection cut, as the run is over")

func newLifeline(dial dialer) *lifeline {
	l := &lifeline{dial: dial, conns: make(map[*lifelineConn]struct{})}
	l.uncut, l.end = context.WithCancel(context.Background())
	return l
}

// Dial is a dialer for go-redis.
func (l *lifeline) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.uncut, cancel)()
	conn, err := l.dial(ctx, network, addr)
	if err != nil {
		if l.uncut.Err() != nil {
			err = errCut
		}
		return nil, err
	}
	c := &lifelineConn{conn, l}
	l.mu.Lock()
	cut := l.uncut.Err() != nil
	if !cut {
		l.conns[c] = struct{}{}
	}
	l.mu.Unlock()
	if cut {
		return nil, errors.Join(errCut, conn.Close())
	}
	return c, nil
}

// cut closes all connections, and refuses further ones. A second cut does nothing.
func (l *lifeline) cut() {
	l.mu.Lock()
	l.end()
	conns := l.conns
	l.conns = nil
	l.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close() // whoever uses it gets the error
	}
}

// A lifelineConn is forgotten by its lifeline when it is closed.
type lifelineConn struct {
	net.Conn
	line *lifeline
}

func (c *lifelineConn) Close() error {
	c.line.mu.Lock()
	delete(c.line.conns, c)
	c.line.mu.Unlock()
	return c.Conn.Close()
}

// NetConn lets others see whether the connection underneath is alive.
func (c *lifelineConn) NetConn() net.Conn { return underneath(c.Conn) }

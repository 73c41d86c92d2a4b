package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialerFor dials as opt says. Other than go-redis's own it ends with its context
// in the middle of a TLS handshake, too, names whose certificate is wrong if it is not that
// of the URL, and its connections know why Redis refused them.
func dialerFor(opt *endpoint) dialer {
	plain := &net.Dialer{
		Timeout:         opt.DialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}, // as go-redis has it
	}
	if plain.Timeout == 0 {
		plain.Timeout = 5 * time.Second // likewise
	}
	return func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		if opt.TLSConfig == nil {
			conn, err = plain.DialContext(ctx, network, addr)
		} else {
			conn, err = (&tls.Dialer{NetDialer: plain, Config: opt.TLSConfig}).DialContext(ctx, network, addr)
		}
		if wrong, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && !opt.names(addr) {
			return nil, certificateError(addr + ": " + wrong.Error())
		}
		if err != nil {
			return nil, err
		}
		return &greetedConn{Conn: conn, clean: func(reply string) string { return withoutPassword(opt, reply) }}, nil
	}
}

// A certificateError is what is wrong with the certificate of a Redis that the URL does not
// name: a node of a Cluster, or the master of Sentinels. It wraps nothing, since of an error
// that does go-redis shows only what is within.
type certificateError string

func (e certificateError) Error() string { return string(e) }

// A refusal is what Redis said when it closed a connection that was just made: it has
// maxclients connections, or is in protected mode. It wraps nothing, since of an error
// that does go-redis shows only what is within.
type refusal string

func (r refusal) Error() string { return string(r) }

// A greetedConn fails with a refusal if Redis sent an error and nothing else, and then
// closed it. go-redis takes such an error for a reply to its first command, HELLO, which
// an old Redis does not know, and goes on to send commands that fail with "broken pipe".
type greetedConn struct {
	net.Conn
	clean func(string) string // takes secrets out of what Redis said

	heard atomic.Bool // anything was read
	begin []byte      // what was read, while it may be a refusal; only Read uses it
	over  bool        // it is none; likewise
	said  atomic.Pointer[refusal]
}

// mostRefusal is longer than any refusal.
const mostRefusal = 4 << 10

func (c *greetedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.over {
		c.heard.Store(true)
		c.hear(p[:n])
	}
	return n, c.explain(err)
}

// Write looks for the reason itself if it fails before anything was read: then nobody
// else will.
func (c *greetedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if isLost(err) && !c.heard.Load() && c.SetReadDeadline(time.Now().Add(time.Second)) == nil {
		for e := error(nil); e == nil && !c.over; {
			_, e = c.Read(make([]byte, mostRefusal))
		}
	}
	return n, c.explain(err)
}

// hear looks for one line with an error, and no more.
func (c *greetedConn) hear(p []byte) {
	c.begin = append(c.begin, p...)
	line, more, ended := bytes.Cut(c.begin, []byte("\r\n"))
	switch {
	case line[0] != '-' || len(more) > 0 || len(line) > mostRefusal:
		c.begin, c.over = nil, true
		c.said.Store(nil)
	case ended:
		said := refusal(c.clean(string(line[1:])))
		c.said.Store(&said)
	}
}

// explain makes a refusal of the loss of the connection, if it is one.
func (c *greetedConn) explain(err error) error {
	if said := c.said.Load(); said != nil && isLost(err) {
		return *said
	}
	return err
}

// isLost says whether err means that the other side closed the connection.
func isLost(err error) bool {
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, net.ErrClosed)
}

// NetConn lets others see whether the connection underneath is alive.
func (c *greetedConn) NetConn() net.Conn { return underneath(c.Conn) }

// underneath is the connection of the operating system.
func underneath(conn net.Conn) net.Conn {
	if outer, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return outer.NetConn()
	}
	return conn
}

package rpc

import (
	"context"
	"net"
	"time"
)

type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// patientDialer makes of dial one that never fails: it returns a connection on
// which everything fails with dial's error. The command that needed it gets
// that error all the same, but go-redis does not count it: it would try again,
// log, and after many failures start a goroutine that tests the address every
// second, and outlives the client. A dial ends when life does.
func patientDialer(life context.Context, dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return deadConn{dialError{err}}, nil
		}
		return conn, nil
	}
}

// A dialError is stripped by go-redis, which unwraps what goes wrong while it
// sets up a connection, once.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

// A deadConn is a connection that was not made, because of err.
type deadConn struct{ err error }

func (c deadConn) Read([]byte) (int, error)       { return 0, c.err }
func (c deadConn) Write([]byte) (int, error)      { return 0, c.err }
func (deadConn) Close() error                     { return nil }
func (deadConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (deadConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (deadConn) SetDeadline(time.Time) error      { return nil }
func (deadConn) SetReadDeadline(time.Time) error  { return nil }
func (deadConn) SetWriteDeadline(time.Time) error { return nil }

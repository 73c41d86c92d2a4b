// Package transport has the connections of clients: in memory, on sockets with a goroutine each,
// and on sockets that one goroutine serves by epoll.
package transport

import (
	"io"
	"log/slog"

	"redrpc/broker/internal/resp"
)

// A Conn moves a session's bytes. All methods but flush are called under the
// broker's lock and must not wait for the client.
type Conn interface {
	// Attach is called with the session that it serves, before any other method.
	Attach(Session)

	// Deliver takes all of an output, and leaves memory to use for the next. It
	// reports whether flush has to be called, once the lock has been released.
	Deliver(out *resp.Output) (flush bool)

	// Flush sends what was delivered.
	Flush()

	// Backlog is the number of bytes delivered and not yet taken by the client.
	Backlog() int

	// Peer tells whether the client is still there.
	Peer() Peer

	// Finish closes the connection once everything delivered has been sent; abort
	// closes it at once. The session has been closed already, or is about to be.
	Finish()
	Abort()

	// Addresses are those of the client and of the broker, as CLIENT LIST shows
	// them.
	Addresses() (client, broker string)

	// Remote reports whether the client may be on another machine.
	Remote() bool

	// IsUnix reports whether it is a Unix socket.
	IsUnix() bool

	// Descriptor is the number of the socket, or -1: there is none, or it is closed.
	Descriptor() int
}

// A Peer is what a link knows of the other side.
type Peer int

const (
	Present Peer = iota
	Gone         // it has closed the connection
	Unsure       // so much of what it sent is unread that its end may be held back behind it
)

// A Session is what a connection serves. Its methods are called under the host's lock.
type Session interface {
	ID() int64

	// Input takes what the client has sent.
	Input(p []byte)

	// Unread is how many bytes of the client's input have not been looked at.
	Unread() int

	// HangUp is called when the client has gone, or the connection is closed for another
	// reason.
	HangUp()

	// Abort closes the connection at once.
	Abort()

	// IsEnding reports whether the connection is closed once all has been sent, and IsOver
	// whether the session has ended.
	IsEnding() bool
	IsOver() bool
}

// A Host is whom connections serve.
type Host interface {
	// Enter takes the lock, Leave releases it, and sends what is to be sent.
	Enter()
	Leave()

	// Open makes a session for a connection, which it is told by Attach. The error says
	// that there will be none. It is called under the lock.
	Open(Conn) error

	// Receive passes on what a client has sent, without the lock.
	Receive(s Session, p []byte)

	// EnterPolling is Enter in the goroutine of a Poller, which has the lock until Leave.
	EnterPolling()

	// Serving and Served are told of a connection with a goroutine of its own, under the
	// lock: one that is being served is aborted when the host ends.
	Serving(Conn)
	Served(Conn)

	// StartTiming says that what happened until now is no part of a command.
	StartTiming()

	// Go runs a function in a goroutine that the host waits for when it ends. It reports
	// false if that has begun.
	Go(name string, f func()) bool

	// Recover is to be deferred where foreign code is called without the lock. It closes
	// what is of no more use after a panic.
	Recover(what string, useless ...io.Closer)

	// Warn logs, once the lock under which it is called has been released. Logger is for
	// where there is no lock.
	Warn(message string, args ...any)
	Logger() *slog.Logger
}

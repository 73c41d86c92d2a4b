package broker

import (
	"io"
	"log/slog"

	"redrpc/broker/internal/transport"
)

// host is the broker as connections know it.
type host struct{ *Broker }

func (h host) Enter()                                { h.enter() }
func (h host) Leave()                                { h.leave() }
func (h host) Open(c transport.Conn) error           { return h.open(c) }
func (h host) Receive(s transport.Session, p []byte) { h.receive(s.(*session), p) }
func (h host) Serving(c transport.Conn)              { h.conns[c] = struct{}{} }
func (h host) Served(c transport.Conn)               { delete(h.conns, c) }
func (h host) StartTiming()                          { h.startLap() }
func (h host) Logger() *slog.Logger                  { return h.logger }

func (h host) EnterPolling() {
	h.mu.Lock()
	h.polling = true // before what is due, such as a script that was delayed
	h.runDue()
}

func (h host) Warn(message string, args ...any) { h.log(slog.LevelWarn, message, args...) }

func (h host) Recover(what string, useless ...io.Closer) {
	if p := recover(); p != nil {
		h.connFailed(what, p, useless)
	}
}

func (h host) Go(name string, f func()) bool {
	if !h.goroutines.enter(name) {
		return false
	}
	go func() {
		defer h.goroutines.leave(name)
		f()
	}()
	return true
}

func (s *session) ID() int64      { return s.id }
func (s *session) Unread() int    { return s.requests.Buffered() }
func (s *session) IsEnding() bool { return s.closing }
func (s *session) IsOver() bool   { return s.closed }

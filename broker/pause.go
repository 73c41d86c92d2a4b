package broker

import (
	"math"
	"time"

	"redrpc/broker/internal/alarm"
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// CLIENT PAUSE postpones the commands of all clients for a time, or those that
// write. Blocked clients time out meanwhile. Keys are gone when their time has come,
// but nobody is told before the end.

// A pause is what CLIENT PAUSE asked for.
type pause struct {
	broker *Broker
	mode   pauseMode
	alarm  alarm.Alarm // its end

	// expired are the keys that have gone since, whom to tell is still open.
	expired []readyKey
}

type pauseMode int

const (
	notPaused pauseMode = iota
	writesPaused
	allPaused
)

// postpones reports whether a command has to wait.
func (p *pause) postpones(s *session, cmd *command.Command) bool {
	const writing = command.Write | command.MayReplicate
	if p.mode == allPaused || cmd.Flags&writing != 0 {
		return true
	}
	if cmd.FullName == "exec" {
		for _, q := range s.transaction.queue {
			if q.command.Flags&writing != 0 {
				return true
			}
		}
	}
	return false
}

// pauseClients begins a pause. One that is in force is neither shortened nor
// weakened.
func (b *Broker) pauseClients(mode pauseMode, until int64) {
	if b.pause.mode == notPaused && until <= b.keys.Now {
		return
	}
	b.postponers |= pausing
	b.pause.mode = max(b.pause.mode, mode)
	if !b.pause.alarm.IsSet() || until > b.pause.alarm.At {
		b.keys.Alarms.Set(&b.pause.alarm, &b.pause, until)
	}
}

// Due ends the pause.
func (p *pause) Due() { p.broker.unpauseClients() }

func (b *Broker) unpauseClients() {
	b.postponers &^= pausing
	b.keys.Alarms.Clear(&b.pause.alarm)
	expired := b.pause.expired
	b.pause = pause{broker: b}
	for _, k := range expired {
		b.tellExpired(k.db, k.key)
	}
	b.release(func(h *postponed) bool { return h.why == paused })
}

func clientPause(c *call, args [][]byte) resp.Reply {
	mode := allPaused
	switch {
	case len(args) > 4:
		return tooManyArguments(args)
	case len(args) == 3 || resp.Is(args[3], "ALL"):
	case resp.Is(args[3], "WRITE"):
		mode = writesPaused
	default:
		return resp.ErrorReply("ERR CLIENT PAUSE mode must be WRITE or ALL")
	}
	ms, isInt := resp.ParseInt(args[2])
	switch {
	case !isInt:
		return resp.ErrorReply("ERR timeout is not an integer or out of range")
	case ms < 0:
		return resp.ErrorReply("ERR timeout is negative")
	case ms > math.MaxInt64-c.Milliseconds():
		ms = 0 // in Redis the sum overflows, and the end is in the past
	}
	until := int64(math.MaxInt64)
	if ms < (until-c.keys.Now)/int64(time.Millisecond) {
		until = c.keys.Now + ms*int64(time.Millisecond)
	}
	c.pauseClients(mode, until)
	return resp.OK
}

func clientUnpause(c *call, _ [][]byte) resp.Reply {
	c.unpauseClients()
	return resp.OK
}

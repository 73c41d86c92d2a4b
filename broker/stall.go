package broker

import (
	"log/slog"
	"math"
	"time"

	"redrpc/broker/internal/resp"
)

// A stall stops the broker: no command runs, no key expires and nobody times out,
// as if its process had been stopped. At the end, by the broker's clock, all happens
// that was due, in order, and then the commands run that have come in meanwhile.
type stall struct {
	until    int64      // 0: there is none
	sleepers []*session // those that called DEBUG SLEEP: their replies wait for the end
}

// Stall stops the broker for a time by its clock, as DEBUG SLEEP does: no command
// runs, no key expires and no blocked client times out. Then everything that was due
// happens in order, and the commands run that clients have sent meanwhile, in the
// order in which they came, also those of clients that have gone since. Methods of the
// broker work during a stall. A stall that ends later is not shortened; a d that is
// not positive does nothing. See also [Broker.Resume].
func (b *Broker) Stall(d time.Duration) {
	b.enter()
	b.stallFor(d)
	b.leave()
}

// Resume ends a stall.
func (b *Broker) Resume() {
	b.enter()
	if b.stall.until != 0 {
		b.fireAlarms(b.keys.Now)
		b.endStall()
	}
	b.leave()
}

func (b *Broker) stallFor(d time.Duration) {
	if d <= 0 {
		return
	}
	b.postponers |= stalling
	until := int64(math.MaxInt64)
	if int64(d) < until-b.keys.Now {
		until = b.keys.Now + int64(d)
	}
	b.stall.until = max(b.stall.until, until)
}

func (b *Broker) endStall() {
	b.postponers &^= stalling
	for _, s := range b.stall.sleepers {
		s.sleeps = false
		s.markPendingWrite()
	}
	b.stall = stall{}
	b.release(func(h *postponed) bool { return h.why == stalled })
}

// sleep stalls the broker and keeps the client's replies, this command's too, until
// the end.
func (c *call) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	c.slept += int64(d)
	c.stallFor(d)
	if s := c.session; !s.sleeps {
		s.sleeps = true
		c.stall.sleepers = append(c.stall.sleepers, s)
	}
}

// debugHelp lists what the broker has of DEBUG.
var debugHelp = []resp.Reply{
	resp.Simple("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"),
	resp.Simple("ERROR <string>"),
	resp.Simple("    Answers with an error of this text."),
	resp.Simple("LOG <message>"),
	resp.Simple("    Writes a message to the log."),
	resp.Simple("SLEEP <seconds>"),
	resp.Simple("    Stalls the broker for a time, which may have a fraction."),
	resp.Simple("HELP"),
	resp.Simple("    Lists the sub-commands."),
}

func debugCommand(c *call, args [][]byte) resp.Reply {
	switch {
	case len(args) == 2 && resp.Is(args[1], "HELP"):
		return resp.Array(debugHelp...)
	case len(args) == 3 && resp.Is(args[1], "SLEEP"):
		c.sleep(sleepTime(args[2]))
		return resp.OK
	case len(args) == 3 && resp.Is(args[1], "ERROR"):
		return resp.Reply{Kind: resp.KindError, Text: string(args[2]), N: 1} // which Redis does not count
	case len(args) == 3 && resp.Is(args[1], "LOG"):
		c.log(slog.LevelWarn, "DEBUG LOG", "message", string(args[2]))
		return resp.OK
	}
	return tooManyArguments(args)
}

// sleepTime reads seconds as C's strtod does: up to what is no number any more. What is
// more than fits in 64 bits, in microseconds, is no time at all, as for Redis.
func sleepTime(arg []byte) time.Duration {
	for end := min(len(arg), 64); end > 0; end-- {
		if seconds, isFloat := resp.ParseFloat(arg[:end]); isFloat {
			if seconds < 0 || seconds*1e6 >= math.MaxInt64 {
				return 0
			}
			return time.Duration(min(seconds*1e9, math.MaxInt64/2))
		}
	}
	return 0
}

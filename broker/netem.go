package broker

import (
	"bytes"
	"math"
	"math/bits"
	"slices"
	"time"

	"redrpc/broker/internal/alarm"
	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/resp"
)

// A slow network lies between a link and its session: what either of them sends is
// under way for a time by the broker's clock before the other has it.

// A netem is the slow network of one client.
type netem struct {
	up, down flow
	in       resp.Output // what has arrived at the client's link, and not been handed to it
	rules    []*Rule     // that make it slow
}

// A flow is one direction of a line.
type flow struct {
	session *session
	rate    int64 // bytes per second; 0: any number
	lag     int64 // nanoseconds that a byte is under way
	packets []packet
	backlog int         // bytes that are under way
	free    int64       // when the sender can send more
	alarm   alarm.Alarm // when more arrives
}

// A packet is bytes that are sent one after the other.
type packet struct {
	rest []byte // what has not arrived
	from int64  // when the first byte of rest is sent
}

// tick is how often bytes arrive while a packet is under way.
const tick = int64(10 * time.Millisecond)

// updateNetem gives a client the network that the rules say. What is under way goes on at
// the new speed.
func (s *session) updateNetem() {
	var rate [2]int64
	var lag time.Duration
	var active []*Rule
	for _, r := range s.broker.rules {
		f := &r.fault
		if !f.slows() || f.Client != "" && !glob.Match(f.Client, s.name, false) {
			continue
		}
		if (s.netem == nil || !slices.Contains(s.netem.rules, r)) && !r.fires() {
			continue
		}
		active = append(active, r)
		lag += f.RTT
		for i, given := range []int{f.Upload, f.Download} {
			if given > 0 && (rate[i] == 0 || int64(given) < rate[i]) {
				rate[i] = int64(given)
			}
		}
	}
	if s.netem == nil {
		if len(active) == 0 {
			return
		}
		s.netem = &netem{up: flow{session: s}, down: flow{session: s}}
		s.broker.netems[s] = struct{}{}
	}
	s.netem.rules = active
	s.netem.up.change(rate[0], int64(lag/2))
	s.netem.down.change(rate[1], int64(lag-lag/2))
	s.markPendingWrite() // to look at what has arrived, when the running command is over
	s.broker.resumed = append(s.broker.resumed, s)
}

// rename gives a client a name, which may be one that has a slow network.
func (s *session) rename(name string) {
	s.name = name
	s.updateNetem()
}

// sending and delivering report whether anything is under way from or to the client.
func (l *netem) sending() bool    { return l != nil && len(l.up.packets) > 0 }
func (l *netem) delivering() bool { return l != nil && len(l.down.packets) > 0 }

// sendOut sends a session's output on its way, if it has a slow network.
func (s *session) sendOut() {
	if s.netem != nil && !s.sleeps {
		for s.out.Len() > 0 {
			p := s.out.Pop()
			s.netem.down.send(p)
			s.out.Reuse(p)
		}
	}
}

// flushNetem sends a session's output, and hands what has arrived to its link.
func (s *session) flushNetem() (flush bool) {
	s.sendOut()
	in := &s.netem.in
	in.Write(s.netem.down.arrived())
	if n := in.Len(); n > 0 {
		s.broker.stats.writes++
		s.broker.stats.bytesOut += int64(n)
		flush = s.transport.Deliver(in)
		*in = resp.Output{}
	}
	if l := s.netem; len(l.rules) == 0 && !l.sending() && !l.delivering() {
		s.stopNetem()
	}
	s.checkPending()
	return flush
}

// stopNetem ends the slow network, and drops what is under way.
func (s *session) stopNetem() {
	if l := s.netem; l != nil {
		delete(s.broker.netems, s)
		s.broker.keys.Alarms.Clear(&l.up.alarm)
		s.broker.keys.Alarms.Clear(&l.down.alarm)
		s.netem = nil
	}
}

// change sets the speed.
func (f *flow) change(rate, lag int64) {
	if f.rate == rate && f.lag == lag {
		return
	}
	f.rate, f.lag, f.free = rate, lag, f.session.broker.keys.Now
	for i := range f.packets {
		f.packets[i].from = f.free
		f.free += f.duration(len(f.packets[i].rest))
	}
	f.schedule()
}

// duration is how long it takes to send n bytes, in nanoseconds, rounded up.
func (f *flow) duration(n int) int64 {
	if f.rate == 0 {
		return 0
	}
	ns := mulDiv(int64(n), int64(time.Second), f.rate)
	for mulDiv(int64(ns), f.rate, int64(time.Second)) < uint64(n) {
		ns++
	}
	return int64(ns)
}

// send takes over bytes, which are copied.
func (f *flow) send(p []byte) {
	if len(p) == 0 {
		return
	}
	now := f.session.broker.keys.Now
	c := packet{bytes.Clone(p), max(now, f.free)}
	f.free = c.from + f.duration(len(p))
	f.packets = append(f.packets, c)
	f.backlog += len(p)
	f.schedule()
}

// arrived takes what has arrived.
func (f *flow) arrived() []byte {
	var p []byte
	now := f.session.broker.keys.Now
	for len(f.packets) > 0 {
		c := &f.packets[0]
		n := f.progress(c, now-f.lag-c.from)
		p = append(p, c.rest[:n]...)
		if n < len(c.rest) {
			c.rest = c.rest[n:]
			c.from += f.duration(n)
			break
		}
		f.packets[0].rest = nil
		f.packets = f.packets[1:]
	}
	f.backlog -= len(p)
	f.schedule()
	return p
}

// progress is how many bytes of a packet have arrived some time after the first could.
func (f *flow) progress(c *packet, after int64) int {
	switch {
	case after < 0:
		return 0
	case f.rate == 0:
		return len(c.rest)
	}
	return int(min(mulDiv(after, f.rate, int64(time.Second)), uint64(len(c.rest))))
}

// schedule sets the alarm for when more arrives: the whole packet, or as much as in a
// tick, but at least a byte.
func (f *flow) schedule() {
	b := f.session.broker
	if len(f.packets) == 0 {
		b.keys.Alarms.Clear(&f.alarm)
		f.packets = nil
		return
	}
	c := &f.packets[0]
	n := min(len(c.rest), max(1, int(f.rate*tick/int64(time.Second))))
	if f.rate == 0 {
		n = len(c.rest)
	}
	at := c.from + f.lag + f.duration(n)
	if !f.alarm.IsSet() || f.alarm.At != at {
		b.keys.Alarms.Set(&f.alarm, f, at)
	}
}

// Due hands over what has arrived.
func (f *flow) Due() {
	if s := f.session; f == &s.netem.down {
		s.netem.in.Write(f.arrived())
		s.markPendingWrite()
	} else {
		s.receiveNetem()
		s.endIfGone()
	}
}

// receiveNetem takes what has arrived from the client.
func (s *session) receiveNetem() {
	if s.netem == nil {
		return
	}
	if p := s.netem.up.arrived(); len(p) > 0 && !s.closing {
		s.take(p)
	}
}

// mulDiv is a * b / c, rounded down, or the largest number if it is more than that.
func mulDiv(a, b, c int64) uint64 {
	high, low := bits.Mul64(uint64(a), uint64(b))
	if high >= uint64(c) {
		return math.MaxUint64
	}
	n, _ := bits.Div64(high, low, uint64(c))
	return n
}

package broker

import (
	"bytes"
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"

	"redrpc/broker/internal/alarm"
	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/resp"
)

// An emulated slow network (netem) is between a transport and its session: bytes are in
// flight for some time of the broker's clock, in both directions.

// A netem is the slow network of one client.
type netem struct {
	up, down netemDirection
	received resp.Output // has arrived at the client's side, and is not yet delivered to the transport
	rules    []*Rule     // in force
}

// A netemDirection is one direction of a slow network.
type netemDirection struct {
	session  *session
	rate     int64 // bytes per second; 0: unlimited
	lag      int64 // one-way delay, nanoseconds
	packets  []netemPacket
	inFlight int         // bytes
	nextSend int64       // when the next packet can be sent
	alarm    alarm.Alarm // when more bytes arrive
}

// A netemPacket is bytes that are sent together.
type netemPacket struct {
	remaining []byte // bytes that have not arrived
	sentAt    int64  // when the first of these bytes is sent
}

// netemTick is how often bytes arrive while a packet is under way.
const netemTick = int64(10 * time.Millisecond)

// updateNetem applies the rules to a client's network. Bytes in flight continue at the new
// speed.
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
		s.netem = &netem{up: netemDirection{session: s}, down: netemDirection{session: s}}
		s.broker.netems[s] = struct{}{}
	}
	s.netem.rules = active
	s.netem.up.setSpeed(rate[0], int64(lag/2))
	s.netem.down.setSpeed(rate[1], int64(lag-lag/2))
	s.markPendingWrite() // so that what has arrived is processed after the running command
	s.broker.resumed = append(s.broker.resumed, s)
}

// rename names a client. Rules about slow networks may match the name.
func (s *session) rename(name string) {
	s.name = name
	s.updateNetem()
}

// upInFlight and delivering report whether anything is under way from or to the client.
func (l *netem) upInFlight() bool   { return l != nil && len(l.up.packets) > 0 }
func (l *netem) downInFlight() bool { return l != nil && len(l.down.packets) > 0 }

// sendNetem sends a session's output into the slow network, if there is one.
func (s *session) sendNetem() {
	if s.netem != nil && !s.keepsOutput() {
		for s.out.Len() > 0 {
			p := s.out.Pop()
			s.netem.down.send(p)
			s.out.Reuse(p)
		}
	}
}

// flushNetem sends a session's output, and delivers what has arrived to the transport.
func (s *session) flushNetem() (flush bool) {
	s.sendNetem()
	in := &s.netem.received
	in.Write(s.netem.down.takeArrived())
	if n := in.Len(); n > 0 {
		s.broker.stats.writes++
		s.broker.stats.bytesOut += int64(n)
		flush = s.transport.Deliver(in)
		*in = resp.Output{}
	}
	if l := s.netem; len(l.rules) == 0 && !l.upInFlight() && !l.downInFlight() {
		s.stopNetem()
	}
	s.checkOutputLimit()
	return flush
}

// stopNetem removes the slow network, and drops bytes in flight.
func (s *session) stopNetem() {
	if l := s.netem; l != nil {
		delete(s.broker.netems, s)
		s.broker.keys.Alarms.Clear(&l.up.alarm)
		s.broker.keys.Alarms.Clear(&l.down.alarm)
		s.netem = nil
	}
}

func (f *netemDirection) setSpeed(rate, lag int64) {
	if f.rate == rate && f.lag == lag {
		return
	}
	f.rate, f.lag, f.nextSend = rate, lag, f.session.broker.keys.Now
	for i := range f.packets {
		f.packets[i].sentAt = f.nextSend
		f.nextSend += f.duration(len(f.packets[i].remaining))
	}
	f.schedule()
}

// duration is the time to send n bytes, in nanoseconds, rounded up.
func (f *netemDirection) duration(n int) int64 {
	if f.rate == 0 {
		return 0
	}
	ns := mulDiv(int64(n), int64(time.Second), f.rate)
	for mulDiv(int64(ns), f.rate, int64(time.Second)) < uint64(n) {
		ns++
	}
	return int64(ns)
}

// send sends a copy of bytes.
func (f *netemDirection) send(p []byte) {
	if len(p) == 0 {
		return
	}
	now := f.session.broker.keys.Now
	c := netemPacket{bytes.Clone(p), max(now, f.nextSend)}
	f.nextSend = c.sentAt + f.duration(len(p))
	f.packets = append(f.packets, c)
	f.inFlight += len(p)
	f.schedule()
}

// takeArrived removes and returns the bytes that have arrived.
func (f *netemDirection) takeArrived() []byte {
	var p []byte
	now := f.session.broker.keys.Now
	for len(f.packets) > 0 {
		c := &f.packets[0]
		n := f.progress(c, now-f.lag-c.sentAt)
		p = append(p, c.remaining[:n]...)
		if n < len(c.remaining) {
			c.remaining = c.remaining[n:]
			c.sentAt += f.duration(n)
			break
		}
		f.packets[0].remaining = nil
		f.packets = f.packets[1:]
	}
	f.inFlight -= len(p)
	f.schedule()
	return p
}

// progress is how many bytes of a packet have arrived by a time after the first.
func (f *netemDirection) progress(c *netemPacket, after int64) int {
	switch {
	case after < 0:
		return 0
	case f.rate == 0:
		return len(c.remaining)
	}
	return int(min(mulDiv(after, f.rate, int64(time.Second)), uint64(len(c.remaining))))
}

// schedule sets the alarm for the arrival of the packet, or of its bytes of the next tick,
// at least one.
func (f *netemDirection) schedule() {
	b := f.session.broker
	if len(f.packets) == 0 {
		b.keys.Alarms.Clear(&f.alarm)
		f.packets = nil
		return
	}
	c := &f.packets[0]
	n := min(len(c.remaining), max(1, int(f.rate*netemTick/int64(time.Second))))
	if f.rate == 0 {
		n = len(c.remaining)
	}
	at := c.sentAt + f.lag + f.duration(n)
	if !f.alarm.IsSet() || f.alarm.At != at {
		b.keys.Alarms.Set(&f.alarm, f, at)
	}
}

// Due delivers the bytes that have arrived.
func (f *netemDirection) Due() {
	if s := f.session; f == &s.netem.down {
		s.netem.received.Write(f.takeArrived())
		s.markPendingWrite()
	} else {
		s.receiveNetem()
		s.closeIfDisconnected()
	}
}

// fireNetems delivers what has arrived while a script runs, when no other alarms go off.
func (b *Broker) fireNetems() {
	var due []*netemDirection
	for s := range b.netems {
		for _, f := range []*netemDirection{&s.netem.up, &s.netem.down} {
			if f.alarm.IsSet() && f.alarm.At <= b.keys.Now {
				due = append(due, f)
			}
		}
	}
	slices.SortFunc(due, func(f, g *netemDirection) int {
		return cmp.Or(cmp.Compare(f.alarm.At, g.alarm.At), cmp.Compare(f.session.id, g.session.id))
	})
	for _, f := range due {
		if f.alarm.IsSet() { // still, as the ones before may have closed the client
			b.keys.Alarms.Clear(&f.alarm)
			b.fire(f)
		}
	}
}

// receiveNetem processes the input that has arrived.
func (s *session) receiveNetem() {
	if s.netem == nil || s.isInScript() {
		return
	}
	if p := s.netem.up.takeArrived(); len(p) > 0 && !s.closing {
		s.readInput(p)
	}
}

// mulDiv is a * b / c, rounded down and saturated.
func mulDiv(a, b, c int64) uint64 {
	high, low := bits.Mul64(uint64(a), uint64(b))
	if high >= uint64(c) {
		return math.MaxUint64
	}
	n, _ := bits.Div64(high, low, uint64(c))
	return n
}

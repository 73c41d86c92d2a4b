package broker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/transport"
)

// ErrClosed is returned by methods of a broker that is closed.
var ErrClosed = errors.New("broker: closed")

// A Broker is a Redis server in this process. Its methods may be called by
// several goroutines at once.
type Broker struct {
	logger  *slog.Logger
	options Options        // guarded by mu; without the logger, which is called without it
	limits  resp.Limits    // of requests, from Options
	table   *command.Table // the commands
	clock   clock
	runID   string

	goroutines taskGroup // that the broker has started

	// mu is the broker's one lock. It guards the fields below, and the sessions.
	mu                          sync.Mutex
	keys                        *keyspace.Keyspace
	blocked                     []map[string]*queue              // by database: clients blocked on a key
	watched                     []map[string]map[*session]*watch // by database: clients watching a key
	timer                       *time.Timer
	armed                       int64 // when timer goes off; 0: it is not running
	sessions                    map[int64]*session
	lastID                      int64
	running                     call       // the call being made
	ready                       []readyKey // keys to serve blocked clients from
	resumed                     []*session // sessions that were unblocked or released, and may have more input
	postponers                  postponers // reasons to postpone commands
	postponements               postponements
	pause                       pause
	evictor                     evictor
	stall                       stall
	pendingWrites               []*session // sessions with output for their transports
	conditions                  []*condition
	moves                       []*clockMove // of REDRPC.ADVANCE, made at the end of the batch
	rules                       []*Rule      // in the order of their creation
	lastRule                    int64
	netems                      map[*session]struct{} // clients with a slow network
	interceptions               []*interception       // to be called once the lock is released
	pubsub                      pubsub
	tracking                    tracking
	acl                         aclState
	measuredUntil, lastDuration int64   // when the last command ended, by clock.elapsed, and how long it took
	usage                       []usage // of each command, by its index
	violations                  []Violation
	observed                    bool // every command is reported: to the log, or to a MONITOR client
	history                     ring[logEntry]
	logged                      int64      // number of commands logged
	monitors                    []*session // in the order of their MONITOR
	slowThreshold               int64      // nanoseconds from which a command is slow
	slowlog                     slowlog
	spikes                      map[string]*spikes // by event
	stats                       stats
	saves                       saves
	logs                        []logRecord // to be logged once the lock is released
	listeners                   map[net.Listener]struct{}
	poller                      *transport.Poller           // serves plain sockets; nil: not started, or not supported
	polling                     bool                        // it is the poller's goroutine that has the lock
	conns                       map[transport.Conn]struct{} // those with a goroutine
	scripting                   scripting
	replicationID               string // which INFO tells; there is no replication
	formerReplicationID         string
	closed                      bool
	done                        chan struct{} // closed with the broker
}

// New returns a broker, which must be closed. Clients connect by Dial, or by sockets after
// Listen. It uses no goroutine until it serves a socket.
func New(o Options) (*Broker, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Broker{
		logger:        o.Logger,
		table:         table,
		options:       o,
		clock:         newClock(o.ManualTime),
		runID:         randomID(),
		blocked:       make([]map[string]*queue, o.Databases),
		watched:       make([]map[string]map[*session]*watch, o.Databases),
		sessions:      map[int64]*session{},
		spikes:        map[string]*spikes{},
		postponements: postponements{all: map[*postponed]struct{}{}},
		netems:        map[*session]struct{}{},
		listeners:     map[net.Listener]struct{}{},
		done:          make(chan struct{}),
		conns:         map[transport.Conn]struct{}{},
	}
	b.options.Logger = nil
	b.replicationID, b.formerReplicationID = randomID(), strings.Repeat("0", idDigits)
	b.history.most = o.LogSize
	b.keys = keyspace.New(o.Databases, types, hooks{b})
	b.running = call{Call: keyspace.Call{Keyspace: b.keys}, Broker: b}
	b.keys.Seed(o.Seed)
	b.pause.broker, b.evictor.broker = b, b
	b.optionsChanged()
	b.setObserved()
	b.applyDiagnostics()
	if o.TestCommands {
		b.table = testTable
	}
	b.usage = make([]usage, b.table.Count)
	for i := range b.blocked {
		b.blocked[i] = map[string]*queue{}
		b.watched[i] = map[string]map[*session]*watch{}
	}
	b.setTime()
	b.stats.started, b.saves.last = b.keys.Now, b.keys.Now
	b.resetStats()
	b.pubsub.init()
	b.acl.init(o.Password)
	b.tracking.init(b)
	return b, nil
}

// idDigits is the length of the IDs of runs and of replication.
const idDigits = 40

// randomID returns one of those.
func randomID() string {
	var id [idDigits / 2]byte
	rand.Read(id[:]) // never fails, by its contract
	return hex.EncodeToString(id[:])
}

// Dial connects to the broker in memory. Network and address are ignored, so that
// it can be the Dialer of a go-redis client. What a client writes is run before
// Write returns; reads and writes honour deadlines.
func (b *Broker) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if err := b.clock.elsewhere(); err != nil {
		return nil, err
	}
	c := transport.NewMemory(host{b})
	c.Dialled()
	b.enter()
	err := b.open(c.Transport())
	b.leave()
	if err == syscall.ECONNREFUSED {
		return nil, &net.OpError{Op: "dial", Net: transport.MemoryAddr(0).Network(), Addr: transport.MemoryAddr(0), Err: err}
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// open makes a session for a transport. A client that cannot be served gets an error reply
// and is disconnected.
func (b *Broker) open(l transport.Conn) error {
	if b.closed {
		return ErrClosed
	}
	b.lastID++
	s := &session{
		broker: b, transport: l, id: b.lastID, requests: resp.NewReader(&b.limits),
		protocol: 2, db: b.keys.DBs[0],
		created: b.keys.Now, used: b.keys.Now,
	}
	if b.refuses() {
		return syscall.ECONNREFUSED
	}
	s.setUser(b.acl.defaultUser)
	l.Attach(s)
	b.stats.connections++
	if r := b.rejection(l); r != nil {
		b.stats.rejected++
		s.out.Add(r, s.protocol, 1) // as in Redis it does not count as an error reply
		s.finish()
		return nil
	}
	b.sessions[s.id] = s
	s.updateNetem()
	if b.options.IdleTimeout > 0 {
		s.setIdleAlarm()
	}
	return nil
}

// rejection returns the error reply for a new client that cannot be served, or nil.
func (b *Broker) rejection(l transport.Conn) *resp.Reply {
	switch {
	case len(b.sessions) >= b.options.MaxClients:
		return &tooManyClients
	case !b.options.Unprotected && b.acl.defaultUser.NoPass && l.Remote():
		return &protectedMode
	}
	return nil
}

var tooManyClients = resp.ErrorReply("ERR max number of clients reached")

// enter takes the lock and runs the timers that are due.
func (b *Broker) enter() {
	b.mu.Lock()
	b.runDue()
}

// leave ends a batch, hands output to the transports, releases the lock and flushes them.
func (b *Broker) leave() { b.leaveTo(nil) }

// leaveTo is leave in the goroutine of a client. It returns that client's interception, if
// there is one, for the caller to run.
func (b *Broker) leaveTo(own *session) (rest *interception) {
	flush := flushLists.Get().(*[]transport.Conn)
	b.afterBatch()
	for len(b.pendingWrites) > 0 || len(b.moves) > 0 && !b.isBusy() { // closing a session may unblock another
		for i := 0; i < len(b.pendingWrites); i++ {
			if s := b.pendingWrites[i]; s.flushOutput() {
				*flush = append(*flush, s.transport)
			}
		}
		b.pendingWrites = emptied(b.pendingWrites)
		if !b.isBusy() {
			b.moveClock()
		}
		b.afterBatch()
	}
	b.running.session, b.running.Caller = nil, nil // so that a closed session is not kept in memory
	b.rearm()
	logs, questions := b.logs, b.interceptions
	b.logs, b.interceptions = nil, nil
	if run := b.scripting.running; len(logs) > 0 && run != nil && run.leaves {
		b.logApart(run, logs)
		logs = nil
	}
	b.polling = false
	b.mu.Unlock()
	for _, l := range *flush {
		l.Flush()
	}
	if len(logs) > 0 { // the call, too, would be a part of the cost of each command
		b.writeLogs(logs)
	}
	clear(*flush)
	*flush = (*flush)[:0]
	flushLists.Put(flush)
	return b.runInterceptions(questions, own)
}

// flushLists are lists of transports to flush, for reuse.
var flushLists = sync.Pool{New: func() any { return new([]transport.Conn) }}

// emptied empties a list for reuse; it no longer refers to its elements.
func emptied[T any](list []T) []T {
	clear(list)
	return list[:0]
}

// afterBatch serves ready keys, resumes the clients that were unblocked or released, and
// sends the invalidations of broadcast mode.
func (b *Broker) afterBatch() {
	if waiting := len(b.ready)+len(b.resumed) > 0 || b.tracking.active; waiting && !b.isBusy() {
		b.serveWaiting()
	}
	if len(b.netems) > 0 {
		for _, s := range b.pendingWrites {
			s.sendNetem()
		}
	}
}

// serveWaiting does what waits for the end of a batch, or of a script.
func (b *Broker) serveWaiting() {
	b.serveReadyKeys()
	for i := 0; i < len(b.resumed); i++ {
		b.resumed[i].resume()
	}
	b.resumed = emptied(b.resumed)
	b.serveReadyKeys() // deferred for a session that has been closed
	if b.tracking.active {
		b.tracking.broadcast()
	}
}

// Close disconnects all clients, stops listening, and waits for the broker's goroutines.
// If that takes more than 5 s, the error names those that are still running. A second call
// does the same.
func (b *Broker) Close() error {
	b.enter()
	b.disconnectAll()
	poller := b.poller
	b.leave()
	if poller != nil {
		poller.Stop()
	}
	if names := b.goroutines.shut(5 * time.Second); len(names) > 0 {
		return fmt.Errorf("broker: Close: still running after 5 s: %s", strings.Join(names, ", "))
	}
	return nil
}

// Done returns a channel that is closed with the broker: by Close, or by a client's
// SHUTDOWN. After SHUTDOWN, Close must still be called.
func (b *Broker) Done() <-chan struct{} { return b.done }

// disconnectAll disconnects all clients and stops listening.
func (b *Broker) disconnectAll() {
	if !b.closed {
		close(b.done)
	}
	b.closed = true
	if b.timer != nil {
		b.timer.Stop()
	}
	for l := range b.listeners {
		l.Close()
	}
	for _, s := range b.sessions {
		s.Abort()
	}
	for h := range b.postponements.all { // includes disconnected clients
		h.session.close()
	}
	for s := range b.netems {
		s.close()
	}
	for s := range b.conns { // includes those that only have output left
		s.Abort()
	}
	for _, w := range b.conditions {
		w.done()
	}
	b.conditions = nil
}

// A logRecord is kept until the lock is released, as the logger may call the broker.
type logRecord struct {
	level   slog.Level
	message string
	args    []any
}

// log logs once the lock is released.
func (b *Broker) log(level slog.Level, message string, args ...any) {
	b.logs = append(b.logs, logRecord{level, message, args})
}

// writeLogs calls the logger, without the lock, as its handler may call methods of the broker.
func (b *Broker) writeLogs(logs []logRecord) {
	for _, r := range logs {
		b.logger.Log(context.Background(), r.level, r.message, r.args...)
	}
}

// Clients describes the connected clients, one line each, as CLIENT LIST does. For clients
// in memory it adds dialled=FILE:LINE, the line that opened the connection: for go-redis,
// the line that called it.
func (b *Broker) Clients() []string {
	b.enter()
	defer b.leave()
	var lines []string
	for _, id := range slices.Sorted(maps.Keys(b.sessions)) {
		s := b.sessions[id]
		line := s.String()
		if s.transport.Peer() == transport.Gone { // not unregistered yet
			continue
		}
		if l, inMemory := s.transport.(transport.Memory); inMemory {
			if place := l.DialledAt(); place != "" {
				line += " dialled=" + place
			}
		}
		lines = append(lines, line)
	}
	return lines
}

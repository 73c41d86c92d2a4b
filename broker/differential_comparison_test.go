//go:build unix

package broker

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"redrpc/broker/internal/transport"
	"redrpc/internal/redistest"
)

// A comparison is between one redis-server, which stays, and many brokers.
type comparison struct {
	testing.TB
	server   *redistest.Server
	redis    *wire  // a connection to ask questions on
	id       int64  // of that connection
	lastID   int64  // of the clients of redis
	password string // that clients have to give, if any
	events   string // the classes of events that are published
	sent     int
	scans    int       // that have come to their end
	coverage *coverage // nil while rounds are repeated
}

func newComparison(t testing.TB, share int) *comparison {
	d := &comparison{TB: t, server: redistest.Start(t, "--enable-debug-command", "yes", "--rdbcompression", "no"), coverage: newCoverage(share)}
	d.redis = newWire(d.dial())
	var err error
	if d.id, err = strconv.ParseInt(d.redis.do(t, "CLIENT", "ID"), 10, 64); err != nil {
		t.Fatal(err)
	}
	d.redis.expect(t, "+OK", "ACL", "SETUSER", "control", "on", "nopass", "~*", "&*", "+@all")
	d.redis.expect(t, "+OK", "AUTH", "control", "")
	d.lastID = d.id
	d.redis.expect(t, "+OK", "DEBUG", "REPLYBUFFER", "RESIZING", "0") // whose size says what a client without a password may leave unread
	t.Cleanup(func() { d.redis.Close() })
	return d
}

func (d *comparison) dial() *net.UnixConn {
	conn, err := net.Dial("unix", d.server.Socket)
	if err != nil {
		d.Fatal(err)
	}
	d.lastID++
	return conn.(*net.UnixConn)
}

// A round is a duel on fresh servers.
type round struct {
	*comparison
	subject *Broker
	broker  *wire // a connection to ask questions on
	clients [4]*pairedClient
	scan    *scanning     // nil: there is none
	paging  *pairedClient // who has asked for a page of it
	unread  int           // bytes sent that redis-server may not have read
	ended   int64         // how many keys of the broker have ended, as far as has been waited for
	record  *[]string     // the transcript, if one is wanted
	made    []step
	found   string // the first difference
}

// Fatalf says what led to a failure of a server, or of the test.
func (b *round) Fatalf(format string, args ...any) {
	b.Helper()
	var steps strings.Builder
	for _, s := range b.made {
		fmt.Fprintf(&steps, "\n%s%s %s", b.clients[s.client].name, s.form, asTyped(s.args))
	}
	b.comparison.Fatalf(format+" after these steps:%s", append(args, steps.String())...)
}

// A pairedClient is a client of both servers.
type pairedClient struct {
	name   string
	id     int64 // on both servers
	redis  *socketEnd
	broker *transport.MemoryClient
	sent   [][]string // commands that may be unanswered, or wait for EXEC

	// For the coverage.
	pending  [][]string // commands without a reply
	queued   [][]string // those that wait for EXEC
	received []byte     // from redis-server, since the last step
	waited   bool       // it was blocked before
	silenced bool       // it may get fewer replies than it has sent commands

	// What redis-server says of it.
	blocked, inTransaction, subscribed, tracking, monitoring bool

	protocol int
}

// playRound has a round and returns the steps made and the difference that ended it, or
// none. next chooses the next steps, which are sent together; it returns none to
// end the round.
func (d *comparison) playRound(next func(*round) []step, record *[]string) (made []step, found string) {
	b := &round{comparison: d, record: record}
	d.redis.expect(d, "+OK", "CLIENT", "UNPAUSE")
	d.redis.expect(d, "+OK", "FLUSHALL")
	d.redis.expect(d, "+OK", "SCRIPT", "FLUSH")
	d.redis.expect(d, "+OK", "FUNCTION", "FLUSH")
	var err error
	d.redis.expect(d, "+OK", "CONFIG", "SET", "requirepass", d.password, "hz", "10", "loglevel", "notice", "lazyfree-lazy-expire", "no", "lua-time-limit", "5000", "auto-aof-rewrite-min-size", "64mb", "zset-max-listpack-entries", "128", "zset-max-listpack-value", "64", "timeout", "0", "maxmemory", "0", "maxmemory-policy", "noeviction", "maxmemory-samples", "5", "lfu-log-factor", "10", "lfu-decay-time", "1", "maxclients", "10000", "client-query-buffer-limit", "1gb",
		"proto-max-bulk-len", "512mb", "client-output-buffer-limit", "normal 0 0 0 pubsub 32mb 8mb 60 replica 256mb 64mb 60", "tracking-table-max-keys", "1000000",
		"protected-mode", "yes", "notify-keyspace-events", d.events, "latency-tracking", "yes", "latency-tracking-info-percentiles", "50 99 99.9",
		"slowlog-log-slower-than", "-1", "slowlog-max-len", "128", "latency-monitor-threshold", "0", "acl-pubsub-default", "resetchannels", "acllog-max-len", "128",
		"hash-max-listpack-entries", "512", "hash-max-listpack-value", "64", "set-max-intset-entries", "512", "hll-sparse-max-bytes", "3000", "stream-node-max-bytes", "4096", "stream-node-max-entries", "100") // lest a slow machine matters
	d.makeUsers(d.redis)
	if b.subject, err = New(Options{Password: d.password, KeyspaceEvents: d.events}); err != nil {
		d.Fatal(err)
	}
	defer b.end()
	if _, err := b.subject.Do("ACL", "SETUSER", "control", "on", "nopass", "~*", "&*", "+@all"); err != nil {
		d.Fatal(err)
	}
	b.broker = newWire(b.dialBroker(d.id))
	b.broker.expect(d, "+OK", "AUTH", "control", "")
	d.makeUsers(b.broker)
	d.redis.do(d, "SCAN", "0") // leaves no error number behind
	b.broker.expect(d, "+OK", "CONFIG", "SET", "slowlog-log-slower-than", "-1")
	for _, server := range []*wire{d.redis, b.broker} {
		server.expect(d, "+OK", "SLOWLOG", "RESET")
		server.expect(d, "+OK", "CONFIG", "RESETSTAT")
	}
	for i := range b.clients {
		b.clients[i] = &pairedClient{name: string(rune('a' + i))}
		b.connect(b.clients[i])
	}
	b.compare()
	for {
		steps := next(b)
		if len(steps) == 0 {
			b.inspect()
			return made, b.found
		}
		made = append(made, steps...)
		b.made = made
		b.do(steps)
		if b.found != "" {
			return made, b.found
		}
	}
}

// userName is a name in a reply, in readable form.
var userName = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[^" ]\S*`)

// makeUsers deletes the users that rounds have made, and makes two that do not change.
func (d *comparison) makeUsers(w *wire) {
	list := strings.TrimSuffix(strings.TrimPrefix(w.do(d, "ACL", "USERS"), "["), "]")
	for _, name := range userName.FindAllString(list, -1) {
		if text, err := strconv.Unquote(name); err == nil && name[0] == '"' {
			name = text
		}
		if name != "default" && name != "control" {
			w.expect(d, "1", "ACL", "DELUSER", name)
		}
	}
	w.expect(d, "+OK", "ACL", "SETUSER", "carol", "on", "nopass", "~l*", "~m", "%R~user:*", "%W~w*", "&n*", "+@all", "-@dangerous", "+sort", "+sort_ro", "-getset")
	w.expect(d, "+OK", "ACL", "SETUSER", "dave", "on", ">secret", "+@connection", "+select|1", "+acl|whoami", "(~s* %R~* +@read -@slow)", "(%W~* +@write &sport)")
	w.expect(d, "+OK", "ACL", "LOG", "RESET")
}

func (b *round) dialBroker(id int64) *transport.MemoryClient {
	b.subject.mu.Lock()
	b.subject.lastID = id - 1
	b.subject.mu.Unlock()
	conn, err := b.subject.Dial(b.Context(), "", "")
	if err != nil {
		b.Fatal(err)
	}
	return conn.(*transport.MemoryClient)
}

// connect gives a client new connections, with the same id on both servers.
func (b *round) connect(c *pairedClient) {
	conn := b.dial()
	raw, err := conn.SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	*c = pairedClient{name: c.name, id: b.lastID, redis: &socketEnd{UnixConn: conn, raw: raw}, broker: b.dialBroker(b.lastID), protocol: 2}
}

func (c *pairedClient) close() {
	c.redis.Close()
	c.broker.Close()
}

func (b *round) end() {
	for _, c := range b.clients {
		c.close()
	}
	b.await()
	b.broker.Close()
	if err := b.subject.Close(); err != nil {
		b.Fatal(err)
	}
}

// do makes steps of one client, and compares what came of them.
func (b *round) do(steps []step) {
	c := b.clients[steps[0].client]
	var commands [2][]byte // for redis-server and the broker
	var sent [][]string
	for _, s := range steps {
		if s.args == nil {
			b.note("%s closes", c.name)
			c.close()
			b.connect(c)
			b.compare()
			b.watchScan()
			return
		}
		b.note("%s%s %s", c.name, s.form, asTyped(s.args))
		args := slices.Clone(s.args)
		for i, arg := range args {
			if len(arg) == 3 && arg[0] == '{' && arg[2] == '}' {
				args[i] = fmt.Sprint(b.clients[arg[1]-'a'].id)
			}
		}
		for i := range commands {
			words := args
			if s.isPage() {
				b.openScan(c, args)
				words = b.scan.at(i, args)
			}
			commands[i] = append(commands[i], s.encode(words)...)
		}
		sent = append(sent, args)
	}
	b.comparison.sent += len(sent)
	c.sent = append(c.sent, sent...)
	c.pending = append(c.pending, sent...)
	c.silenced = b.subject.silenced(sessionOf(c.broker)) || slices.ContainsFunc(sent, c.silences)
	b.unread = len(commands[0])
	if cut := steps[0].cut; 0 < cut && cut < min(len(commands[0]), len(commands[1])) {
		b.send(c, [2][]byte{commands[0][:cut], commands[1][:cut]})
		b.await()
		commands = [2][]byte{commands[0][cut:], commands[1][cut:]}
	}
	b.send(c, commands)
	b.outlast()
	b.paging = nil
	if steps[0].isPage() {
		b.paging = c
	}
	pops := b.popped(c, sent)
	b.compare()
	b.follow(pops)
	b.watchScan()
}

// A pop is a key of which SPOP has taken any members.
type pop struct {
	db  int
	key string
}

// popped lists the keys of the SPOPs that were sent, or that a transaction had.
func (b *round) popped(c *pairedClient, sent [][]string) (pops []pop) {
	if rowOf(sent[len(sent)-1]) == "exec" {
		sent = c.sent
	}
	b.subject.mu.Lock()
	defer b.subject.mu.Unlock()
	for _, args := range sent {
		if rowOf(args) == "spop" && len(args) > 1 {
			pops = append(pops, pop{sessionOf(c.broker).db.Index, args[1]})
		}
	}
	return pops
}

// follow makes sets of the broker what they are in redis-server, which has taken others of
// their members.
func (b *round) follow(pops []pop) {
	for _, p := range pops {
		var dumped string
		for _, words := range [][]string{{"SELECT", strconv.Itoa(p.db)}, {"DUMP", p.key}, {"SELECT", "0"}} {
			redis := b.redis.do(b, words...)
			b.broker.do(b, words...)
			if words[0] == "DUMP" {
				dumped = unquoted(b, redis)
			}
		}
		v := (&answer{text: dumped}).dumped()
		if v == nil || v.Type().Name != "set" {
			continue
		}
		b.subject.mu.Lock()
		if e := b.subject.keys.DBs[p.db].Get(p.key); e != nil && e.Value.Type() == v.Type() {
			e.Value = v
			if b.subject.keys.MaxMemory > 0 {
				b.subject.keys.Measure(e)
			}
		}
		b.subject.mu.Unlock()
	}
}

// send writes to both servers. One of them may have closed the connection, after what
// was sent before: that shows in what is read.
func (b *round) send(c *pairedClient, commands [2][]byte) {
	for i, end := range []net.Conn{c.redis, c.broker} {
		if _, err := end.Write(commands[i]); err != nil && !errors.Is(err, syscall.EPIPE) {
			b.Fatal(err)
		}
	}
}

// silences reports whether a command can leave others without a reply.
func (c *pairedClient) silences(args []string) bool {
	switch rowOf(args) {
	case "client|reply":
		return len(args) == 3 && (strings.EqualFold(args[2], "OFF") || strings.EqualFold(args[2], "SKIP"))
	case "exec":
		return slices.ContainsFunc(c.queued, c.silences)
	}
	return false
}

// silenced reports whether a client gets no reply to its next command.
func (b *Broker) silenced(s *session) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return s.replyMode != 0
}

// note adds a line to the transcript.
func (b *round) note(format string, args ...any) {
	if b.record != nil {
		*b.record = append(*b.record, fmt.Sprintf(format, args...))
	}
}

func (b *round) noteReplies(c *pairedClient, redis, broker []byte, redisClosed, brokerClosed, same bool) {
	if b.record == nil {
		return
	}
	show := func(p []byte, closed bool) []string {
		lines := readable(p)
		if closed {
			lines = append(lines, "closed")
		}
		return lines
	}
	rs, bs := show(redis, redisClosed), show(broker, brokerClosed)
	for _, line := range rs {
		b.note("%s< %s", c.name, line)
	}
	if !same {
		for _, line := range append(bs, "(that is all)") {
			b.note("#   broker: %s< %s", c.name, line)
		}
	}
}

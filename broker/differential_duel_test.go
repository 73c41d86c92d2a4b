//go:build unix

package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"redrpc/internal/redistest"
)

// A step is what one client does.
type step struct {
	client int
	args   []string // a command; "{b}" is the id of client b. None: it closes its connection
	joined bool     // sent together with the next step, if that is of the same client
	brief  bool     // a key that it makes ends soon, and what follows may see it or not
	form   stepForm
	cut    int // after so many bytes what is sent is cut in two, if it is that long
}

// A stepForm is how a command is sent.
type stepForm int

const (
	asArray stepForm = iota
	inline           // as a line
	raw              // the one argument as it is: no command
)

// String marks a step in a transcript.
func (f stepForm) String() string { return []string{">", " (inline)>", " (raw)>"}[f] }

func (s step) encode(args []string) []byte {
	switch s.form {
	case inline:
		return []byte(asTyped(args) + "\r\n")
	case raw:
		return []byte(args[0])
	}
	return request(args...)
}

// A duel is between one redis-server, which stays, and many brokers.
type duel struct {
	testing.TB
	server   *redistest.Server
	redis    *wire  // a connection to ask questions on
	id       int64  // of that connection
	lastID   int64  // of the clients of redis
	password string // that clients have to give, if any
	events   string // the classes of events that are published
	sent     int
	coverage *coverage // nil while bouts are repeated
}

func newDuel(t testing.TB, share int) *duel {
	d := &duel{TB: t, server: redistest.Start(t, "--enable-debug-command", "yes", "--rdbcompression", "no"), coverage: newCoverage(share)}
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

func (d *duel) dial() *net.UnixConn {
	conn, err := net.Dial("unix", d.server.Socket)
	if err != nil {
		d.Fatal(err)
	}
	d.lastID++
	return conn.(*net.UnixConn)
}

// A bout is a duel on fresh servers.
type bout struct {
	*duel
	opponent *Broker
	broker   *wire // a connection to ask questions on
	clients  [4]*combatant
	unread   int       // bytes sent that redis-server may not have read
	ended    int64     // how many keys of the broker have ended, as far as has been waited for
	record   *[]string // the transcript, if one is wanted
	made     []step
	found    string // the first difference
}

// Fatalf says what led to a failure of a server, or of the test.
func (b *bout) Fatalf(format string, args ...any) {
	b.Helper()
	var steps strings.Builder
	for _, s := range b.made {
		fmt.Fprintf(&steps, "\n%s%s %s", b.clients[s.client].name, s.form, asTyped(s.args))
	}
	b.duel.Fatalf(format+" after these steps:%s", append(args, steps.String())...)
}

// A combatant is a client of both servers.
type combatant struct {
	name   string
	id     int64 // on both servers
	redis  *socketEnd
	broker *memoryConn
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

// play has a bout and returns the steps made and the difference that ended it, or
// none. next chooses the next steps, which are sent together; it returns none to
// end the bout.
func (d *duel) play(next func(*bout) []step, record *[]string) (made []step, found string) {
	b := &bout{duel: d, record: record}
	d.redis.expect(d, "+OK", "CLIENT", "UNPAUSE")
	d.redis.expect(d, "+OK", "FLUSHALL")
	var err error
	d.redis.expect(d, "+OK", "CONFIG", "SET", "requirepass", d.password, "timeout", "0", "maxmemory", "0", "maxclients", "10000", "client-query-buffer-limit", "1gb",
		"proto-max-bulk-len", "512mb", "client-output-buffer-limit", "normal 0 0 0 pubsub 32mb 8mb 60 replica 256mb 64mb 60", "tracking-table-max-keys", "1000000",
		"protected-mode", "yes", "notify-keyspace-events", d.events, "latency-tracking", "yes", "latency-tracking-info-percentiles", "50 99 99.9",
		"slowlog-log-slower-than", "-1", "slowlog-max-len", "128", "latency-monitor-threshold", "0", "acl-pubsub-default", "resetchannels", "acllog-max-len", "128") // lest a slow machine matters
	d.makeUsers(d.redis)
	if b.opponent, err = New(Options{Password: d.password, KeyspaceEvents: d.events}); err != nil {
		d.Fatal(err)
	}
	defer b.end()
	if _, err := b.opponent.Do("ACL", "SETUSER", "control", "on", "nopass", "~*", "&*", "+@all"); err != nil {
		d.Fatal(err)
	}
	b.broker = newWire(b.dialBroker(d.id))
	b.broker.expect(d, "+OK", "AUTH", "control", "")
	d.makeUsers(b.broker)
	d.redis.do(d, "SCAN", "0") // leaves no error number behind
	d.redis.expect(d, "+OK", "CONFIG", "RESETSTAT")
	b.broker.expect(d, "+OK", "CONFIG", "SET", "slowlog-log-slower-than", "-1")
	b.broker.expect(d, "+OK", "CONFIG", "RESETSTAT")
	for i := range b.clients {
		b.clients[i] = &combatant{name: string(rune('a' + i))}
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
		b.perform(steps)
		if b.found != "" {
			return made, b.found
		}
	}
}

// makeUsers deletes the users that bouts have made, and makes two that do not change.
func (d *duel) makeUsers(w *wire) {
	names, _ := splitLine([]byte(strings.Trim(w.do(d, "ACL", "USERS"), "[]")))
	for _, name := range names {
		if string(name) != "default" && string(name) != "control" {
			w.expect(d, "1", "ACL", "DELUSER", string(name))
		}
	}
	w.expect(d, "+OK", "ACL", "SETUSER", "carol", "on", "nopass", "~l*", "~m", "%R~user:*", "%W~w*", "&n*", "+@all", "-@dangerous", "+sort", "+sort_ro", "-getset")
	w.expect(d, "+OK", "ACL", "SETUSER", "dave", "on", ">secret", "+@connection", "+select|1", "+acl|whoami", "(~s* %R~* +@read -@slow)", "(%W~* +@write &sport)")
	w.expect(d, "+OK", "ACL", "LOG", "RESET")
}

func (b *bout) dialBroker(id int64) *memoryConn {
	b.opponent.mu.Lock()
	b.opponent.lastID = id - 1
	b.opponent.mu.Unlock()
	conn, err := b.opponent.Dial(b.Context(), "", "")
	if err != nil {
		b.Fatal(err)
	}
	return conn.(*memoryConn)
}

// connect gives a client new connections, with the same id on both servers.
func (b *bout) connect(c *combatant) {
	conn := b.dial()
	raw, err := conn.SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	*c = combatant{name: c.name, id: b.lastID, redis: &socketEnd{UnixConn: conn, raw: raw}, broker: b.dialBroker(b.lastID), protocol: 2}
}

func (c *combatant) close() {
	c.redis.Close()
	c.broker.Close()
}

func (b *bout) end() {
	for _, c := range b.clients {
		c.close()
	}
	b.await()
	b.broker.Close()
	if err := b.opponent.Close(); err != nil {
		b.Fatal(err)
	}
}

// perform makes steps of one client, and compares what came of them.
func (b *bout) perform(steps []step) {
	c := b.clients[steps[0].client]
	var commands []byte
	var sent [][]string
	for _, s := range steps {
		if s.args == nil {
			b.note("%s closes", c.name)
			c.close()
			b.connect(c)
			b.compare()
			return
		}
		b.note("%s%s %s", c.name, s.form, asTyped(s.args))
		args := slices.Clone(s.args)
		for i, arg := range args {
			if len(arg) == 3 && arg[0] == '{' && arg[2] == '}' {
				args[i] = fmt.Sprint(b.clients[arg[1]-'a'].id)
			}
		}
		commands = append(commands, s.encode(args)...)
		sent = append(sent, args)
	}
	b.duel.sent += len(sent)
	c.sent = append(c.sent, sent...)
	c.pending = append(c.pending, sent...)
	c.silenced = b.opponent.silenced(c.broker.session) || slices.ContainsFunc(sent, c.silences)
	b.unread = len(commands)
	if cut := steps[0].cut; 0 < cut && cut < len(commands) {
		b.send(c, commands[:cut])
		b.await()
		commands = commands[cut:]
	}
	b.send(c, commands)
	b.outlast()
	b.compare()
}

// send writes to both servers. One of them may have closed the connection, after what
// was sent before: that shows in what is read.
func (b *bout) send(c *combatant, p []byte) {
	for _, end := range []net.Conn{c.redis, c.broker} {
		if _, err := end.Write(p); err != nil && !errors.Is(err, syscall.EPIPE) {
			b.Fatal(err)
		}
	}
}

// silences reports whether a command can leave others without a reply.
func (c *combatant) silences(args []string) bool {
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
	return s.silence != 0
}

// soon is the time within which nothing is due but what the test waits for.
const soon = time.Second

// outlast lets time go on until all that was to happen soon has happened: time-outs,
// and the end of keys, which redis-server deletes for certain only when it comes
// across them.
func (b *bout) outlast() {
	wait := b.opponent.dueSoon()
	if n := b.opponent.Stats().Expired; wait < 0 && n == b.ended {
		return
	}
	b.await()
	for ; wait >= 0; wait = b.opponent.dueSoon() {
		time.Sleep(wait)
		b.list(b.broker)
	}
	time.Sleep(5 * time.Millisecond) // redis-server may have been late, and nothing is sooner than in 3 ms
	b.lists()
	for _, db := range append(databases, "0") {
		for _, w := range []*wire{b.redis, b.broker} {
			w.do(b, "SELECT", db)
			w.do(b, "SCAN", "0", "COUNT", "1000")
		}
	}
	b.ended = b.opponent.Stats().Expired
}

// lists returns the lines of CLIENT LIST of both servers, when all blocked clients
// have timed out that are to do so soon.
func (b *bout) lists() (redis, broker []string) {
	for range 100 {
		redis, broker = b.await(), strings.Split(b.list(b.broker), "\n")
		if waiting(redis) <= waiting(broker) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return redis, broker
}

// dueSoon is how long it is until something is due, if that is soon, else negative.
func (b *Broker) dueSoon() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.alarms.first(); a != nil && a.at < b.clock.read()+int64(soon) {
		return time.Duration(max(0, a.at-b.clock.read()))
	}
	return -1
}

// waiting is how many clients in a list are blocked.
func waiting(lines []string) int {
	n := 0
	for _, line := range lines {
		if strings.Contains(flagsOf(line), "b") {
			n++
		}
	}
	return n
}

// flagsOf returns the flags in a line of CLIENT LIST.
func flagsOf(line string) string {
	_, flags, _ := strings.Cut(line, " flags=")
	flags, _, _ = strings.Cut(flags, " ")
	return flags
}

// await waits until redis-server has done all that it was asked for and has sent
// every reply, and returns the lines of its list of clients.
//
// It does its work in rounds: it reads what has come in from all clients and
// runs it, and then writes to all of them. So a question that was sent after a
// command is answered in the same round as the command or later, and a second
// question in a round after that. Of much input it reads 16 KiB in a round.
func (b *bout) await() []string {
	for ; b.unread >= 0; b.unread -= 16 << 10 {
		b.list(b.redis)
	}
	b.unread = 0
	for {
		list := b.list(b.redis)
		unsent := false
		for field := range strings.FieldsSeq(list) {
			name, n, _ := strings.Cut(field, "=")
			unsent = unsent || (name == "obl" || name == "oll") && n != "0"
		}
		if !unsent {
			return strings.Split(list, "\n")
		}
		for _, c := range b.clients { // a long reply has to be read for the rest to come
			c.redis.drain()
		}
	}
}

func (b *bout) list(control *wire) string {
	question := []string{"CLIENT", "LIST", "ID"}
	for _, c := range b.clients {
		if c != nil {
			question = append(question, fmt.Sprint(c.id))
		}
	}
	if len(question) == 3 {
		return ""
	}
	control.send(b, question...)
	var size int
	if _, err := fmt.Fscanf(control.in, "$%d\r\n", &size); err != nil {
		b.Fatalf("%q: %v", question, err)
	}
	list := make([]byte, size+2)
	if _, err := io.ReadFull(control.in, list); err != nil {
		b.Fatalf("%q: %v", question, err)
	}
	return string(list[:size])
}

// compare compares what all clients have received and how they stand.
func (b *bout) compare() {
	redisLines, brokerLines := b.lists()
	// One that has asked for silence is not sent what it would be closed after.
	closing := func(c *combatant) bool {
		return slices.ContainsFunc(redisLines, func(line string) bool {
			return strings.HasPrefix(line, fmt.Sprintf("id=%d ", c.id)) && isClosing(line)
		})
	}
	for _, c := range b.clients {
		redis, redisClosed := c.redis.take()
		broker, brokerClosed := c.broker.take()
		redisClosed = redisClosed || closing(c)
		c.waited, c.received = c.blocked, redis
		same := redisClosed == brokerClosed
		if !bytes.Equal(redis, broker) {
			want, got := c.level(redis, broker)
			if want != got {
				same = false
				b.found = fmt.Sprintf("%s receives from redis-server and the broker:\n# %s", c.name, parting(want, got))
			}
		} else if !same {
			b.found = fmt.Sprintf("%s is closed by redis-server: %t, by the broker: %t", c.name, redisClosed, brokerClosed)
		}
		b.noteReplies(c, redis, broker, redisClosed, brokerClosed, same)
		if redisClosed && brokerClosed {
			b.note("%s closes", c.name)
			b.coverage.tally(c, true)
			c.close()
			b.connect(c)
			b.await() // else its first command may be read in a later round than a question
		}
	}
	for i, line := range slices.DeleteFunc(redisLines, isClosing) {
		want, got := selectClientFields(line), ""
		if i < len(brokerLines) {
			got = selectClientFields(brokerLines[i])
		}
		if got != want {
			b.found = fmt.Sprintf("CLIENT LIST of redis-server and the broker:\n# %s\n# %s", want, got)
		}
		b.learn(line)
	}
	for _, c := range b.clients {
		b.coverage.tally(c, false)
	}
}

// isClosing reports whether a line of CLIENT LIST is about a client that is closed
// once it has been sent its answer.
func isClosing(line string) bool { return strings.Contains(flagsOf(line), "c") }

// parting shows where two texts begin to differ.
func parting(want, got string) string {
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	part := func(s string) string { return s[max(0, at-200):min(len(s), at+200)] }
	return part(want) + "\n# " + part(got)
}

// level returns the replies without what the rules allow to differ.
func (c *combatant) level(redis, broker []byte) (want, got string) {
	rs, complete1 := parseReplies(redis)
	bs, complete2 := parseReplies(broker)
	if !complete1 || !complete2 {
		return string(redis), string(broker)
	}
	if n := len(c.sent); n > 0 && rowOf(c.sent[n-1]) == "exec" {
		rs, bs = flatten(rs), flatten(bs)
	}
	if slices.ContainsFunc(c.sent, func(args []string) bool { return slices.Contains([]string{"mget", "sort", "sort_ro"}, rowOf(args)) }) {
		rs, bs = hoist(rs), hoist(bs) // in redis-server, keys that they miss are told of between the elements
	}
	for _, rule := range rules {
		if rule.rows == "" {
			rule.level(nil, rs, bs)
			continue
		}
		for _, args := range c.sent {
			if !slices.Contains(strings.Fields(rule.rows), rowOf(args)) {
				continue
			}
			rule.level(args, rs, bs)
		}
	}
	return fmt.Sprint(rs), fmt.Sprint(bs)
}

// rowOf is the full name of the row that a command belongs to, or "unknown".
func rowOf(args []string) string {
	if len(args) == 0 {
		return "unknown"
	}
	c := table.named([]byte(args[0]))
	if c == nil || strings.Contains(args[0], "|") {
		return "unknown"
	}
	if c.subs != nil && len(args) > 1 {
		if sub := c.subs[strings.ToLower(args[1])]; sub != nil {
			return sub.fullName
		}
	}
	return c.fullName
}

// learn notes what a line of CLIENT LIST says of a client.
func (b *bout) learn(line string) {
	fields := map[string]string{}
	for field := range strings.FieldsSeq(line) {
		name, what, _ := strings.Cut(field, "=")
		fields[name] = what
	}
	for _, c := range b.clients {
		if fmt.Sprint(c.id) != fields["id"] {
			continue
		}
		c.blocked = strings.Contains(fields["flags"], "b")
		c.inTransaction = strings.Contains(fields["flags"], "x")
		c.subscribed = strings.Contains(fields["flags"], "P")
		c.monitoring = strings.Contains(fields["flags"], "O")
		c.tracking = strings.Contains(fields["flags"], "t")
		c.protocol = 2
		if fields["resp"] == "3" {
			c.protocol = 3
		}
		if !c.blocked && !c.inTransaction {
			c.sent = nil
		}
	}
}

// databases are those that have keys.
var databases = []string{"0", "1", "2", "15"}

// inspect compares all that the servers hold at the end of a bout.
func (b *bout) inspect() {
	ask := func(args ...string) string {
		redis, broker := b.redis.do(b, args...), b.broker.do(b, args...)
		if redis != broker && (args[0] != "PTTL" || strings.HasPrefix(redis, "-") || strings.HasPrefix(broker, "-")) {
			b.found = fmt.Sprintf("%q is answered with something else", args)
			b.note("x> %s\nx< %s\n# broker: %s", asTyped(args), redis, broker)
		}
		return redis
	}
	ask("CLIENT", "UNPAUSE") // keys may have ended meanwhile
	b.outlast()
	b.inspectStats()
	for _, db := range databases {
		ask("SELECT", db)
		if ask("DBSIZE") == "0" {
			continue
		}
		for _, key := range slices.Compact(slices.Sorted(slices.Values(pools["key"]))) {
			ask("TYPE", key)
			ask("GET", key)
			ask("LRANGE", key, "0", "-1")
			ask("PTTL", key)
			ask("OBJECT", "ENCODING", key)
			ask("OBJECT", "REFCOUNT", key)
		}
	}
	ask("SELECT", "0")
}

// inspectStats compares what the servers have noted.
func (b *bout) inspectStats() {
	question := []string{"INFO", "everything"}
	redis, err1 := strconv.Unquote(b.redis.do(b, question...))
	broker, err2 := strconv.Unquote(b.broker.do(b, question...))
	if err := errors.Join(err1, err2); err != nil {
		b.Fatal(err)
	}
	if want, got := selectFields(redis), selectFields(broker); want != got {
		b.found = fmt.Sprintf("INFO says on redis-server and the broker:\n# %s", parting(want, got))
	}
	if strings.Contains(redis, "cmdstat_scan:") {
		return // which keys it looks at depends on the order of a hash table
	}
	if want, got := lookups.FindStringSubmatch(redis), lookups.FindStringSubmatch(broker); !slices.Equal(want, got) {
		b.found = fmt.Sprintf("redis-server and the broker count lookups:\n# %q\n# %q", want[1:], got[1:])
	}
}

// lookups are the hits and misses in INFO.
var lookups = regexp.MustCompile(`keyspace_hits:(\d+)\r\nkeyspace_misses:(\d+)`)

// note adds a line to the transcript.
func (b *bout) note(format string, args ...any) {
	if b.record != nil {
		*b.record = append(*b.record, fmt.Sprintf(format, args...))
	}
}

func (b *bout) noteReplies(c *combatant, redis, broker []byte, redisClosed, brokerClosed, same bool) {
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

// A socketEnd is a client's end of a connection to redis-server.
type socketEnd struct {
	*net.UnixConn
	raw    syscall.RawConn
	in     []byte // what has been read and not been taken
	chunk  [16 << 10]byte
	closed bool
}

// drain reads what has arrived, without waiting.
func (s *socketEnd) drain() {
	chunk := s.chunk[:]
	for !s.closed {
		var n int
		var err error
		failed := s.raw.Read(func(fd uintptr) bool {
			n, err = syscall.Read(int(fd), chunk)
			return true
		})
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return
		case errors.Is(err, syscall.EINTR):
		case failed != nil || err != nil || n == 0:
			s.closed = true
		default:
			s.in = append(s.in, chunk[:n]...)
		}
	}
}

// take returns what has arrived, and whether the server has closed the
// connection.
func (s *socketEnd) take() (p []byte, closed bool) {
	s.drain()
	p, s.in = s.in, nil
	return p, s.closed
}

// take does the same as that of socketEnd.
func (c *memoryConn) take() (p []byte, closed bool) {
	c.mu.Lock()
	closed = c.ended
	p = make([]byte, len(c.in)-c.taken)
	c.mu.Unlock()
	if len(p) > 0 {
		if _, err := c.Read(p); err != nil && !errors.Is(err, os.ErrClosed) {
			panic(err) // it has been told that there is something to read
		}
	}
	return p, closed
}

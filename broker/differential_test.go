//go:build unix

package broker

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
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

// The differential test sends the same random commands to the broker and to a
// real redis-server, and compares what every client receives, byte for byte but
// for what differential_rules_test.go lists.
//
// It is made of bouts: some hundred commands of four clients on servers without
// data. A bout that ends in a difference is played again and again with fewer
// steps, and the fewest that still show it are printed as a transcript.

var (
	differentialSeed     = flag.Uint64("differential.seed", 0, "seed of the first bout of the differential test; 0 chooses one")
	differentialCommands = flag.Int("differential.commands", 10_000, "how many commands the differential test sends")
)

// maxDifferences is how many differences are looked into before the test gives up.
const maxDifferences = 5

func TestDifferential(t *testing.T) {
	for name, c := range table.all() {
		if _, known := grammar[name]; !known && (c.run != nil || c.order != nil) {
			t.Errorf("%s has no rule in the grammar of the differential test", name)
		}
	}
	for name := range grammar {
		if table.named([]byte(name)) == nil {
			t.Errorf("the grammar of the differential test has a rule for %s, which is no command", name)
		}
	}
	d := newDuel(t)
	seed := *differentialSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	began, differences := time.Now(), 0
	if steps, found := d.play(newGenerator(seed).tour(), nil); found != "" {
		t.Fatalf("a tour of all commands with seed %d ended in a difference:\n%s", seed, d.explain(steps, found))
	}
	for ; d.sent < *differentialCommands && differences < maxDifferences; seed++ {
		d.password = ""
		if seed%8 == 0 {
			d.password = "secret"
		}
		d.events = ""
		if seed%4 == 1 {
			d.events = "g$lxKEnm"
		}
		steps, found := d.play(newGenerator(seed).steps(), nil)
		if found == "" {
			continue
		}
		differences++
		t.Errorf("the bout with seed %d ended in a difference:\n%s", seed, d.explain(steps, found))
	}
	t.Logf("%d commands in %v; the next seed is %d", d.sent, time.Since(began).Round(time.Millisecond), seed)
	d.report(t)
}

// A step is what one client does.
type step struct {
	client int
	args   []string // a command; "{b}" is the id of client b. None: it closes its connection
	joined bool     // sent together with the next step, which is of the same client
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
	answers  map[string]map[string]int // how often a row was answered with a kind of reply
}

func newDuel(t testing.TB) *duel {
	d := &duel{TB: t, server: redistest.Start(t, "--enable-debug-command", "yes", "--rdbcompression", "no"), answers: map[string]map[string]int{}}
	d.redis = newWire(d.dial())
	var err error
	if d.id, err = strconv.ParseInt(d.redis.do(t, "CLIENT", "ID"), 10, 64); err != nil {
		t.Fatal(err)
	}
	d.lastID = d.id
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
	record   *[]string // the transcript, if one is wanted
	found    string    // the first difference
}

// A combatant is a client of both servers.
type combatant struct {
	name   string
	id     int64 // on both servers
	redis  *socketEnd
	broker *memoryConn
	sent   [][]string // commands that may be unanswered, or wait for EXEC

	// What redis-server says of it.
	blocked, inTransaction, subscribed, tracking bool

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
		"protected-mode", "yes", "notify-keyspace-events", d.events, "latency-tracking", "yes", "latency-tracking-info-percentiles", "50 99 99.9")
	if b.opponent, err = New(Options{Password: d.password, KeyspaceEvents: d.events}); err != nil {
		d.Fatal(err)
	}
	defer b.end()
	b.broker = newWire(b.dialBroker(d.id))
	if d.password != "" {
		b.broker.expect(d, "+OK", "AUTH", d.password)
	}
	d.redis.expect(d, "+OK", "CONFIG", "RESETSTAT")
	b.broker.expect(d, "+OK", "CONFIG", "RESETSTAT")
	for i := range b.clients {
		b.clients[i] = &combatant{name: string(rune('a' + i))}
		b.connect(b.clients[i])
	}
	b.compare(nil, nil)
	for {
		steps := next(b)
		if len(steps) == 0 {
			b.inspect()
			return made, b.found
		}
		made = append(made, steps...)
		b.perform(steps)
		if b.found != "" {
			return made, b.found
		}
	}
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
			b.compare(nil, nil)
			return
		}
		b.note("%s> %s", c.name, asTyped(s.args))
		args := slices.Clone(s.args)
		for i, arg := range args {
			if len(arg) == 3 && arg[0] == '{' && arg[2] == '}' {
				args[i] = fmt.Sprint(b.clients[arg[1]-'a'].id)
			}
		}
		commands = append(commands, request(args...)...)
		sent = append(sent, args)
	}
	b.duel.sent += len(sent)
	c.sent = append(c.sent, sent...)
	for _, end := range []net.Conn{c.redis, c.broker} {
		if _, err := end.Write(commands); err != nil {
			b.Fatal(err)
		}
	}
	b.compare(c, sent)
}

// await waits until redis-server has done all that it was asked for and has sent
// every reply, and returns the lines of its list of clients.
//
// It does its work in rounds: it reads what has come in from all clients and
// runs it, and then writes to all of them. So a question that was sent after a
// command is answered in the same round as the command or later, and a second
// question in a round after that.
func (b *bout) await() []string {
	b.list(b.redis)
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
	answer := control.do(b, question...)
	list, err := strconv.Unquote(answer)
	if err != nil {
		b.Fatalf("%s: %v", answer, err)
	}
	return list
}

// compare compares what all clients have received and how they stand. The
// commands sent last are those of client c.
func (b *bout) compare(by *combatant, commands [][]string) {
	redisLines, brokerLines := b.await(), strings.Split(b.list(b.broker), "\n")
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
		if c == by {
			b.count(c, redis, commands)
		}
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
}

// isClosing reports whether a line of CLIENT LIST is about a client that is closed
// once it has been sent its answer.
func isClosing(line string) bool {
	_, flags, _ := strings.Cut(line, " flags=")
	flags, _, _ = strings.Cut(flags, " ")
	return strings.Contains(flags, "c")
}

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
	if slices.ContainsFunc(c.sent, func(args []string) bool { return rowOf(args) == "mget" }) {
		rs, bs = hoist(rs), hoist(bs) // in redis-server, keys that MGET misses are told of between its elements
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
	b := make([][]byte, len(args))
	for i, arg := range args {
		b[i] = []byte(arg)
	}
	cmd, err := table.lookup(b)
	if err != nil {
		return "unknown"
	}
	return cmd.fullName
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
	b.inspectStats()
	for _, db := range []string{"0", "1", "2", "15"} {
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
}

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

// asTyped writes a command as a line that splitLine reads.
func asTyped(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = arg
		if arg == "" || strings.ContainsFunc(arg, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`"'\`, c) }) {
			var w strings.Builder
			for _, c := range []byte(arg) {
				switch {
				case c == '"' || c == '\\':
					w.WriteString(`\` + string(c))
				case c < ' ' || c > '~':
					fmt.Fprintf(&w, `\x%02x`, c)
				default:
					w.WriteByte(c)
				}
			}
			words[i] = `"` + w.String() + `"`
		}
	}
	return strings.Join(words, " ")
}

// replay has a bout with given steps.
func (d *duel) replay(steps []step, record *[]string) (found string) {
	_, found = d.play(func(*bout) []step {
		if len(steps) == 0 {
			return nil
		}
		n := 1
		for n < len(steps) && steps[n-1].joined && steps[n-1].args != nil && steps[n].args != nil && steps[n].client == steps[0].client {
			n++
		}
		first := steps[:n]
		steps = steps[n:]
		return first
	}, record)
	return found
}

// explain shrinks the steps that lead to a difference and returns them as a
// transcript.
func (d *duel) explain(steps []step, found string) string {
	count := d.sent
	defer func() { d.sent = count }()
	var transcript []string
	if d.replay(steps, &transcript) == "" {
		return "# " + found + "\n# It did not happen again. The steps were:\n" + strings.Join(transcript, "\n")
	}
	steps = d.shrink(steps)
	transcript = nil
	found = d.replay(steps, &transcript)
	return strings.Join(append(transcript, "# "+found), "\n")
}

// shrink leaves out steps as long as a difference remains: first many at once,
// then one by one.
func (d *duel) shrink(steps []step) []step {
	single := slices.Clone(steps)
	for i := range single {
		single[i].joined = false
	}
	if d.replay(single, nil) != "" {
		steps = single
	}
	for size := (len(steps) + 1) / 2; size > 0; {
		shorter := false
		for at := 0; at < len(steps); {
			fewer := slices.Concat(steps[:at], steps[min(at+size, len(steps)):])
			if len(fewer) > 0 && d.replay(fewer, nil) != "" {
				steps, shorter = fewer, true
			} else {
				at += size
			}
		}
		if size > 1 || !shorter {
			size /= 2
		}
	}
	return steps
}

// tour returns what sends a command of each row.
func (g *generator) tour() func(*bout) []step {
	var rows []string
	for name := range table.all() {
		rows = append(rows, name)
	}
	return func(*bout) []step {
		if len(rows) == 0 {
			return nil
		}
		args := slices.Concat(strings.Split(rows[0], "|"), g.expand(grammar[rows[0]]))
		if isAvoided(rowOf(args), args) {
			args = args[:1]
		}
		rows = rows[1:]
		return []step{{client: g.IntN(4), args: args}}
	}
}

// steps returns what chooses the steps of a bout.
func (g *generator) steps() func(*bout) []step {
	left := 50 + g.IntN(300)
	client := 0
	listeners := g.Perm(4)[:g.IntN(5)] // of events, if there are any
	return func(b *bout) []step {
		switch {
		case left <= 0:
			return nil
		case b.events != "" && len(listeners) > 0:
			client, listeners = listeners[0], listeners[1:]
			return []step{{client: client, args: []string{"HELLO", "3", "AUTH", "default", b.password}}, {client: client, args: []string{"PSUBSCRIBE", "__key*"}}}
		}
		if g.chance(60) {
			client = g.IntN(len(b.clients))
		}
		for range 10 { // rather a client that is not blocked
			if !b.clients[client].blocked {
				break
			}
			client = g.IntN(len(b.clients))
		}
		c := b.clients[client]
		g.crowded = slices.ContainsFunc(b.clients[:], func(c *combatant) bool { return c.blocked })
		if g.IntN(200) == 0 || c.blocked && g.chance(20) {
			left--
			return []step{{client: client}}
		}
		n := 1
		if g.chance(40) {
			n += g.IntN(8)
		}
		var steps []step
		for range n {
			row := g.pickRow(c)
			args := g.command(row)
			row = rowOf(args)
			alone := isLoose(row) || row == "exec" // so that the rule touches few replies
			if isAvoided(row, args) || alone && c.blocked || row == "exec" && len(steps) > 0 {
				continue
			}
			if row == "client|pause" || row == "client|unpause" {
				g.paused = row == "client|pause"
			}
			steps = append(steps, step{client: client, args: args, joined: true})
			if alone || row == "quit" {
				break
			}
		}
		left -= len(steps)
		if len(steps) == 0 {
			left--
			return []step{{client: client, args: []string{"PING"}}}
		}
		steps[len(steps)-1].joined = false
		return steps
	}
}

func isAvoided(row string, args []string) bool {
	for _, a := range avoided {
		if a.is(row, args) {
			return true
		}
	}
	return false
}

// isLoose reports whether a rule is about a row.
func isLoose(row string) bool {
	for _, rule := range rules {
		if slices.Contains(strings.Fields(rule.rows), row) {
			return true
		}
	}
	return false
}

const aValue = "a value"

// particulars are the parts of an error that depend on the arguments.
var particulars = regexp.MustCompile(`(?s)'.*'|beginning with: .*|option .*|-?\d{5,}`)

// count notes which kinds of reply the commands of a client had.
func (b *bout) count(c *combatant, p []byte, commands [][]string) {
	for _, args := range commands {
		row := rowOf(args)
		if b.answers[row] == nil {
			b.answers[row] = map[string]int{}
		}
		b.answers[row]["sent"]++
	}
	values, _ := parseReplies(p)
	values = slices.DeleteFunc(values, (*answer).isPush)
	if len(values) != len(commands) {
		return
	}
	for i, v := range values {
		kind := aValue
		switch {
		case v.kind == '-':
			kind = "-" + particulars.ReplaceAllString(v.text, "...")
		case v.text == "QUEUED":
			kind = "+QUEUED"
		}
		b.answers[rowOf(commands[i])][kind]++
	}
}

// report shows how often each row was sent, and how it was answered: in full if the
// test is verbose, else in short if the test was made long by its flag.
func (d *duel) report(t testing.TB) {
	kinds, noValue := 0, []string{}
	for name, c := range table.all() {
		answers := d.answers[name]
		if answers["sent"] == 0 {
			t.Errorf("%s was never sent", name)
		}
		if answers[aValue] == 0 && c.run != nil {
			noValue = append(noValue, name)
		}
		t.Logf("%-20s %7d sent %7d answered with a value", name, answers["sent"], answers[aValue])
		for _, kind := range slices.Sorted(maps.Keys(answers)) {
			if kind[0] == '-' || kind[0] == '+' {
				kinds++
				t.Logf("%35d %s", answers[kind], kind)
			}
		}
	}
	if *differentialCommands >= 100_000 {
		fmt.Printf("%d commands of %d rows; %d kinds of error replies by row; never answered with a value: %v\n",
			d.sent, table.count, kinds, noValue)
	}
}

// A socketEnd is a client's end of a connection to redis-server.
type socketEnd struct {
	*net.UnixConn
	raw    syscall.RawConn
	in     []byte // what has been read and not been taken
	closed bool
}

// drain reads what has arrived, without waiting.
func (s *socketEnd) drain() {
	var chunk [16 << 10]byte
	for !s.closed {
		var n int
		var err error
		failed := s.raw.Read(func(fd uintptr) bool {
			n, err = syscall.Read(int(fd), chunk[:])
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

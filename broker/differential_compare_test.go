//go:build unix

package broker

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What the differential test compares.

// compare compares what all clients have received and how they stand.
func (b *round) compare() {
	redisLines, brokerLines := b.lists()
	// One that has asked for silence is not sent what it would be closed after.
	closing := func(c *pairedClient) bool {
		return slices.ContainsFunc(redisLines, func(line string) bool {
			return strings.HasPrefix(line, fmt.Sprintf("id=%d ", c.id)) && isClosing(line)
		})
	}
	for _, c := range b.clients {
		redis, redisClosed := c.redis.take()
		broker, brokerClosed := takeFrom(c.broker)
		redisClosed = redisClosed || closing(c)
		c.waited, c.received = c.blocked, redis
		same := redisClosed == brokerClosed
		if !bytes.Equal(redis, broker) {
			want, got := b.level(c, redis, broker)
			if want != got {
				same = false
				b.found = fmt.Sprintf("%s receives from redis-server and the broker:\n# %s", c.name, parting(want, got))
			}
		} else if !same {
			b.found = fmt.Sprintf("%s is closed by redis-server: %t, by the broker: %t", c.name, redisClosed, brokerClosed)
		}
		if c == b.paging {
			b.turnPage([2][]byte{redis, broker})
			b.paging = nil
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

// parting shows where two texts begin to differ.
func parting(want, got string) string {
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	part := func(s string) string { return s[max(0, at-200):min(len(s), at+200)] }
	return part(want) + "\n# " + part(got)
}

// inTables reports whether one of the keys that a command names is held in a hash table, or is gone, or
// may have been within a transaction.
func (b *round) inTables(c *pairedClient, args []string) bool {
	if rowOf(c.sent[len(c.sent)-1]) == "exec" {
		return true
	}
	words := make([][]byte, len(args))
	for i, arg := range args {
		words[i] = []byte(arg)
	}
	keys, _ := table.Named(words[0]).KeyIndexes(words)
	b.subject.mu.Lock()
	defer b.subject.mu.Unlock()
	d := sessionOf(c.broker).db
	return slices.ContainsFunc(keys, func(i int) bool {
		e := d.Find(words[i])
		return e == nil || slices.Contains([]string{"hashtable", "skiplist"}, e.Value.Encoding()) // gone meanwhile, or a table
	})
}

// interrupted are rows that publish events in the middle of their replies, in redis-server.
var interrupted = []string{"mget", "sort", "sort_ro", "zpopmin", "zpopmax", "zmpop", "bzpopmin", "bzpopmax", "bzmpop"}

// level returns the replies without what the rules allow to differ.
func (b *round) level(c *pairedClient, redis, broker []byte) (want, got string) {
	rs, complete1 := parseReplies(redis)
	bs, complete2 := parseReplies(broker)
	if !complete1 || !complete2 {
		return string(redis), string(broker)
	}
	if n := len(c.sent); n > 0 && rowOf(c.sent[n-1]) == "exec" {
		rs, bs = flatten(rs), flatten(bs)
	}
	if slices.ContainsFunc(c.sent, func(args []string) bool { return slices.Contains(interrupted, rowOf(args)) }) {
		rs, bs = hoist(rs), hoist(bs)
	}
	if len(rs) > len(bs) { // in the mode BCAST redis-server may tell twice of a key that expires at once
		rs = slices.CompactFunc(rs, func(x, y *answer) bool {
			return x.isPush() && x.items[0].text == "invalidate" && x.String() == y.String()
		})
	}
	apply := func(rules []rule, fits func(args []string) bool) {
		for _, rule := range rules {
			if rule.rows == "" {
				rule.level(nil, rs, bs)
				continue
			}
			for _, args := range c.sent {
				if slices.Contains(strings.Fields(rule.rows), rowOf(args)) && fits(args) {
					rule.level(args, rs, bs)
				}
			}
		}
	}
	apply(rules, func([]string) bool { return true })
	apply(tableRules, func(args []string) bool { return b.inTables(c, args) })
	return fmt.Sprint(rs), fmt.Sprint(bs)
}

// rowOf is the full name of the row that a command belongs to, or "unknown".
func rowOf(args []string) string {
	if len(args) == 0 {
		return "unknown"
	}
	c := table.Named([]byte(args[0]))
	if c == nil || strings.Contains(args[0], "|") {
		return "unknown"
	}
	if len(args) > 1 {
		if sub := table.Named([]byte(args[0] + "|" + args[1])); sub != nil {
			return sub.FullName
		}
	}
	return c.FullName
}

// learn notes what a line of CLIENT LIST says of a client.
func (b *round) learn(line string) {
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

// inspect compares all that the servers hold at the end of a round.
func (b *round) inspect() {
	ask := func(args ...string) string {
		redis, broker := b.redis.do(b, args...), b.broker.do(b, args...)
		if redis != broker && (args[0] != "PTTL" || strings.HasPrefix(redis, "-") || strings.HasPrefix(broker, "-")) {
			b.found = fmt.Sprintf("%q is answered with something else", args)
			b.note("x> %s\nx< %s\n# broker: %s", asTyped(args), redis, broker)
		}
		return redis
	}
	askForContent := func(key string) {
		redis, broker := b.redis.do(b, "DUMP", key), b.broker.do(b, "DUMP", key)
		x, y := (&answer{text: unquoted(b, redis)}).dumped(), (&answer{text: unquoted(b, broker)}).dumped()
		if redis != broker && !sameContent(x, y) {
			b.found = fmt.Sprintf("%q holds something else", key)
			b.note("x> DUMP %s\nx< %.1000s\n# broker: %.1000s", asTyped([]string{key}), redis, broker)
		}
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
			askForContent(key)
			ask("PTTL", key)
			ask("OBJECT", "ENCODING", key)
			ask("OBJECT", "REFCOUNT", key)
		}
	}
	ask("SELECT", "0")
}

// inspectStats compares what the servers have noted.
func (b *round) inspectStats() {
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

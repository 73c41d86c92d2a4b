//go:build unix

package broker

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
)

// What the differential test does next: commands at random, and scripts that
// provoke what it has seen least.

// A generator makes the steps of one round.
type generator struct {
	*rand.Rand
	coverage  *coverage
	rows      []string // those this round uses: few of them meet more often than many
	keys      []string // likewise
	without   string   // the row that this round does not use
	overflows bool     // it uses numbers out of range, and no SORT
	left      int      // how many steps remain
	client    int      // whose turn it is
	unique    int      // how many times to live were given out
	entries   int      // how many IDs of new entries were given out

	listeners []int  // clients that are yet to listen to events, if there are any
	script    []step // what has been chosen and not been made
	round     *round

	careful bool             // arguments are to be right, for
	row     *command.Command // this row
	before  []step           // what makes the keys that were named
	brief   bool             // the next step makes a key end soon
	it      string           // the key named last
	first   string           // and first
}

func newGenerator(seed uint64, v *coverage) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), coverage: v}
	var all []string
	for name := range table.All() {
		all = append(all, name)
	}
	share := []float64{0.15, 0.3, 1}[g.IntN(3)]
	// CLIENT UNBLOCK kills redis-server if the client is paused.
	g.without = pick(g, []string{"client|pause", "client|unblock"})
	for _, name := range all {
		if g.Float64() < share && name != g.without {
			g.rows = append(g.rows, name)
		}
	}
	g.overflows = g.chance(30)
	for range 1 + g.IntN(4) {
		g.keys = append(g.keys, pick(g, pools["key"]))
	}
	if len(g.rows) == 0 {
		g.rows = []string{"ping"}
	}
	g.left = 50 + g.IntN(300)
	g.listeners = g.Perm(4)[:g.IntN(5)]
	return g
}

func pick[T any](g *generator, of []T) T { return of[g.IntN(len(of))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// next chooses the next steps, which are sent together.
func (g *generator) next(b *round) []step {
	g.round = b
	if g.left <= 0 && len(g.script) == 0 {
		return nil
	}
	switch {
	case len(g.script) > 0:
	case b.events != "" && len(g.listeners) > 0:
		client := g.listeners[0]
		g.listeners = g.listeners[1:]
		g.script = join([]step{{client: client, args: []string{"HELLO", "3", "AUTH", "default", b.password}}, {client: client, args: []string{"PSUBSCRIBE", "__key*"}}})
	case g.chance(2), b.scan != nil && g.chance(40):
		g.script = g.scan()
	case g.chance(80):
		g.script = g.provoke()
	}
	if len(g.script) == 0 {
		g.script = g.anything()
	}
	n := together(g.script)
	steps := slices.Clone(g.script[:n])
	if g.chance(3) {
		steps[0].cut = 1 + g.IntN(200)
	}
	g.script = g.script[n:]
	g.left -= n
	if g.isUnclear(steps) {
		return []step{{client: steps[0].client, args: []string{"PING"}}}
	}
	return steps
}

// isUnclear reports whether the test cannot tell what is to come of steps: they
// are sent by a client that is blocked, and a rule is about them; a number out of
// range was or will be met in this round, which SORT would take for its own; they may
// serve several clients by a SWAPDB, or one from several keys, which redis-server does
// in the order of a hash table; members that SPOP has chosen may be asked for before the
// test has made them equal; or a pause ends before other commands, while redis-server tells of keys
// that have expired in it only afterwards; or a key ends soon that redis-server may evict at the next
// command, as it has not deleted it yet; or they look for members between two in a large sorted set whose
// scores are not equal, or for the weights of members, see isLexUnclear and isSortUnclear.
func (g *generator) isUnclear(steps []step) bool {
	if g.popsUnseen(steps) {
		return true
	}
	if slices.ContainsFunc(steps, func(s step) bool {
		return g.overflows && strings.HasPrefix(rowOf(s.args), "sort") || !g.overflows && overflows(s.args)
	}) {
		return true
	}
	c := g.round.clients[steps[0].client]
	if c.blocked && slices.ContainsFunc(steps, func(s step) bool { return rowOf(s.args) == "exec" || isLoose(rowOf(s.args)) }) {
		return true
	}
	b := g.round.subject
	b.mu.Lock()
	defer b.mu.Unlock()
	has := func(row string) bool {
		return slices.ContainsFunc(steps, func(s step) bool { return rowOf(s.args) == row })
	}
	swaps, unpauses := has("swapdb"), has("client|unpause") && len(steps) > 1
	if rowOf(steps[0].args) == "exec" {
		for _, q := range sessionOf(c.broker).transaction.queue {
			swaps = swaps || q.command.Name == "swapdb"
			unpauses = unpauses || q.command.Name == "client|unpause"
		}
	}
	if unpauses && b.pause.mode != notPaused {
		return true
	}
	if b.keys.MaxMemory > 0 && b.keys.Policy() != keyspace.NoEviction && slices.ContainsFunc(steps, func(s step) bool { return s.brief }) {
		return true
	}
	if commands := c.commands(steps); isLexUnclear(b, commands) || isSortUnclear(b, commands) {
		return true
	}
	keys := 0
	for _, s := range b.sessions {
		if s.waiter != nil {
			keys += len(s.waiter.tickets)
		}
	}
	return swaps && keys > 1
}

// popsUnseen reports whether SPOP chooses members in a transaction, or in a pause, after
// which it may run together with other commands.
func (g *generator) popsUnseen(steps []step) bool {
	c := g.round.clients[steps[0].client]
	queues := c.inTransaction || g.paused()
	for _, s := range steps {
		row := rowOf(s.args)
		queues = queues || row == "multi"
		if row == "spop" && queues && !slices.Contains([]string{"0", "1000"}, s.args[len(s.args)-1]) {
			return true
		}
	}
	return false
}

// commands are those that steps of a client run, with those of the transaction that they end.
func (c *pairedClient) commands(steps []step) (all [][]string) {
	for _, s := range steps {
		all = append(all, s.args)
	}
	if rowOf(steps[0].args) == "exec" {
		for _, q := range sessionOf(c.broker).transaction.queue {
			var args []string
			for _, arg := range q.args {
				args = append(args, string(arg))
			}
			all = append(all, args)
		}
	}
	return all
}

// isSortUnclear reports whether SORT looks for the weights of members, which redis-server does
// in the order of a hash table, and it may be told of those that are not there.
func isSortUnclear(b *Broker, commands [][]string) bool {
	return b.keys.Events&keyspace.MissEvent != 0 && slices.ContainsFunc(commands, func(args []string) bool {
		return strings.HasPrefix(rowOf(args), "sort") && strings.Contains(strings.ToLower(strings.Join(args, " ")), "by")
	})
}

// isLexUnclear reports whether a command is for members between two, and there is a large
// sorted set with scores that are not equal, or may be when it runs.
func isLexUnclear(b *Broker, commands [][]string) bool {
	lex, writes, full := 0, 0, false
	for _, args := range commands {
		row, words := rowOf(args), strings.ToLower(strings.Join(args, " "))
		switch c := table.Named([]byte(row)); {
		case strings.HasSuffix(row, "lex"), row == "zlexcount", strings.Contains(words, "bylex"):
			lex++
		case c == nil || full:
		case row == "config|set":
			writes += strings.Count(words, "zset-max")
			full = strings.HasSuffix(words, "maxmemory 1")
		case c.Flags&command.Write != 0 && (c.Group == "sorted-set" || c.Group == "geo"), slices.Contains([]string{"copy", "rename", "renamenx", "restore", "move", "swapdb", "sort", "sort_ro"}, row):
			writes++
		}
	}
	if lex == 0 {
		return false
	}
	mixed := false
	for _, d := range b.keys.DBs {
		for e := range d.All() {
			mixed = mixed || isMixed(e.Value)
		}
	}
	return mixed || writes > 0
}

// isMixed reports whether a value is a large sorted set whose scores are not equal.
func isMixed(v keyspace.Value) bool {
	if v.Type().Name != "zset" || v.Encoding() != "skiplist" {
		return false
	}
	score, n := "", 0
	for part := range v.Recipe().Parts {
		if n++; n%2 == 0 {
			continue
		}
		if n > 1 && string(part) != score {
			return true
		}
		score = string(part)
	}
	return false
}

// anything makes steps of one client at random.
func (g *generator) anything() []step {
	b := g.round
	if g.chance(60) {
		g.client = g.IntN(len(b.clients))
	}
	for range 10 { // rather a client that is not blocked
		if !b.clients[g.client].blocked {
			break
		}
		g.client = g.IntN(len(b.clients))
	}
	c := b.clients[g.client]
	if g.IntN(200) == 0 || c.blocked && g.chance(20) {
		return []step{{client: g.client}}
	}
	n := 1
	if g.chance(40) {
		n += g.IntN(8)
	}
	var steps []step
	for range n {
		args := g.command(g.pickRow(c))
		if row := rowOf(args); !isAvoided(row, args) && !(isLoose(row) && c.blocked) {
			s := g.step(args)
			if g.chance(3) {
				s.form = inline
			}
			steps = append(steps, s)
		}
	}
	if len(steps) == 0 {
		steps = []step{g.step([]string{"PING"})}
	}
	return join(steps)
}

// isLoose reports whether a rule is about a row.
func isLoose(row string) bool { return looseRows()[row] }

var looseRows = sync.OnceValue(func() map[string]bool {
	rows := map[string]bool{}
	for _, r := range slices.Concat(rules, tableRules) {
		for row := range strings.FieldsSeq(r.rows) {
			rows[row] = true
		}
	}
	return rows
})

func isAvoided(row string, args []string) bool {
	for _, a := range avoided {
		if a.is(row, args) {
			return true
		}
	}
	return false
}

// pickRow chooses a row that the state of the client gives a sense.
func (g *generator) pickRow(c *pairedClient) string {
	crowded := slices.ContainsFunc(g.round.clients[:], func(c *pairedClient) bool { return c.blocked })
	switch {
	case c.inTransaction && g.chance(15):
		return pick(g, []string{"exec", "exec", "exec", "exec", "discard"})
	case c.subscribed && c.protocol == 2 && g.chance(30):
		return pick(g, []string{"unsubscribe", "punsubscribe", "ping", "reset", "quit"})
	case c.tracking && g.chance(15):
		return pick(g, []string{"client|caching", "client|caching", "get", "exists", "llen", "multi", "client|trackinginfo"})
	case c.monitoring && g.chance(20):
		return "reset"
	case crowded && g.chance(20):
		return pick(g, []string{"blpop", "brpop", "blmove", "blmpop", "brpoplpush", "rpush", "lpush", "lmove", "bzpopmin", "bzpopmax", "bzmpop", "zadd", "zadd", "zincrby", "exec"})
	case g.paused() && g.chance(10):
		return "client|unpause"
	case g.chance(8):
		return pick(g, []string{"multi", "watch", "hello", "rpush", "rpush", "lmove", "set"})
	}
	for {
		row := pick(g, g.rows)
		if weight, rare := rarely[row]; !rare || g.chance(weight) {
			return row
		}
	}
}

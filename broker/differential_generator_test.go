//go:build unix

package broker

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// What the differential test does next: commands at random, and scripts that
// provoke what it has seen least.

// A generator makes the steps of one bout.
type generator struct {
	*rand.Rand
	coverage  *coverage
	rows      []string // those this bout uses: few of them meet more often than many
	keys      []string // likewise
	without   string   // the row that this bout does not use
	overflows bool     // it uses numbers out of range, and no SORT
	left      int      // how many steps remain
	client    int      // whose turn it is
	unique    int      // how many times to live were given out

	listeners []int  // clients that are yet to listen to events, if there are any
	script    []step // what has been chosen and not been made
	bout      *bout

	careful bool     // arguments are to be right, for
	row     *command // this row
	before  []step   // what makes the keys that were named
	brief   bool     // the next step makes a key end soon
	it      string   // the key named last
	first   string   // and first
}

func newGenerator(seed uint64, v *coverage) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), coverage: v}
	var all []string
	for name := range table.all() {
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
func (g *generator) next(b *bout) []step {
	g.bout = b
	if g.left <= 0 && len(g.script) == 0 {
		return nil
	}
	switch {
	case len(g.script) > 0:
	case b.events != "" && len(g.listeners) > 0:
		client := g.listeners[0]
		g.listeners = g.listeners[1:]
		g.script = join([]step{{client: client, args: []string{"HELLO", "3", "AUTH", "default", b.password}}, {client: client, args: []string{"PSUBSCRIBE", "__key*"}}})
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
// range was or will be met in this bout, which SORT would take for its own; or they may
// serve several clients by a SWAPDB, or one from several keys, which redis-server does
// in the order of a hash table.
func (g *generator) isUnclear(steps []step) bool {
	if slices.ContainsFunc(steps, func(s step) bool {
		return g.overflows && strings.HasPrefix(rowOf(s.args), "sort") || !g.overflows && overflows(s.args)
	}) {
		return true
	}
	c := g.bout.clients[steps[0].client]
	if c.blocked && slices.ContainsFunc(steps, func(s step) bool { return rowOf(s.args) == "exec" || isLoose(rowOf(s.args)) }) {
		return true
	}
	b := g.bout.opponent
	b.mu.Lock()
	defer b.mu.Unlock()
	swaps := slices.ContainsFunc(steps, func(s step) bool { return rowOf(s.args) == "swapdb" })
	if rowOf(steps[0].args) == "exec" {
		swaps = slices.ContainsFunc(c.broker.session.transaction.queue, func(q queuedCommand) bool { return q.command.name == "swapdb" })
	}
	keys := 0
	for _, s := range b.sessions {
		if s.waiter != nil {
			keys += len(s.waiter.tickets)
		}
	}
	return swaps && keys > 1
}

// together is how many of the first steps can be sent at once.
func together(steps []step) int {
	n := 1
	for n < len(steps) && steps[n-1].joined && steps[n-1].args != nil && steps[n].args != nil && steps[n].client == steps[0].client {
		n++
	}
	return n
}

// anything makes steps of one client at random.
func (g *generator) anything() []step {
	b := g.bout
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
func isLoose(row string) bool {
	return slices.ContainsFunc(rules, func(r rule) bool { return slices.Contains(strings.Fields(r.rows), row) })
}

func isAvoided(row string, args []string) bool {
	for _, a := range avoided {
		if a.is(row, args) {
			return true
		}
	}
	return false
}

// pickRow chooses a row that the state of the client gives a sense.
func (g *generator) pickRow(c *combatant) string {
	crowded := slices.ContainsFunc(g.bout.clients[:], func(c *combatant) bool { return c.blocked })
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
		return pick(g, []string{"blpop", "brpop", "blmove", "blmpop", "brpoplpush", "rpush", "lpush", "lmove", "exec"})
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

// command makes a command of a row, now and then with arguments too many, too
// few or wrong.
func (g *generator) command(row string) []string {
	if g.chance(1) {
		return append([]string{pick(g, pools["unknown"])}, g.expand("value*")...)
	}
	args := append(g.name(row), g.expand(grammar[row])...)
	at := g.IntN(len(args))
	switch g.IntN(60) {
	case 0:
		args = args[:max(1, len(args)-1)]
	case 1:
		args = append(args, pick(g, pools["word"]))
	case 2:
		args = slices.Insert(args, at, args[at])
	case 3:
		args[at] = pick(g, pools["word"])
	}
	return args
}

// name is how a command of a row begins: with nothing if it is no row.
func (g *generator) name(row string) []string {
	var words []string
	if table.named([]byte(row)) == nil {
		return nil
	}
	for word := range strings.SplitSeq(row, "|") {
		words = append(words, g.anyCase(word))
	}
	return words
}

// expand makes arguments by a rule of the grammar. If it is careful it leaves out
// alternatives that are there to be wrong.
func (g *generator) expand(rule string) []string {
	alternatives := strings.Split(rule, " | ")
	if g.careful {
		right := slices.DeleteFunc(slices.Clone(alternatives), func(a string) bool { return strings.HasSuffix(a, "word") })
		if len(right) > 0 {
			alternatives = right
		}
	}
	var args []string
	for token := range strings.FieldsSeq(pick(g, alternatives)) {
		args = append(args, g.repeat(token)...)
	}
	return args
}

func (g *generator) repeat(token string) []string {
	times := 1
	switch token[len(token)-1] {
	case '?':
		times = g.IntN(2)
	case '*':
		times = max(0, g.IntN(5)-1)
		if g.careful {
			times = min(times, 1)
		}
	case '+':
		times = max(1, g.IntN(5))
	}
	token = strings.TrimRight(token, "?*+")
	var args []string
	for range times {
		args = append(args, g.token(token)...)
	}
	return args
}

func (g *generator) token(token string) []string {
	if better, is := sound[token]; is && g.careful {
		token = better
	}
	switch token {
	case "key":
		g.it = pick(g, pools["key"])
		if g.chance(85) {
			g.it = pick(g, g.keys)
		}
		return []string{g.it}
	case "own", "other", "missing", "list", "string", "number", "noNumber":
		g.it = g.keyWith(token)
		if g.first == "" {
			g.first = g.it
		}
		return []string{g.it}
	case "brief":
		g.brief = true
		return []string{pick(g, []string{"1", "2", "3"})}
	case "it":
		return []string{g.it}
	case "first":
		return []string{g.first}
	case "seconds":
		return []string{g.timeToLive("")}
	case "milliseconds":
		return []string{g.timeToLive("000")}
	case "atSecond":
		return []string{g.timeOf("4102444800", "4102444801", "5000000000")}
	case "atMillisecond":
		return []string{g.timeOf("4102444800000", "4102444800001", "5000000000000")}
	case "clientID":
		return []string{pick(g, []string{"{a}", "{b}", "{c}", "{d}", "{a}", "{b}", "{c}", "{d}", "0", "-1", "x", "", "99999999999"})}
	case "payload":
		return []string{g.payload(!g.careful && g.chance(25))}
	case "badPayload":
		return []string{g.payload(true)}
	case "row":
		return []string{g.anyCase(pick(g, append(g.rows, "nosuch", "get|x", "client|nosuch", "")))}
	case "wholeCommand":
		return g.command(pick(g, g.rows))
	}
	if words, isPool := pools[token]; isPool {
		return []string{pick(g, words)}
	}
	if rule, isPart := parts[token]; isPart {
		return g.expand(rule)
	}
	if token[0] == '{' {
		return []string{token}
	}
	if strings.ToUpper(token) != token {
		panic("the grammar knows no " + token)
	}
	return []string{g.anyCase(token)}
}

// payload is what DUMP may have returned; the body of a bad one is not in order. If
// it does not have to be right, the version may be one that redis-server does not
// know, and a byte changed.
func (g *generator) payload(bad bool) string {
	body := []byte(pick(g, pools["badBody"]))
	if !bad {
		var v value = &text{bytes: []byte(pick(g, pools["value"]))}
		if g.chance(50) {
			l := &list{}
			for range 1 + g.IntN(5) {
				l.push(right, []byte(pick(g, pools["value"])))
			}
			v = l
		}
		if body, _ = undumped(dumped(v)); g.chance(33) {
			body = []byte(pick(g, pools["oldBody"]))
		}
	}
	version := pick(g, []uint16{6, 9, 10, 10})
	if !g.careful && g.chance(10) {
		version = 11
	}
	b := binary.LittleEndian.AppendUint16(body, version)
	b = binary.LittleEndian.AppendUint64(b, checksum(b))
	if !g.careful && g.chance(5) {
		b[g.IntN(len(b))]++
	}
	return string(b)
}

// timeToLive is a time long enough for the key to outlive the test, or so short that
// the next step does not see it, or one that has passed, or a wrong one; unit is empty for seconds, "000" for milliseconds.
// Each is different from all others by more than the two servers' clocks, so that
// GT and LT have one answer.
func (g *generator) timeToLive(unit string) string {
	if g.chance(25) && !g.careful {
		return pick(g, []string{"0", "-1", "-100", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "x", "", "1.5", "01"})
	}
	if unit == "000" && g.chance(4) && !g.paused() {
		return g.token("brief")[0]
	}
	g.unique++
	base := pick(g, []int{5_000_000, 2_147_483_647, 4_294_967_296})
	return fmt.Sprintf("%d%s", base+pick(g, []int{-1000, 1000})*g.unique, unit)
}

// timeOf is one of the given times of day, or one that has passed, or a wrong one.
func (g *generator) timeOf(right ...string) string {
	if g.careful || g.paused() {
		return pick(g, right)
	}
	if g.chance(8) {
		g.brief = true // redis-server deletes the key when it comes across it
		return "1"
	}
	return pick(g, append(right, "0", "-1", "9223372036854775", "9223372036854775807", "-9223372036854775808", "x", ""))
}

// anyCase changes the case of a word's letters.
func (g *generator) anyCase(word string) string {
	switch g.IntN(5) {
	case 0:
		return strings.ToLower(word)
	case 1:
		b := []byte(word)
		for i, c := range b {
			if g.chance(50) && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
				b[i] = c ^ 0x20
			}
		}
		return string(b)
	}
	return strings.ToUpper(word)
}

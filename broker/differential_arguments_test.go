//go:build unix

package broker

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/script"
)

// How the differential test makes the arguments of commands.

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
	if table.Named([]byte(row)) == nil {
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
	case "own", "other", "missing", "list", "string", "hash", "set", "zset", "stream", "number", "noNumber":
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
	case "newID":
		g.entries++
		return []string{fmt.Sprint(g.entries, pick(g, []string{"-0", "-1", "", "-*"}))}
	case "entryID":
		return []string{fmt.Sprint(max(0, g.entries-g.IntN(8)), pick(g, []string{"-0", "-0", "-1", ""}))}
	case "lateID":
		return []string{fmt.Sprint(g.entries, "-5")}
	case "clientID":
		return []string{pick(g, []string{"{a}", "{b}", "{c}", "{d}", "{a}", "{b}", "{c}", "{d}", "0", "-1", "x", "", "99999999999"})}
	case "script":
		return []string{g.luaScript()}
	case "declaredHash":
		return []string{script.Hash([]byte(pools["declaredScript"][0]))}
	case "knownHash":
		return []string{script.Hash([]byte(pick(g, pools["knownScript"])))}
	case "payload":
		return []string{g.payload(!g.careful && g.chance(25))}
	case "badPayload":
		return []string{g.payload(true)}
	case "functionPayload":
		return []string{g.functionPayload(!g.careful && g.chance(15))}
	case "badFunctionPayload":
		return []string{g.functionPayload(true)}
	case "row":
		return []string{g.anyCase(pick(g, append(g.rows, "nosuch", "get|x", "client|nosuch", "")))}
	case "library":
		return g.token(pick(g, []string{"goodLibrary", "goodLibrary", "goodLibrary", "otherLibrary", "otherLibrary", "otherLibrary", "thievishLibrary", "badMetadata", "badLibraryName", "unrunLibrary", "uncompiledLibrary"}))
	case "listOption":
		return pick(g, [][]string{{"WITHCODE"}, {"LIBRARYNAME", pick(g, pools["pattern"])}, {"LIBRARYNAME", pick(g, pools["libraryName"])}})
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
		v := newString(pick(g, pools["value"]))
		if g.chance(50) {
			var elements [][]byte
			for range 1 + g.IntN(5) {
				elements = append(elements, []byte(pick(g, pools["value"])))
			}
			v = types.Collecting().Collect(slices.Values(elements))
		}
		if body, _ = rdb.Undump(keyspace.Dump(v)); g.chance(33) {
			body = []byte(pick(g, pools["oldBody"]))
		}
	}
	return g.sealed(body)
}

// functionPayload is what FUNCTION RESTORE may get: some libraries, or what is wrong.
func (g *generator) functionPayload(bad bool) string {
	var body []byte
	for range 1 + g.IntN(2) {
		body = rdb.AppendString(append(body, rdb.OpcodeFunction2), []byte(g.token(pick(g, []string{"goodLibrary", "otherLibrary"}))[0]))
	}
	if bad {
		body = []byte(pick(g, pools["badFunctionBody"]))
	}
	return g.sealed(body)
}

// sealed puts a version and the checksum behind what was dumped, now and then wrong ones.
func (g *generator) sealed(body []byte) string {
	version := pick(g, []uint16{6, 9, 10, 10})
	if !g.careful && g.chance(10) {
		version = 11
	}
	b := binary.LittleEndian.AppendUint16(body, version)
	b = binary.LittleEndian.AppendUint64(b, rdb.Checksum(b))
	if !g.careful && g.chance(5) {
		b[g.IntN(len(b))]++
	}
	return string(b)
}

// timeToLive is a time long enough for the key to outlive the test, or so short that
// the next step does not see it, or one that has passed, or a wrong one; unit is empty
// for seconds, "000" for milliseconds. Each long one is different from all others by
// more than the two servers' clocks, so that GT and LT have one answer.
func (g *generator) timeToLive(unit string) string {
	if g.chance(25) && !g.careful {
		return pick(g, []string{"0", "-1", "-100", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "x", "", "1.5", "01"})
	}
	if unit == "000" && g.chance(4) && !g.paused() {
		return g.token("brief")[0]
	}
	g.unique++
	base := pick(g, []int64{5_000_000, 2_147_483_647, 4_294_967_296})
	return fmt.Sprintf("%d%s", base+pick(g, []int64{-1000, 1000})*int64(g.unique), unit)
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

// miscount makes a command with too few or too many arguments.
func (g *generator) miscount(row string) []string {
	args, names := append(g.name(row), g.expand(grammar[row])...), 1+strings.Count(row, "|")
	g.before = nil
	arity := table.Named([]byte(row)).Arity
	if least := max(arity, -arity); least > names && (arity < 0 || g.chance(50)) {
		return args[:min(names+g.IntN(least-names), len(args))] // a rule may have fewer, too
	}
	return append(args, g.expand("value value*")...)
}

// makers are the commands that make keys of each type, behind which the key and what the
// rule says are put.
var makers = map[string]struct{ command, rule string }{
	"hash":   {"HSET", "fieldValue+"},
	"list":   {"RPUSH", "value+"},
	"set":    {"SADD", "member+ | integer+"},
	"stream": {"XADD", "newID fieldValue+"},
	"string": {"SET", "value"},
	"zset":   {"ZADD", "goodScored+"},
}

// typeOf is the type that a group of commands is for, or "".
func typeOf(group string) string {
	switch group {
	case "bitmap", "hyperloglog":
		return "string"
	case "sorted-set", "geo":
		return "zset"
	}
	if _, isType := makers[group]; isType {
		return group
	}
	return ""
}

// keyWith returns a key that holds what is wanted: a type such as "list", a "number" or
// "noNumber", nothing ("missing"), what the row is for ("own", now and then nothing) or
// what it is not for ("other"). If there is none it is made first.
func (g *generator) keyWith(wanted string) string {
	own := ""
	if g.row != nil {
		own = typeOf(g.row.Group)
	}
	switch {
	case wanted == "own" && g.chance(15):
		wanted = "missing"
	case wanted == "own" && own != "":
		wanted = own
	case wanted == "own" || wanted == "other":
		others := slices.DeleteFunc(slices.Sorted(maps.Keys(makers)), func(t string) bool { return t == own })
		wanted = pick(g, others)
	}
	b := g.round
	b.subject.mu.Lock()
	defer b.subject.mu.Unlock()
	d := sessionOf(b.clients[g.client].broker).db
	for _, keys := range [][]string{g.keys, pools["key"]} { // rather one that the round uses
		for _, i := range g.Perm(len(keys)) {
			if key := keys[i]; key != g.it && holds(d, key, wanted) {
				return key
			}
		}
	}
	key := pick(g, g.keys)
	if key == g.it {
		key = pick(g, pools["key"])
	}
	first := func(words ...string) { g.before = append(g.before, g.step(words)) }
	if d.Find([]byte(key)) != nil {
		first("DEL", key)
	}
	switch wanted {
	case "missing":
	case "number":
		first("SET", key, pick(g, pools["small"]))
	case "noNumber":
		first("SET", key, pick(g, pools["noNumber"]))
	default:
		maker := makers[wanted]
		first(append([]string{maker.command, key}, g.expand(maker.rule)...)...)
	}
	return key
}

// holds reports whether a key holds what generator.keyWith names.
func holds(d *keyspace.DB, key, wanted string) bool {
	e := d.Find([]byte(key))
	if e == nil {
		return wanted == "missing"
	}
	if wanted != "number" && wanted != "noNumber" {
		return e.Value.Type().Name == wanted
	}
	v, isString := e.Value.(keyspace.Text)
	if !isString {
		return false
	}
	_, isInt := resp.ParseInt(v.Text())
	_, isFloat := resp.ParseFloat(v.Text())
	return isInt == isFloat && isInt == (wanted == "number")
}

//go:build unix

package broker

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// What the differential test sends: a grammar with one rule for each row of the
// table, and pools of words that make commands meet and go wrong.

// grammar says what the arguments of a row are. " | " separates alternatives. A
// token is the name of a pool, of a part or of a maker, or a word to be sent, in
// upper or lower case; ?, * and + after it repeat it: 0 or 1, 0 to 3, 1 to 4 times.
var grammar = map[string]string{
	"ping":                    "value?",
	"echo":                    "value",
	"hello":                   "nothing | protocol helloOption*",
	"auth":                    "password | user password",
	"select":                  "db",
	"quit":                    "value?",
	"reset":                   "nothing",
	"client":                  "nothing | unknownSub value*",
	"client|caching":          "YES | NO | word",
	"client|getname":          "nothing",
	"client|getredir":         "nothing",
	"client|help":             "nothing",
	"client|id":               "nothing",
	"client|info":             "nothing",
	"client|kill":             "ID clientID killOption* | killOption ID clientID | word",
	"client|no-evict":         "onOff",
	"client|reply":            "ON | ON | ON | OFF | SKIP | SKIP | word",
	"client|list":             "nothing | TYPE clientType | ID clientID+ | word",
	"client|pause":            "0 WRITE | long WRITE | long WRITE | long WRITE | word | int word",
	"client|setname":          "name",
	"client|tracking":         "onOff trackingOption* | ON broadcasting* | ON REDIRECT clientID | ON optMode? | ON REDIRECT clientID optMode | ON OPTIN | ON OPTOUT | OFF",
	"client|trackinginfo":     "nothing",
	"client|unblock":          "clientID unblockReason?",
	"client|unpause":          "nothing",
	"command":                 "nothing | unknownSub value*",
	"command|count":           "nothing",
	"command|docs":            "row+ | row+ | row+ | nothing",
	"command|getkeys":         "wholeCommand",
	"command|getkeysandflags": "wholeCommand",
	"command|help":            "nothing",
	"command|info":            "row+ | row+ | row+ | nothing",
	"command|list":            "nothing | FILTERBY PATTERN pattern | FILTERBY ACLCAT category | FILTERBY MODULE word | FILTERBY word word | word",
	"config":                  "nothing | unknownSub value*",
	"config|get":              "setting+",
	"config|help":             "nothing",
	"config|resetstat":        "nothing",
	"config|rewrite":          "nothing",
	"config|set":              "aSetting | aSetting | aSetting aSetting | aSetting aSetting+ | aSetting word",
	"info":                    "section*",
	"debug":                   "HELP | SLEEP | SLEEP noTime | ERROR value | LOG value | unknownSub value*",
	"dbsize":                  "nothing",
	"lolwut":                  "nothing | VERSION word | VERSION 7 | word",
	"memory":                  "nothing | unknownSub value*",
	"memory|help":             "nothing",
	"memory|malloc-stats":     "nothing",
	"memory|purge":            "nothing",
	"memory|stats":            "nothing",
	"memory|usage":            "key samples*",
	"role":                    "nothing",
	"flushdb":                 "nothing | flushMode | word",
	"flushall":                "nothing | flushMode | word",
	"time":                    "nothing",
	"del":                     "key+",
	"unlink":                  "key+",
	"exists":                  "key+",
	"type":                    "key",
	"expire":                  "key seconds expireOption*",
	"pexpire":                 "key milliseconds expireOption*",
	"expireat":                "key atSecond expireOption*",
	"pexpireat":               "key atMillisecond expireOption*",
	"ttl":                     "key",
	"pttl":                    "key",
	"persist":                 "key",
	"dump":                    "key",
	"restore":                 "key restoreTTL payload restoreOption* | key 0 payload | key 0 payload REPLACE | key restoreTTL payload REPLACE",
	"expiretime":              "key",
	"pexpiretime":             "key",
	"rename":                  "key key",
	"renamenx":                "key key",
	"copy":                    "key key copyOption*",
	"move":                    "key db",
	"randomkey":               "nothing",
	"touch":                   "key+",
	"swapdb":                  "db db",
	"wait":                    "0 int | word int | int word", // to wait for replicas takes time
	"object":                  "nothing | unknownSub value*",
	"object|encoding":         "key",
	"object|freq":             "key",
	"object|help":             "nothing",
	"object|idletime":         "key",
	"object|refcount":         "key",
	"psetex":                  "key milliseconds value",
	"getset":                  "key value",
	"msetnx":                  "pair+",
	"incrbyfloat":             "key float",
	"getrange":                "key int int",
	"substr":                  "key int int",
	"setrange":                "key offset value",
	"scan":                    "cursor scanOption*",
	"keys":                    "pattern",
	"set":                     "key value setOption*",
	"get":                     "key",
	"getdel":                  "key",
	"getex":                   "key getexOption*",
	"setex":                   "key seconds value",
	"setnx":                   "key value",
	"mget":                    "key+",
	"mset":                    "pair+",
	"incr":                    "key",
	"decr":                    "key",
	"incrby":                  "key int",
	"decrby":                  "key int",
	"append":                  "key value",
	"lcs":                     "key key lcsOption*",
	"sort":                    "key sortOption* | key sortOption* STORE key",
	"sort_ro":                 "key sortOption*",
	"strlen":                  "key",
	"lpush":                   "key value+",
	"rpush":                   "key value+",
	"lpushx":                  "key value+",
	"rpushx":                  "key value+",
	"lpop":                    "key | key int",
	"rpop":                    "key | key int",
	"llen":                    "key",
	"lrange":                  "key int int",
	"lindex":                  "key int",
	"lset":                    "key int value",
	"lrem":                    "key int value",
	"ltrim":                   "key int int",
	"linsert":                 "key place value value",
	"lpos":                    "key value lposOption*",
	"lmove":                   "key key end end",
	"rpoplpush":               "key key",
	"lmpop":                   "counted end counter?",
	"blpop":                   "key+ timeout",
	"brpop":                   "key+ timeout",
	"blmove":                  "key key end end timeout",
	"brpoplpush":              "key key timeout",
	"blmpop":                  "timeout counted end counter?",
	"multi":                   "nothing",
	"exec":                    "nothing",
	"discard":                 "nothing",
	"watch":                   "key+",
	"unwatch":                 "nothing",
	"subscribe":               "channel+",
	"unsubscribe":             "channel*",
	"psubscribe":              "pattern+",
	"punsubscribe":            "pattern*",
	"publish":                 "channel value",
	"ssubscribe":              "channel+",
	"sunsubscribe":            "channel*",
	"spublish":                "channel value",
	"pubsub":                  "nothing | unknownSub value*",
	"pubsub|channels":         "pattern?",
	"pubsub|help":             "nothing",
	"pubsub|numpat":           "nothing",
	"pubsub|shardchannels":    "pattern?",
	"pubsub|shardnumsub":      "channel*",
	"pubsub|numsub":           "channel*",
}

// parts are rules that rows share.
var parts = map[string]string{
	"nothing":        "",
	"pair":           "key value",
	"counted":        "1 key | 2 key key | 3 key key key | int key+",
	"counter":        "COUNT int",
	"copyOption":     "REPLACE | REPLACE | DB db | word",
	"restoreTTL":     "0 | 0 | milliseconds",
	"restoreOption":  "REPLACE | REPLACE | ABSTTL | IDLETIME int | FREQ int | FREQ 255 | word",
	"lcsOption":      "LEN | IDX | IDX | WITHMATCHLEN | MINMATCHLEN int | MINMATCHLEN 2 | word",
	"sortOption":     "ASC | DESC | ALPHA | ALPHA | LIMIT int int | LIMIT int int | BY weight | BY NOSORT | GET weight | GET # | word",
	"samples":        "SAMPLES int | SAMPLES 0 | word",
	"offset":         "0 | 1 | 5 | 100 | -1 | 536870912 | int",
	"end":            "LEFT | RIGHT | LEFT | RIGHT | LEFT | RIGHT | word",
	"place":          "BEFORE | AFTER | BEFORE | AFTER | word",
	"expireOption":   "NX | XX | GT | LT | word",
	"setOption":      "NX | XX | GET | KEEPTTL | anyExpiry | anyExpiry | word",
	"getexOption":    "PERSIST | anyExpiry | anyExpiry | word",
	"anyExpiry":      "EX seconds | PX milliseconds | EXAT atSecond | PXAT atMillisecond",
	"lposOption":     "RANK int | COUNT int | MAXLEN int | word",
	"scanOption":     "MATCH pattern | COUNT 1000 | COUNT 1000 | COUNT int | TYPE valueType | word",
	"helloOption":    "AUTH user password | SETNAME name | word",
	"onOff":          "ON | ON | ON | OFF | word",
	"trackingOption": "REDIRECT clientID | BCAST | PREFIX prefix | OPTIN | OPTOUT | NOLOOP | word",
	"broadcasting":   "BCAST | BCAST | PREFIX prefix | NOLOOP | REDIRECT clientID",
	"optMode":        "OPTIN | OPTOUT | NOLOOP",
	"flushMode":      "SYNC | ASYNC",
	"aSetting": "LATENCY-TRACKING yesNo | LATENCY-TRACKING-INFO-PERCENTILES percents | TIMEOUT idle | MAXCLIENTS maximum | CLIENT-QUERY-BUFFER-LIMIT memory | PROTO-MAX-BULK-LEN memory | " +
		"CLIENT-OUTPUT-BUFFER-LIMIT pendingLimit | TRACKING-TABLE-MAX-KEYS maximum | NOTIFY-KEYSPACE-EVENTS events | REQUIREPASS password | SAVE noSave | APPENDONLY NO | PROTECTED-MODE yesNo | DATABASES 16 | " +
		"MAXMEMORY-POLICY NOEVICTION | MAXMEMORY 0 | MAXMEMORY limit | setting word",
	"unblockReason": "TIMEOUT | ERROR | word",
	"killOption":    "ID clientID | TYPE clientType | USER user | ADDR word | LADDR word | SKIPME yesNo | word word",
	"cursor":        "0 | 0 | 0 | int",
	"int":           "small | small | small | small | edge",
}

// pools are what a token is drawn from, each word as likely as the others.
var pools = map[string][]string{
	"key":        {"l", "l", "m", "m", "s", "t", "", "\x00\xff\r\n key", "user:1", "user:2", "work"},
	"value":      {"1", "2", "1", "2", "ohmytext", "mynewtext", "a", "b", "a", "b", "c", "", "10", "-1", "0", "9223372036854775807", "-9223372036854775808", "3.0", "01", "\x00\xfe\r\n\"' ", strings.Repeat("x", 100), strings.Repeat("long ", 400)},
	"small":      {"0", "1", "-1", "2", "-2", "3", "-3", "5", "10", "-10"},
	"edge":       {"9223372036854775807", "9223372036854775808", "-9223372036854775807", "-9223372036854775808", "-9223372036854775809", "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967296", "18446744073709551615", "18446744073709551616", "99999999999999999999999", "+1", "01", " 1", "1 ", "1.0", "", "-0", "-", "1e3", "0x10", "x", "1\x00"},
	"word":       {"", "NOSUCH", "key", "\r\n", "n\x00x", "KEEPTTL", "EX", "COUNT", "GET", "9223372036854775808", "-1.5", "PREFIX", "REDIRECT", "'", "%s", strings.Repeat("w", 150)},
	"pattern":    {"*", "", "?", "[a-m]", "[^a]*", "\\*", "[", "[]", "[l", "[^", "[z-a]", "[\\l]", "[a-", "user:[12]", "*:*", "u*r:?", "\\", "l\\", "**", "l*", "new*", "news", "NEWS", "*\xff*", "*e*t*", "blpo[ps]", "*|get*", "__key*", "__keyevent@0__:*", "__keyspace@*:l"},
	"weight":     {"*", "#", "user:*", "user:*->a", "*->", "*->a", "l", "", "s*", "\x00*", "#\x00*", "*rk", "wo*k*"},
	"channel":    {"news", "new", "", "sport", "news", "l", "\xff\x00", "__redis__:invalidate", "__keyspace@0__:l", "__keyevent@0__:del"},
	"prefix":     {"", "u", "user:", "user:1", "l", "m", "\x00"},
	"db":         {"0", "0", "0", "0", "1", "2", "15", "16", "-1", "2147483647", "2147483648", "-2147483649", "9223372036854775808", "x", "", "01"},
	"float":      {"0", "1", "-1", "0.1", "3.0e5", "-2.5", "1e10", "1e-10", "123456789.123456789", "0x1p-4", "9007199254740993", "1e4000", "-1e4000", "1e400", "inf", "-inf", "nan", "", " 1", "1 ", "x", "01.5", ".5", "5.", "+1.25", "-0", "0.00000000000000001"},
	"timeout":    {"0", "0", "0", "1000", "1e3", "3600.5", "-1", "-0", "x", "", " 1", "+0", "nan", "-nan", "inf", "-inf", "infinity", "1e400", "0x7d0", "0x", "9223372036854775807", "9223372036854775", "9223372036854774", "1000000000000", "1e15", "1e18", "1_000", "1000\x00", "."},
	"protocol":   {"2", "3", "2", "3", "3", "3", "3", "3", "1", "4", "x", "", "03", "9223372036854775808"},
	"user":       {"default", "default", "default", "nobody", "", "DEFAULT"},
	"password":   {"secret", "secret", "secret", "wrong", ""},
	"name":       {"me", "you", "", "a b", "\n", "~!", "\xff"},
	"valueType":  {"string", "list", "LIST", "hash", "", "none"},
	"category":   {"list", "LIST", "string", "transaction", "connection", "pubsub", "keyspace", "blocking", "nosuch", ""},
	"clientType": {"normal", "PUBSUB", "pubsub", "replica", "slave", "master", "nosuch", ""},
	"unknownSub": {"NOSUCH", "", "x\x00y", "a\r\nb", "%d", strings.Repeat("u", 200), strings.Repeat("\u00fc", 100)},
	"unknown":    {"NOSUCH", "", "x\x00y", "a\r\nb", "G ET", "%s", "getx", "client|id", "CLIENT|NOSUCH", strings.Repeat("u", 200), strings.Repeat("\u00fc", 100)},
	"setting":    {"databases", "DATABASES", "maxmemory", "maxmem*", "d?tabases", "save", "nosuch", "", "[", "appendonly", "timeout", "protected-mode", "proto-max-bulk-len", "*"},
	"noSave":     {""},
	"yesNo":      {"yes", "no", "YES", "No", "maybe", ""},
	"percents":   {"50", "50 99.9", "", "0 100.0", "1e1 0x10 .5", "33.3333333", "-0", "50  99", " 50", "101", "-1", "x", "nan"},
	"long":       {"1000000", "2000000", "100000000000"},
	"noTime":     {"0", "", "x", "0.0", "-1", "-0.5", "0x", " 0"},
	"idle":       {"0", "100000", "2147483647", "2147483648", "-1", "x", "", "01"},
	"limit":      {"1", "1b", "0", "100gb", "100GB", "", "-1", "x"},
	"maximum":    {"0", "-1", "9000", "10000", "4294967296", "9223372036854775808", "x", ""},
	"memory":     {"1mb", "1MB", "512mb", "1g", "1GB", "2000k", "1048575", "1048576", "0", "1tb", "1.5mb", "-1", "x", "1 mb"},
	"pendingLimit": {"normal 0 0 0", "normal 1gb 512mb 60", "pubsub 32mb 8mb 60", "PUBSUB 1g 0 0 Normal 0 1g 10", "replica 256mb 64mb 60", "normal 1 2", "nosuch 0 0 0", "normal x 0 0",
		"normal 0 0 -1", "normal 0 0 1x", "", "normal 0 0 0 pubsub 1", "slave 0 1.5 0"},
	"events":  {"", "KEA", "g$lxKEmn", "g$lxKEmn", "KEg", "Klm", "E$n", "xe", "Kq", "ke", "szthd"}, // not A and n: redis-server forgets the n when a CONFIG SET fails
	"section": {"server", "clients", "CLIENTS", "memory", "stats", "keyspace", "Keyspace", "replication", "cluster", "commandstats", "errorstats", "latencystats", "cpu", "modules", "default", "all", "everything", "nosuch", ""},
}

// rarely gives rows a weight in percent: those that wipe out what others built,
// or say little.
var rarely = map[string]int{
	"flushall": 15, "flushdb": 15, "quit": 15, "reset": 30, "command": 10, "command|docs": 10, "command|info": 20,
	"command|list": 20, "command|help": 10, "client|help": 10, "client|reply": 40, "client|kill": 50, "config|help": 10, "object|help": 10, "pubsub|help": 10, "config": 20,
	"client": 20, "pubsub": 20, "info": 20, "memory": 20, "memory|help": 10, "memory|malloc-stats": 2, "memory|purge": 2, "memory|stats": 10, "object": 20, "time": 20, "command|count": 20,
}

// A generator makes the steps of one bout.
type generator struct {
	*rand.Rand
	rows    []string // those this bout uses: few of them meet more often than many
	keys    []string // likewise
	crowded bool     // some client is blocked
	paused  bool     // a CLIENT PAUSE was sent, and no CLIENT UNPAUSE
	unique  int      // how many times to live were given out
}

func newGenerator(seed uint64) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	var all []string
	for name := range table.all() {
		all = append(all, name)
	}
	share := []float64{0.15, 0.3, 1}[g.IntN(3)]
	// CLIENT UNBLOCK kills redis-server if the client is paused.
	without := pick(g, []string{"client|pause", "client|unblock"})
	for _, name := range all {
		if g.Float64() < share && name != without {
			g.rows = append(g.rows, name)
		}
	}
	for range 1 + g.IntN(4) {
		g.keys = append(g.keys, pick(g, pools["key"]))
	}
	if len(g.rows) == 0 {
		g.rows = []string{"ping"}
	}
	return g
}

func pick[T any](g *generator, of []T) T { return of[g.IntN(len(of))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// pickRow chooses a row that the state of the client gives a sense.
func (g *generator) pickRow(c *combatant) string {
	switch {
	case c.inTransaction && g.chance(15):
		return pick(g, []string{"exec", "exec", "exec", "exec", "discard"})
	case c.subscribed && c.protocol == 2 && g.chance(30):
		return pick(g, []string{"unsubscribe", "punsubscribe", "ping", "reset", "quit"})
	case c.tracking && g.chance(15):
		return pick(g, []string{"client|caching", "client|caching", "get", "exists", "llen", "multi", "client|trackinginfo"})
	case g.crowded && g.chance(20):
		return pick(g, []string{"blpop", "brpop", "blmove", "blmpop", "brpoplpush", "rpush", "lpush", "lmove", "exec"})
	case g.paused && g.chance(10):
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
	container, sub, isSub := strings.Cut(row, "|")
	args := []string{g.anyCase(container)}
	if isSub {
		args = append(args, g.anyCase(sub))
	}
	args = append(args, g.expand(grammar[row])...)
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

// expand makes arguments by a rule of the grammar.
func (g *generator) expand(rule string) []string {
	var args []string
	for _, token := range strings.Fields(pick(g, strings.Split(rule, " | "))) {
		times := 1
		switch token[len(token)-1] {
		case '?':
			times = g.IntN(2)
		case '*':
			times = max(0, g.IntN(5)-1)
		case '+':
			times = max(1, g.IntN(5))
		}
		token = strings.TrimRight(token, "?*+")
		for range times {
			args = append(args, g.token(token)...)
		}
	}
	return args
}

func (g *generator) token(token string) []string {
	if token == "key" && g.chance(85) {
		return []string{pick(g, g.keys)}
	}
	if words, isPool := pools[token]; isPool {
		return []string{pick(g, words)}
	}
	if rule, isPart := parts[token]; isPart {
		return g.expand(rule)
	}
	switch token {
	case "seconds":
		return []string{g.timeToLive("")}
	case "milliseconds":
		return []string{g.timeToLive("000")}
	case "atSecond":
		return []string{pick(g, []string{"4102444800", "4102444801", "5000000000", "1", "0", "-1", "9223372036854775", "9223372036854775807", "-9223372036854775808", "x", ""})}
	case "atMillisecond":
		return []string{pick(g, []string{"4102444800000", "4102444800001", "5000000000000", "1", "0", "-1", "9223372036854775807", "-9223372036854775808", "x", ""})}
	case "clientID":
		return []string{pick(g, []string{"{a}", "{b}", "{c}", "{d}", "{a}", "{b}", "{c}", "{d}", "0", "-1", "x", "", "99999999999"})}
	case "payload":
		return []string{g.payload()}
	case "row":
		return []string{g.anyCase(pick(g, append(g.rows, "nosuch", "get|x", "client|nosuch", "")))}
	case "wholeCommand":
		return g.command(pick(g, g.rows))
	}
	if strings.ToUpper(token) != token {
		panic("the grammar knows no " + token)
	}
	return []string{g.anyCase(token)}
}

// payload is what DUMP may have returned, of a version that redis-server knows or
// not, and now and then changed.
func (g *generator) payload() string {
	var body []byte
	switch g.IntN(4) {
	case 0:
		body, _ = undumped(dumped(&text{bytes: []byte(pick(g, pools["value"]))}))
	case 1:
		l := &list{}
		for range 1 + g.IntN(5) {
			l.push(right, []byte(pick(g, pools["value"])))
		}
		body, _ = undumped(dumped(l))
	case 2:
		body = []byte(pick(g, []string{
			"\x00\xc3\x09\x40\x64\x01xx\xe0\x57\x00\x01xx",                              // compressed
			"\x01\x03\x03one\xc0\x02\x00",                                               // a list of version 1
			"\x0e\x01\x11\x11\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\xf2\x02\x01x\xff", // of version 7
		}))
	case 3:
		body = []byte(pick(g, []string{"", "\x00\x20x", "\x00\xc4x", "\x63", "\x12\x00", "\x01\x00", "\x00\xc3\x02\x03\x00x"})) // not in order
	}
	b := binary.LittleEndian.AppendUint16(body, pick(g, []uint16{6, 9, 10, 10, 10, 10, 10, 11}))
	b = binary.LittleEndian.AppendUint64(b, checksum(b))
	if g.chance(5) {
		b[g.IntN(len(b))]++
	}
	return string(b)
}

// timeToLive is a time long enough for the key to outlive the test, or one that
// has passed, or a wrong one; unit is empty for seconds, "000" for milliseconds.
// Each is different from all others by more than the two servers' clocks, so that
// GT and LT have one answer.
func (g *generator) timeToLive(unit string) string {
	if g.chance(25) {
		return pick(g, []string{"0", "-1", "-100", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "x", "", "1.5", "01"})
	}
	g.unique++
	base := pick(g, []int{5_000_000, 2_147_483_647, 4_294_967_296})
	return fmt.Sprintf("%d%s", base+pick(g, []int{-1000, 1000})*g.unique, unit)
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

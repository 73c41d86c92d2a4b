//go:build unix

package broker

import (
	"bufio"
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Where the broker and redis-server may differ. What is not listed here is
// compared byte for byte.

// A rule makes equal what may be different in the replies to a row.
type rule struct {
	rows  string // full names, separated by spaces; "": any
	why   string
	level func(args []string, redis, broker []*answer)
}

var rules = []rule{
	{"ttl pttl expiretime pexpiretime", "the servers are asked a moment apart", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			rn, bn := r.number(), b.number()
			if rn > 1_000_000 && max(rn-bn, bn-rn) < 30_000 {
				b.text = r.text
			}
		})
	}},
	{"acl|cat", "the broker has fewer commands, in another order", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.kind == '*' && len(r.items) > 0 && r.items[0].text != "keyspace" {
				r.knownCommands()
				b.knownCommands()
			}
		})
	}},
	{"acl|genpass", "any will do that is as long", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.kind == '$' && len(r.text) == len(b.text) {
				b.text = r.text
			}
		})
	}},
	{"acl|list acl|getuser", "hash tables have no order", func(_ []string, redis, broker []*answer) {
		sortCommandRules(redis)
		sortCommandRules(broker)
	}},
	{"acl|log", "the servers are asked a moment apart, and the broker tells less of clients", func(_ []string, redis, broker []*answer) {
		levelDenials(redis)
		levelDenials(broker)
	}},
	{"time", "the servers are asked a moment apart", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if len(r.items) == 2 && len(b.items) == 2 && max(r.items[0].number()-b.items[0].number(), b.items[0].number()-r.items[0].number()) < 30 {
				b.items = r.items
			}
		})
	}},
	{"command command|docs command|info command|list", "the broker has fewer commands, in another order, and its own words for them", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			r.knownCommands()
			b.knownCommands()
		})
	}},
	{"command|count", "the broker has fewer commands", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.number() == 240 && b.number() == int64(len(table.order)) {
				b.text = r.text
			}
		})
	}},
	{"config|get", "the broker has few settings, in the order of their names, and limits of its own", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			r.knownSettings()
			b.knownSettings()
		})
	}},
	{"keys scan pubsub|channels pubsub|shardchannels", "hash tables have no order", func(_ []string, redis, broker []*answer) {
		sortBulks(redis)
		sortBulks(broker)
	}},
	{"scan", "a cursor says where in a hash table the iteration stands: only complete ones are compared", func(args []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if len(args) > 1 && r.isScan() && b.isScan() && (r.items[0].text != "0" || b.items[0].text != "0" || args[1] != "0") {
				b.items = r.items
			}
		})
	}},
	{"randomkey", "any key will do", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.kind == '$' && b.kind == '$' && !r.null && !b.null {
				b.text = r.text
			}
		})
	}},
	{"unsubscribe punsubscribe sunsubscribe", "hash tables have no order", func(_ []string, redis, broker []*answer) {
		sortUnsubscribed(redis)
		sortUnsubscribed(broker)
	}},
	{"", "a message for several patterns of a client comes in the order of a hash table", func(_ []string, redis, broker []*answer) {
		sortPatterns(redis)
		sortPatterns(broker)
	}},
	{"", "redis-server tells a client that others redirect to of a flush in the protocol of the other: a null that its own may not have", func(_ []string, redis, broker []*answer) {
		levelNulls(redis)
		levelNulls(broker)
	}},
	{"info client|list client|info", "the broker tells less, its memory and addresses are others, and its clients have no Unix socket (U) and are unblocked (u) at once", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			r.text, b.text = selectFields(r.text), selectFields(b.text)
		})
	}},
	{"dump", "how a list is cut into pieces depends on how it came about", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			x, y := r.dumpedList(), b.dumpedList()
			if x != nil && y != nil && fmt.Sprintf("%q", content(x)) == fmt.Sprintf("%q", content(y)) {
				b.text = r.text
			}
		})
	}},
	{"object|idletime", "redis-server counts the use of a small integer for all keys that share it", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.kind == ':' {
				b.text = r.text
			}
		})
	}},
	{"object|refcount", "in a transaction of redis-server the queued command counts too", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.kind == ':' && r.text == "2" && b.text == "1" {
				b.text = r.text
			}
		})
	}},
	{"memory|usage", "the broker estimates what values take", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.kind == ':' {
				b.text = r.text
			}
		})
	}},
	{"memory|stats", "memory is managed in another way", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			r.keepField("keys.count")
			b.keepField("keys.count")
		})
	}},
	{"memory|malloc-stats", "the allocator is another", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if strings.Contains(r.text, "jemalloc") && strings.Contains(b.text, "Go's allocator") {
				b.text = r.text
			}
		})
	}},
	{"", "the servers are asked a moment apart, and clients have other addresses", func(_ []string, redis, broker []*answer) {
		levelShown(redis)
		levelShown(broker)
	}},
	{"latency|histogram", "one server is faster than the other", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			r.levelUsages()
			b.levelUsages()
		})
	}},
	{"latency|doctor", "the broker has its own words", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if strings.Contains(r.text, "monitoring is disabled") && strings.Contains(b.text, "monitor is off") ||
				strings.Contains(r.text, "no latency spike") && strings.Contains(b.text, "No command") {
				b.text = r.text
			}
		})
	}},
	{"acl|help client|help command|help config|help latency|help memory|help object|help pubsub|help slowlog|help debug", "the broker explains in its own words the sub-commands that it has", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if len(r.items) > 1 && len(b.items) > 1 && r.items[0].text == b.items[0].text {
				b.items = r.items
			}
		})
	}},
}

// avoided are commands whose outcome in Redis is an artefact, so that they are
// not sent.
var avoided = []struct {
	why string
	is  func(row string, args []string) bool
}{
	{"a pause of all clients would pause the test, too; one of 0 ms makes it of another", func(row string, args []string) bool {
		if row != "client|pause" || len(args) != 3 && !(len(args) == 4 && strings.EqualFold(args[3], "ALL")) {
			return false
		}
		ms, isInt := parseInt([]byte(args[2]))
		return isInt && ms >= 0
	}},
	{"redis-server would be gone", func(row string, args []string) bool {
		given := map[string]bool{}
		for _, arg := range args[1:] {
			given[strings.ToUpper(arg)] = true
		}
		refused := given["SAVE"] && given["NOSAVE"]
		for _, option := range []string{"SAVE", "NOSAVE", "NOW", "FORCE"} {
			delete(given, option)
		}
		return row == "shutdown" && !refused && len(given) == 0
	}},
	{"what is equal comes in any order if but a part of it is asked for", func(row string, args []string) bool {
		words := strings.ToUpper(strings.Join(args, " "))
		return strings.HasPrefix(row, "sort") && strings.Contains(words, "ALPHA") && strings.Contains(words, "BY") && strings.Contains(words, "LIMIT")
	}},
	{"without an ID a client of the test's own may be killed", func(row string, args []string) bool {
		named := len(args) == 3 // an address that nobody has
		for i := 2; i+1 < len(args); i += 2 {
			named = named || strings.EqualFold(args[i], "ID")
		}
		return row == "client|kill" && !named
	}},
	{"DEBUG SLEEP stops the server", func(row string, args []string) bool {
		return row == "debug" && len(args) == 3 && strings.EqualFold(args[1], "SLEEP") && sleepTime([]byte(args[2])) > 0
	}},
	{"a time-out which, added to the time of day, overflows", func(row string, args []string) bool {
		return slices.Contains(args, "9223372036854775") || slices.Contains(args, "9223372036854774")
	}},
}

// overflows reports whether a command may meet a number out of range: that leaves an
// error number behind in redis-server, which SORT takes for its own.
func overflows(args []string) bool {
	isScan := rowOf(args) == "scan"
	return slices.ContainsFunc(args, func(arg string) bool {
		_, fits := parseCursor([]byte(arg))
		return strings.Contains(strings.ToLower(arg), "e4932") || slices.Contains(beyondFloats, arg) || isScan && !fits && strings.Trim(arg, "0123456789") == ""
	})
}

// beyondFloats are words that are no long doubles.
var beyondFloats = []string{"1e4933", "1e-5000", "1e5000"}

// An answer is a reply that has been read.
type answer struct {
	kind  byte // the type byte of the protocol
	null  bool // $-1
	text  string
	items []*answer // without the pushes that came between them
	extra []*answer // these pushes
	after []int     // how many items came before each
}

// parseReplies reads all replies in p. It reports false if the last is incomplete.
func parseReplies(p []byte) (values []*answer, complete bool) {
	for len(p) > 0 {
		v, rest, ok := parseReply(p)
		if !ok {
			return values, false
		}
		values = append(values, v)
		p = rest
	}
	return values, true
}

func parseReply(p []byte) (v *answer, rest []byte, ok bool) {
	line, rest, ok := bytes.Cut(p, []byte("\r\n"))
	if !ok || len(line) == 0 {
		return nil, nil, false
	}
	v = &answer{kind: line[0], text: string(line[1:])}
	n, err := strconv.Atoi(v.text)
	switch {
	case strings.IndexByte("$=", v.kind) >= 0 && err == nil && n >= 0:
		if len(rest) < n+2 {
			return nil, nil, false
		}
		v.text = string(rest[:n])
		return v, rest[n+2:], true
	case v.kind == '$':
		v.null = true
		return v, rest, true
	case v.kind == '%':
		n *= 2
	case strings.IndexByte("*~>", v.kind) < 0:
		return v, rest, true
	}
	if v.null = n < 0; !v.null {
		v.text = ""
	}
	for len(v.items) < n {
		if len(rest) == 0 { // a client that asked for silence within EXEC gets no more
			v.items = append(v.items, &answer{kind: '!', text: fmt.Sprint(n - len(v.items))})
			return v, rest, true
		}
		item, after, ok := parseReply(rest)
		if !ok {
			return nil, nil, false
		}
		rest = after
		if item.isPush() {
			v.extra, v.after = append(v.extra, item), append(v.after, len(v.items))
		} else {
			v.items = append(v.items, item)
		}
	}
	return v, rest, true
}

// String is the same for two values if and only if they are equal.
func (v *answer) String() string {
	if v.items == nil && v.extra == nil {
		return fmt.Sprintf("%c%q", v.kind, v.text)
	}
	return fmt.Sprintf("%c%v", v.kind, v.woven())
}

// woven returns the items and the pushes between them as they came.
func (v *answer) woven() []*answer {
	var all []*answer
	done := 0
	for i, push := range v.extra {
		upTo := max(done, min(v.after[i], len(v.items)))
		all = append(append(all, v.items[done:upTo]...), push)
		done = upTo
	}
	return append(all, v.items[done:]...)
}

// number is an integer, or 0.
func (v *answer) number() int64 {
	n, _ := parseInt([]byte(v.text)) // 0 for what is no number
	return n
}

func (v *answer) isScan() bool {
	return len(v.items) == 2 && v.items[0].kind == '$' && v.items[1].kind == '*'
}

// isPush reports whether a value came out of band, in either protocol.
func (v *answer) isPush() bool {
	if v.kind != '>' && (v.kind != '*' || len(v.items) < 3) {
		return false
	}
	return len(v.items) > 0 && slices.Contains([]string{"message", "pmessage", "invalidate", "tracking-redir-broken"}, v.items[0].text)
}

// isSubscription reports whether a value is the answer to SUBSCRIBE or the like.
func (v *answer) isSubscription() bool {
	return len(v.items) == 3 && strings.HasSuffix(v.items[0].text, "subscribe") && v.items[2].kind == ':'
}

// shown is how MONITOR shows a command: when, where, by whom, and what.
var shown = regexp.MustCompile(`^\d+\.\d{6} \[(\d+) [^\]]*\] ("(?i:auth|hello)")?`)

// isShown reports whether a value is a command that MONITOR shows.
func (v *answer) isShown() bool { return v.kind == '+' && shown.MatchString(v.text) }

// levelShown keeps of commands that MONITOR shows what must be equal. Of AUTH and HELLO
// redis-server hides the password unless something is wrong before it.
func levelShown(values []*answer) {
	for _, v := range values {
		levelShown(v.items)
		if !v.isShown() {
			continue
		}
		found := shown.FindStringSubmatch(v.text)
		rest := v.text[len(found[0]):]
		if found[2] != "" {
			rest = ""
		}
		v.text = found[1] + " " + found[2] + rest
	}
}

// levelUsages keeps of LATENCY HISTOGRAM how often commands ran, unless the test
// itself sends them or redis-server counts those as run that CLIENT UNBLOCK ended.
func (v *answer) levelUsages() {
	var kept []*answer
	for i := 0; i+1 < len(v.items); i += 2 {
		name, usage := v.items[i], v.items[i+1]
		c := table.named([]byte(name.text))
		if c == nil || c.flags&blocking != 0 || name.text == "client|list" || name.text == "config|set" || len(usage.items) < 2 {
			continue
		}
		kept = append(kept, &answer{kind: '*', items: append([]*answer{name}, usage.items[:2]...)})
	}
	slices.SortFunc(kept, byText)
	v.items = kept
}

// flatten puts the replies in the answer to EXEC, the first array, in its place.
// The array is not to be trusted: a subscription in a transaction is several
// replies where one is announced.
func flatten(values []*answer) []*answer {
	for i, v := range values {
		if v.kind == '*' && !v.isPush() {
			return slices.Concat(values[:i], v.woven(), values[i+1:])
		}
	}
	return values
}

// hoist puts the pushes in the middle of replies before them.
func hoist(values []*answer) []*answer {
	var all []*answer
	for _, v := range values {
		all = append(append(all, v.extra...), v)
		v.extra = nil
	}
	return all
}

// pairs calls f for the replies of both servers, as far as they are of one kind.
func pairs(redis, broker []*answer, f func(r, b *answer)) {
	for i, r := range redis {
		if i >= len(broker) || r.kind != broker[i].kind {
			return
		}
		if !r.isPush() && !r.isShown() && !r.isSubscription() {
			f(r, broker[i])
		}
	}
}

func byText(a, b *answer) int { return strings.Compare(a.String(), b.String()) }

// sortBulks sorts every array that has nothing but bulk strings in it.
func sortBulks(values []*answer) {
	for _, v := range values {
		sortBulks(v.items)
		if v.kind == '*' && !v.isPush() && !slices.ContainsFunc(v.items, func(item *answer) bool { return item.kind != '$' }) {
			slices.SortFunc(v.items, byText)
		}
	}
}

// sortCommandRules sorts the rules about commands in the descriptions of users.
func sortCommandRules(values []*answer) {
	isRule := func(word string) bool { return strings.HasPrefix(word, "+") || strings.HasPrefix(word, "-") }
	for _, v := range values {
		sortCommandRules(v.items)
		if v.kind != '$' || v.null {
			continue
		}
		words := strings.Split(strings.ReplaceAll(v.text, ")", " )"), " ")
		for from := 0; from < len(words); from++ {
			to := from
			for to < len(words) && isRule(words[to]) {
				to++
			}
			slices.Sort(words[from:to])
			from = max(from, to-1)
		}
		v.text = strings.Join(words, " ")
	}
}

// levelDenials keeps of the entries of ACL LOG what must be equal.
func levelDenials(values []*answer) {
	for _, v := range values {
		levelDenials(v.items)
		for i := 0; i+1 < len(v.items); i += 2 {
			switch what := v.items[i+1]; v.items[i].text {
			case "age-seconds":
				what.text = ""
			case "client-info":
				what.text = selectClientFields(what.text)
			}
		}
	}
}

// sortUnsubscribed sorts the names in answers to UNSUBSCRIBE and PUNSUBSCRIBE,
// leaving the counts where they are.
func sortUnsubscribed(values []*answer) {
	var answers, names []*answer
	for _, v := range values {
		sortUnsubscribed(v.items)
		sortUnsubscribed(v.extra)
		if v.isSubscription() && strings.HasSuffix(v.items[0].text, "unsubscribe") {
			answers = append(answers, v)
			names = append(names, v.items[1])
		}
	}
	slices.SortFunc(names, byText)
	for i, v := range answers {
		v.items[1] = names[i]
	}
}

// sortPatterns sorts a message that comes for several patterns, one after the other.
func sortPatterns(values []*answer) {
	message := func(v *answer) string { // channel and text
		if len(v.items) != 4 || v.items[0].text != "pmessage" {
			return ""
		}
		return fmt.Sprint(v.items[2:])
	}
	for from := 0; from < len(values); from++ {
		to := from + 1
		for to < len(values) && message(values[to]) != "" && message(values[to]) == message(values[from]) {
			to++
		}
		slices.SortFunc(values[from:to], byText)
		sortPatterns(values[from].items)
		sortPatterns(values[from].extra)
		from = to - 1
	}
}

// levelNulls writes the null of an invalidation of all keys in one way.
func levelNulls(values []*answer) {
	for _, v := range values {
		levelNulls(v.items)
		levelNulls(v.extra)
		if !v.isPush() {
			continue
		}
		if last := v.items[len(v.items)-1]; last.kind == '_' || last.null {
			*last = answer{kind: '_'}
		}
	}
}

// selectFields keeps of CLIENT LIST and INFO what must be equal.
func selectFields(text string) string {
	var kept, usages []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "id=") {
			kept = append(kept, selectClientFields(line))
			continue
		}
		if strings.HasPrefix(line, "cmdstat_") {
			if usage := selectUsage(line); usage != "" {
				usages = append(usages, usage)
			}
			continue
		}
		name, _, _ := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(name, "db"):
			line, _, _ = strings.Cut(line, ",avg_ttl")
			kept = append(kept, line)
		case strings.HasPrefix(line, "# "), strings.HasPrefix(name, "errorstat_"), slices.Contains(sameFields, name):
			kept = append(kept, line)
		}
	}
	slices.Sort(usages)
	return strings.Join(append(kept, usages...), "\n")
}

// sameFields are the fields of INFO that are the same on both servers.
var sameFields = strings.Fields("redis_version redis_mode arch_bits config_file connected_clients cluster_connections maxclients " +
	"blocked_clients tracking_clients maxmemory maxmemory_human maxmemory_policy loading async_loading rdb_bgsave_in_progress aof_enabled " +
	"aof_rewrite_in_progress rejected_connections evicted_keys evicted_clients pubsub_channels pubsub_patterns " +
	"pubsubshard_channels tracking_total_prefixes total_error_replies role connected_slaves " +
	"master_failover_state master_repl_offset repl_backlog_active cluster_enabled")

// usageTimes is what a usage says about times.
var usageTimes = regexp.MustCompile(`usec=.*,(rejected_calls)`)

// selectUsage keeps of a line of INFO's section Commandstats what must be equal:
// nothing of the commands by which the test looks at the servers.
func selectUsage(line string) string {
	for _, name := range []string{"client|list", "config|set"} {
		if strings.HasPrefix(line, "cmdstat_"+name+":") {
			return ""
		}
	}
	line = usageTimes.ReplaceAllString(line, "$1")
	name, _, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
	if c := table.named([]byte(name)); name == "client|unblock" || c != nil && c.flags&blocking != 0 {
		// CLIENT UNBLOCK counts as failed, together with the command that it ends
		line, _, _ = strings.Cut(line, ",failed_calls")
		if strings.HasSuffix(line, ":calls=0,rejected_calls=0") {
			return ""
		}
	}
	return line
}

// selectClientFields keeps of a line of CLIENT LIST what must be equal.
func selectClientFields(line string) string {
	var kept []string
	for field := range strings.SplitSeq(line, " ") {
		name, what, _ := strings.Cut(field, "=")
		switch name {
		case "flags":
			if what = strings.ReplaceAll(strings.ReplaceAll(what, "u", ""), "U", ""); what == "" {
				what = "N"
			}
			kept = append(kept, name+"="+what)
		case "id", "name", "db", "sub", "psub", "multi", "cmd", "user", "redir", "resp":
			kept = append(kept, field)
		}
	}
	return strings.Join(kept, " ")
}

// knownCommands reduces what COMMAND and its sub-commands answer to the commands
// that the broker has.
func (v *answer) knownCommands() {
	known := func(name string) bool { return table.named([]byte(name)) != nil }
	var kept []*answer
	for i, item := range v.items {
		switch {
		case item.kind == '*' && len(item.items) == 10: // COMMAND, COMMAND INFO
			if known(item.items[0].text) {
				for _, spec := range item.items[8].items {
					if spec.items[0].text == "notes" { // which are prose
						spec.items = spec.items[2:]
					}
				}
				item.items[9].knownCommands()
				kept = append(kept, item)
			}
		case item.kind == '$' && i+1 < len(v.items) && (v.items[i+1].kind == '%' || v.items[i+1].kind == '*'): // COMMAND DOCS
			if known(item.text) {
				kept = append(kept, item)
			}
		case item.kind == '$' && item.text != "": // COMMAND LIST
			if known(item.text) {
				kept = append(kept, item)
			}
		case item.kind == '_' || item.kind == '$': // COMMAND INFO of what does not exist
			kept = append(kept, item)
		}
	}
	slices.SortStableFunc(kept, func(a, b *answer) int {
		if len(a.items) == 0 || len(b.items) == 0 {
			return byText(a, b)
		}
		return strings.Compare(a.items[0].text, b.items[0].text)
	})
	v.items = kept
}

// keepField reduces a map to one field, as far as its value goes.
func (v *answer) keepField(name string) {
	for i := 0; i+1 < len(v.items); i += 2 {
		if v.items[i].text == name {
			v.items = v.items[i : i+2]
			return
		}
	}
}

// dumpedList returns the list that is the answer to DUMP, or nil.
func (v *answer) dumpedList() *list {
	body, valid := undumped([]byte(v.text))
	if !valid {
		return nil
	}
	l, _ := loaded(body, 0).(*list) // nil, if it is something else
	return l
}

// knownSettings reduces what CONFIG GET answers to the settings that the broker
// has, and the values to those that are not limits.
func (v *answer) knownSettings() {
	if len(v.items) == 0 || v.items[0].kind != '$' {
		return // nothing, or done before
	}
	var kept []*answer
	for i := 0; i+1 < len(v.items); i += 2 {
		name, setting := v.items[i], v.items[i+1]
		if _, is := settings[strings.ToLower(name.text)]; !is {
			continue
		}
		kept = append(kept, &answer{kind: '*', items: []*answer{name, setting}})
	}
	slices.SortFunc(kept, byText)
	v.items = kept
}

// readable shows replies as transcripts do.
func readable(p []byte) []string {
	var lines []string
	in := bufio.NewReader(bytes.NewReader(p))
	for {
		line, err := readReply(in)
		if err != nil {
			return lines
		}
		lines = append(lines, line)
	}
}

//go:build unix

package broker

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
)

// What the rules do to replies, so that what may differ does not.

// shown is how MONITOR shows a command: when, where, by whom, and what.
var shown = regexp.MustCompile(`^\d+\.\d{6} \[(\d+) [^\]]*\] ("(?i:auth|hello)")?`)

// cursorShown is a SCAN, HSCAN or the like with its cursor, as MONITOR shows it.
var cursorShown = regexp.MustCompile(`^((?i:"scan"|"[hsz]scan" "(?:[^"\\]|\\.)*")) "\d+"`)

// isShown reports whether a value is a command that MONITOR shows.
func (v *answer) isShown() bool { return v.kind == '+' && shown.MatchString(v.text) }

// tellsOfExpiry reports whether a value says that a key has expired.
func (v *answer) tellsOfExpiry() bool {
	return v.isPush() && slices.ContainsFunc(v.items[1:], func(item *answer) bool { return item.text == "expired" || strings.HasSuffix(item.text, ":expired") })
}

// pushesFirst puts pushes before the commands that MONITOR shows in between.
func pushesFirst(values []*answer) {
	comesFirst := func(a, b *answer) int {
		switch {
		case a.isPush() && b.isShown():
			return -1
		case a.isShown() && b.isPush():
			return 1
		}
		return 0
	}
	for from := 0; from < len(values); from++ {
		to := from
		for to < len(values) && (values[to].isPush() || values[to].isShown()) {
			to++
		}
		slices.SortStableFunc(values[from:to], comesFirst)
		from = to
	}
}

// levelShown keeps of commands that MONITOR shows what must be equal. Of AUTH and HELLO
// redis-server hides the password unless something is wrong before it.
func levelShown(values []*answer) {
	for _, v := range values {
		levelShown(v.items)
		if !v.isShown() {
			continue
		}
		found := shown.FindStringSubmatch(v.text)
		rest := cursorShown.ReplaceAllString(v.text[len(found[0]):], "$1")
		if found[2] != "" {
			rest = ""
		}
		v.text = found[1] + " " + found[2] + rest
	}
}

// levelUsages keeps of LATENCY HISTOGRAM how often commands ran, unless the test
// itself sends them.
func (v *answer) levelUsages() {
	var kept []*answer
	for i := 0; i+1 < len(v.items); i += 2 {
		name, usage := v.items[i], v.items[i+1]
		c := table.Named([]byte(name.text))
		if c == nil || name.text == "client|list" || name.text == "config|set" || len(usage.items) < 2 {
			continue
		}
		kept = append(kept, &answer{kind: '*', items: append([]*answer{name}, usage.items[:2]...)})
	}
	slices.SortFunc(kept, byText)
	v.items = kept
}

// sortBulks sorts every array that has nothing but bulk strings in it.
func sortBulks(values []*answer) {
	for _, v := range values {
		sortBulks(v.items)
		if v.kind == '*' && !v.isPush() && !slices.ContainsFunc(v.items, func(item *answer) bool { return item.kind != '$' }) {
			slices.SortFunc(v.items, byText)
		}
	}
}

// sortElements sorts what is in arrays, maps and sets of bulk strings, of which so many are an
// element.
func sortElements(values []*answer, group int) {
	for _, v := range values {
		sortElements(v.items, group)
		if v.isPush() || len(v.items)%group != 0 || !slices.Contains([]byte("*%~"), v.kind) || slices.ContainsFunc(v.items, func(item *answer) bool { return item.kind != '$' && item.kind != '_' }) {
			continue
		}
		elements := slices.Collect(slices.Chunk(v.items, group))
		slices.SortFunc(elements, func(a, b []*answer) int { return slices.CompareFunc(a, b, byText) })
		v.items = slices.Concat(elements...)
	}
}

// shape is what is the same of two answers that have other strings.
func (v *answer) shape() string {
	if v.items == nil {
		return fmt.Sprintf("%c%t", v.kind, v.null)
	}
	shape := string(v.kind)
	for _, item := range v.items {
		shape += item.shape()
	}
	return shape + "."
}

// sortLibraries sorts what FUNCTION LIST describes: libraries, and the functions of each.
func sortLibraries(values []*answer) {
	for _, v := range values {
		sortLibraries(v.items)
		isDescription := func(item *answer) bool {
			return len(item.items) > 0 && (item.items[0].text == "library_name" || item.items[0].text == "name")
		}
		if len(v.items) > 0 && !slices.ContainsFunc(v.items, func(item *answer) bool { return !isDescription(item) }) {
			slices.SortFunc(v.items, byText)
		}
	}
}

// sameLibraries reports whether two replies of FUNCTION DUMP have the same libraries.
func sameLibraries(a, b string) bool {
	libraries := func(dumped string) (all []string) {
		body, _ := rdb.Undump([]byte(dumped))
		for d := rdb.NewDecoder(body, 0); d.Len() > 0; {
			all = append(all, fmt.Sprint(d.Byte(), string(d.String()), d.Broken()))
		}
		slices.Sort(all)
		return all
	}
	return slices.Equal(libraries(a), libraries(b))
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
	return usageTimes.ReplaceAllString(line, "$1")
}

// controlCommand is what the test's own connection does just now, which is not compared.
var controlCommand = regexp.MustCompile(`cmd=\S+ (user=control )`)

// selectClientFields keeps of lines of CLIENT LIST what must be equal.
func selectClientFields(lines string) string {
	var kept []string
	for field := range strings.SplitSeq(controlCommand.ReplaceAllString(lines, "$1"), " ") {
		name, what, _ := strings.Cut(field, "=")
		switch name {
		case "flags":
			if what = strings.ReplaceAll(strings.ReplaceAll(what, "u", ""), "U", ""); what == "" {
				what = "N"
			}
			kept = append(kept, name+"="+what)
		case "id", "name", "db", "sub", "psub", "ssub", "multi", "cmd", "user", "redir", "resp":
			kept = append(kept, field)
		}
	}
	return strings.Join(kept, " ")
}

// knownCommands sorts what COMMAND and its sub-commands answer, without prose. What names
// anything but commands is the reply to another command of the transaction.
func (v *answer) knownCommands() {
	known := func(name string) bool { return table.Named([]byte(name)) != nil }
	if slices.ContainsFunc(v.items, func(item *answer) bool { return item.kind == '$' && !item.null && item.text != "" && !known(item.text) }) {
		return
	}
	var kept []*answer
	for _, item := range v.items {
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
		case item.kind == '_' || item.kind == '$': // COMMAND DOCS and LIST, COMMAND INFO of what does not exist
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

// dumped returns the value that is the answer to DUMP, or nil.
func (v *answer) dumped() keyspace.Value {
	body, valid := rdb.Undump([]byte(v.text))
	if !valid || len(body) == 0 { // as FUNCTION DUMP answers where there are none
		return nil
	}
	limits := keyspace.DefaultThresholds
	if body[0] == rdb.TypeHash || body[0] == rdb.TypeSet { // a hash table, however small
		limits = keyspace.Thresholds{}
	}
	return types.Load(body, 0, limits)
}

// sameContent reports whether two values are equal, but for the order of a hash table.
func sameContent(x, y keyspace.Value) bool {
	if x == nil || y == nil || x.Type() != y.Type() {
		return false
	}
	if x.Type().Name == "stream" {
		return shownStream(x) == shownStream(y)
	}
	in := func(v keyspace.Value) [][][]byte {
		elements := slices.Collect(slices.Chunk(content(v), v.Recipe().Group))
		if v.Encoding() == "hashtable" {
			slices.SortFunc(elements, func(a, b [][]byte) int { return bytes.Compare(a[0], b[0]) })
		}
		return elements
	}
	return fmt.Sprintf("%q", in(x)) == fmt.Sprintf("%q", in(y))
}

// shownStream is all that XINFO shows of a stream, but for times.
func shownStream(v keyspace.Value) string {
	b, err := New(Options{})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	b.keys.Add(b.keys.DBs[0], []byte("k"), v)
	shown, err := b.Do("XINFO", "STREAM", "k", "FULL", "COUNT", 0)
	if err != nil {
		panic(err)
	}
	return moment.ReplaceAllString(fmt.Sprint(shown), "time")
}

// moment is a time in milliseconds since 1970, of these years.
var moment = regexp.MustCompile(`\b[1-9]\d{12}\b`)

// levelMoments makes integers equal that are times.
func levelMoments(all []*answer) {
	for _, v := range all {
		if v.kind == ':' && moment.MatchString(v.text) {
			v.text = "time"
		}
		levelMoments(v.items)
	}
}

// levelField makes a field equal in all maps.
func levelField(all []*answer, name string) {
	for i, v := range all {
		if v.text == name && i+1 < len(all) {
			all[i+1].text = name
		}
		levelField(v.items, name)
	}
}

// levelIdle makes equal for how long entries are pending. Where their times were set to ones
// long ago that is more than a day.
func levelIdle(all []*answer) {
	const day = 24 * 3600 * 1000
	for _, v := range all {
		if len(v.items) == 4 && v.items[2].kind == ':' {
			if idle := v.items[2]; idle.number() < day {
				idle.text = "a moment"
			} else {
				idle.text = "long"
			}
		}
		levelIdle(v.items)
	}
}

// knownSettings reduces what CONFIG GET answers to the settings that have the same values
// on both servers, and sorts them.
func (v *answer) knownSettings() {
	if len(v.items) == 0 || v.items[0].kind != '$' || settings[strings.ToLower(v.items[0].text)].get == nil {
		return // nothing, done before, or the reply to another command of the transaction
	}
	var kept []*answer
	for i := 0; i+1 < len(v.items); i += 2 {
		name, setting := v.items[i], v.items[i+1]
		if own := strings.ToLower(name.text); slices.Contains(ownValues, own) || own == "rdbcompression" { // the test starts redis-server without
			continue
		}
		kept = append(kept, &answer{kind: '*', items: []*answer{name, setting}})
	}
	slices.SortFunc(kept, byText)
	v.items = kept
}

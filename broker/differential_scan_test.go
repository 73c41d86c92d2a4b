//go:build unix

package broker

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"redrpc/broker/internal/keyspace"
)

// How the differential test scans: page by page, with whatever the clients do between
// the pages. The pages of the servers differ; what all of them have together is
// compared with the keys that were there.

// theCursor stands in a step for the cursor that each server has answered last.
const theCursor = "{cursor}"

// A scanning is a SCAN, HSCAN, SSCAN or ZSCAN on both servers, redis-server first.
type scanning struct {
	db      int
	command string
	key     string    // of all but SCAN
	cursors [2]string // "0" to begin with; "" once a server has returned all
	seen    [2]map[string]bool
	stays   map[string]bool // the elements that have been there all the time
	ever    map[string]bool // those that have been there at some time
}

// isPage reports whether a step asks for a page of the scan.
func (s step) isPage() bool { return slices.Contains(s.args, theCursor) }

// openScan goes on with the scan, or begins one if there is none of the same in the client's
// database.
func (b *round) openScan(c *pairedClient, args []string) {
	b.subject.mu.Lock()
	db := sessionOf(c.broker).db.Index
	b.subject.mu.Unlock()
	key := ""
	if args[0] != "SCAN" {
		key = args[1]
	}
	if b.scan == nil || b.scan.db != db || b.scan.command != args[0] || b.scan.key != key {
		b.scan = &scanning{db: db, command: args[0], key: key, cursors: [2]string{"0", "0"}, seen: [2]map[string]bool{{}, {}}, ever: map[string]bool{}}
		b.watchScan()
	}
}

// elements are those that a scan is to return, by their names.
func (s *scanning) elements(db *keyspace.DB) map[string]bool {
	names := map[string]bool{}
	if s.command == "SCAN" {
		for e := range db.All() {
			names[e.Key] = true
		}
		return names
	}
	e := db.Get(s.key)
	of := scanned[s.command]
	if e == nil || e.Value.Type().Name != of.name {
		return names
	}
	r, i := e.Value.Recipe(), 0
	for part := range r.Parts {
		if i%r.Group == of.place {
			names[string(part)] = true
		}
		i++
	}
	return names
}

// scanned are the types of what is scanned.
var scanned = map[string]scannedType{
	"HSCAN": {name: "hash", add: "HSET field v", remove: "HDEL", group: 2},
	"SSCAN": {name: "set", add: "SADD field", remove: "SREM", group: 1},
	"ZSCAN": {name: "zset", add: "ZADD 1 field", remove: "ZREM", group: 2, place: 1},
}

// A scannedType is a type whose elements are scanned: its name, the commands that add and
// remove elements, of how many strings one is, and where in the recipe of one its name stands.
type scannedType struct {
	name, add, remove string
	group, place      int
}

// at puts the cursor of a server into arguments.
func (s *scanning) at(server int, args []string) []string {
	args = slices.Clone(args)
	for i, arg := range args {
		switch {
		case arg != theCursor:
		case s.cursors[server] == "":
			args[i] = "0" // to no purpose
		default:
			args[i] = s.cursors[server]
		}
	}
	return args
}

// watchScan notes which elements are there.
func (b *round) watchScan() {
	s := b.scan
	if s == nil {
		return
	}
	b.subject.mu.Lock()
	defer b.subject.mu.Unlock()
	names := s.elements(b.subject.keys.DBs[s.db])
	if s.stays == nil {
		s.stays = maps.Clone(names)
	}
	maps.DeleteFunc(s.stays, func(name string, _ bool) bool { return !names[name] })
	maps.Copy(s.ever, names)
}

// turnPage takes what the servers have sent for a page. The scan is given up if that is
// something else, as in a transaction.
func (b *round) turnPage(replies [2][]byte) {
	s := b.scan
	for i, p := range replies {
		values, _ := parseReplies(p)
		at := slices.IndexFunc(values, func(v *answer) bool { return v.isScan() && !v.isPush() })
		if at < 0 {
			b.scan = nil
			return
		}
		if s.cursors[i] == "" {
			continue
		}
		cursor, names := values[at].items[0].text, values[at].items[1].items
		for element := range slices.Chunk(names, max(1, scanned[s.command].group)) {
			s.seen[i][element[0].text] = true
		}
		if s.cursors[i] = cursor; cursor == "0" {
			s.cursors[i] = ""
		}
	}
	if s.cursors == [2]string{} {
		b.scans++
		if found := s.wrong(); found != "" {
			b.found = found
		}
		b.scan = nil
	}
}

// wrong says what is wrong with the keys that a whole scan has returned.
func (s *scanning) wrong() string {
	for i, server := range []string{"redis-server", "the broker"} {
		for key := range s.stays {
			if !s.seen[i][key] {
				return fmt.Sprintf("%s %q of %s does not return %q, which has been there all the time", s.command, s.key, server, key)
			}
		}
		for key := range s.seen[i] {
			if !s.ever[key] {
				return fmt.Sprintf("%s %q of %s returns %q, which has never been there", s.command, s.key, server, key)
			}
		}
	}
	return ""
}

// scan makes what asks for the next page, or begins a scan: of all keys, mostly all that the
// test knows, or of a large hash or set, to which elements come, or from which they go.
func (g *generator) scan() []step {
	steps, found := g.prepare()
	if !found {
		return nil
	}
	count := []string{"COUNT", pick(g, []string{"1", "1", "2", "3"})}
	if s := g.round.scan; s == nil && g.chance(50) || s != nil && s.command == "SCAN" {
		if s == nil && g.chance(70) {
			fill := []string{"MSET"}
			for _, key := range slices.Compact(slices.Sorted(slices.Values(pools["key"]))) {
				fill = append(fill, key, "v")
			}
			steps = append(steps, g.step(fill))
		}
		return join(append(steps, g.step(append([]string{"SCAN", theCursor}, count...))))
	}
	begins := g.round.scan == nil
	command, key := pick(g, []string{"HSCAN", "SSCAN", "ZSCAN"}), pick(g, g.keys)
	if begins {
		steps = append(steps, g.step([]string{"DEL", key}))
	} else {
		command, key = g.round.scan.command, g.round.scan.key
	}
	count[1] = pick(g, []string{"3", "5", "10"})
	if begins || g.chance(40) {
		steps = append(steps, g.step(g.scannedElements(command, key, begins)))
	}
	return join(append(steps, g.step(append([]string{command, key, theCursor}, count...))))
}

// scannedElements makes a command that adds elements to what is scanned, or removes some. One
// of those to begin with makes a hash table of it.
func (g *generator) scannedElements(command, key string, adds bool) []string {
	adds = adds || g.chance(50)
	of := scanned[command]
	words := []string{of.remove, "field"}
	if adds {
		words = strings.Fields(of.add)
	}
	args := []string{words[0], key}
	element := func(name string) {
		for _, word := range words[1:] {
			args = append(args, strings.ReplaceAll(word, "field", name))
		}
	}
	if adds {
		element(strings.Repeat("long", 20))
	}
	first := g.IntN(40)
	for i := range 1 + g.IntN(20) {
		element(fmt.Sprint("e", first+i))
	}
	return args
}

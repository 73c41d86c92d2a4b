//go:build unix

package broker

import (
	"fmt"
	"maps"
	"slices"
)

// How the differential test scans: page by page, with whatever the clients do between
// the pages. The pages of the servers differ; what all of them have together is
// compared with the keys that were there.

// theCursor stands in a step for the cursor that each server has answered last.
const theCursor = "{cursor}"

// A scanning is a SCAN on both servers, redis-server first.
type scanning struct {
	db      int
	cursors [2]string // "0" to begin with; "" once a server has returned all
	seen    [2]map[string]bool
	stays   map[string]bool // the keys that have been there all the time
	ever    map[string]bool // those that have been there at some time
}

// isPage reports whether a step asks for a page of the scan.
func (s step) isPage() bool { return slices.Contains(s.args, theCursor) }

// openScan goes on with the scan, or begins one if there is none in the client's
// database.
func (b *round) openScan(c *pairedClient) {
	b.subject.mu.Lock()
	db := sessionOf(c.broker).db.Index
	b.subject.mu.Unlock()
	if b.scan == nil || b.scan.db != db {
		b.scan = &scanning{db: db, cursors: [2]string{"0", "0"}, seen: [2]map[string]bool{{}, {}}, ever: map[string]bool{}}
		b.watchScan()
	}
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

// watchScan notes which keys are there.
func (b *round) watchScan() {
	s := b.scan
	if s == nil {
		return
	}
	b.subject.mu.Lock()
	defer b.subject.mu.Unlock()
	db := b.subject.keys.DBs[s.db]
	if s.stays == nil {
		s.stays = map[string]bool{}
		for e := range db.All() {
			s.stays[e.Key] = true
		}
	}
	maps.DeleteFunc(s.stays, func(key string, _ bool) bool { return db.Get(key) == nil })
	for e := range db.All() {
		s.ever[e.Key] = true
	}
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
		for _, name := range names {
			s.seen[i][name.text] = true
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
				return fmt.Sprintf("SCAN of %s does not return %q, which has been there all the time", server, key)
			}
		}
		for key := range s.seen[i] {
			if !s.ever[key] {
				return fmt.Sprintf("SCAN of %s returns %q, which has never been there", server, key)
			}
		}
	}
	return ""
}

// scan makes what asks for the next page, or begins a scan, mostly of all keys that the
// test knows.
func (g *generator) scan() []step {
	steps, found := g.prepare()
	if !found {
		return nil
	}
	if g.round.scan == nil && g.chance(70) {
		fill := []string{"MSET"}
		for _, key := range slices.Compact(slices.Sorted(slices.Values(pools["key"]))) {
			fill = append(fill, key, "v")
		}
		steps = append(steps, g.step(fill))
	}
	return join(append(steps, g.step([]string{"SCAN", theCursor, "COUNT", pick(g, []string{"1", "1", "2", "3"})})))
}

//go:build unix

package broker

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/glob"
)

// What the differential test has seen: how often each row ended in each of the ways
// that the table and endings declare. The generator provokes what was seen least.

// A path is a row and one of its endings.
type path struct{ row, ending string }

// coverage counts paths.
type coverage struct {
	paths   []path          // those that have to be seen
	recipes map[path]string // what provokes them; "" for what a scene does
	seen    map[path]int
	share   int              // how often each has to be seen
	lacking []path           // those that are not, or were not when the round began
	strange map[path]*answer // the first replies that are not declared
}

func newCoverage(share int) *coverage {
	v := &coverage{recipes: map[path]string{}, seen: map[path]int{}, share: share, strange: map[path]*answer{}}
	for row, c := range table.All() {
		if names := 1 + strings.Count(row, "|"); c.Arity > 0 || -c.Arity > names {
			v.recipes[path{row, "arity"}] = ""
		}
		if c.Subs != nil {
			v.recipes[path{row, "subcommand"}] = "unknownSub value*"
		}
		if c.Run == nil {
			continue
		}
		v.recipes[path{row, endValue}] = grammar[row]
		for ending, s := range scenes {
			if s.has(c) {
				v.recipes[path{row, ending}] = ""
			}
		}
	}
	for row, list := range endings {
		for _, line := range list {
			if ending, never := strings.CutPrefix(line, "never "); never {
				delete(v.recipes, path{row, ending})
				continue
			}
			ending, recipe, isGiven := strings.Cut(line, ": ")
			if !isGiven {
				recipe = provoking(grammar[row], failures[ending].how)
			}
			if recipe == "" {
				panic(fmt.Sprintf("endings has no recipe for %s of %s", ending, row))
			}
			v.recipes[path{row, ending}] = recipe
		}
	}
	v.paths = slices.SortedFunc(maps.Keys(v.recipes), func(a, b path) int {
		return cmp.Or(strings.Compare(a.row, b.row), strings.Compare(a.ending, b.ending))
	})
	return v
}

// provoking changes the rule of a row so that it fails.
func provoking(rule, how string) string {
	more, adds := strings.CutPrefix(how, "... ")
	token, other, _ := strings.Cut(how, "=")
	var changed []string
	for alternative := range strings.SplitSeq(rule, " | ") {
		words := strings.Fields(alternative)
		at := slices.IndexFunc(words, func(word string) bool { return strings.TrimRight(word, "?*+") == token })
		switch {
		case adds:
			words = append(words, more)
		case at >= 0:
			words[at] = other
		default:
			continue
		}
		changed = append(changed, strings.Join(words, " "))
	}
	return strings.Join(changed, " | ")
}

func (v *coverage) add(row, ending string, reply *answer) {
	p := path{row, ending}
	v.seen[p]++
	if _, declared := v.recipes[p]; !declared && v.strange[p] == nil {
		v.strange[p] = reply
	}
}

// missing chooses a path that was not seen often enough, of those for which want
// holds: rather one that was seen little, but not always, as it may be out of reach.
func (v *coverage) missing(g *generator, want func(path) bool) (p path, found bool) {
	for range 12 {
		if len(v.lacking) == 0 {
			break
		}
		q := pick(g, v.lacking)
		if v.seen[q] >= v.share || !want(q) {
			continue
		}
		if !found || v.seen[q] < v.seen[p] {
			p, found = q, true
		}
		if g.chance(25) {
			break
		}
	}
	return p, found
}

// review looks again for what was not seen often enough. It reports whether there is
// any.
func (v *coverage) review() bool {
	v.lacking = slices.DeleteFunc(slices.Clone(v.paths), func(p path) bool { return v.seen[p] >= v.share })
	return len(v.lacking) > 0
}

// write shows all counts: a line for each row, the rarest ending first, and the row
// with the rarest first.
func (v *coverage) write(w io.Writer) {
	rarity := func(a, b path) int {
		return cmp.Or(v.seen[a]-v.seen[b], strings.Compare(a.row, b.row), strings.Compare(a.ending, b.ending))
	}
	byRow := map[string][]path{}
	for _, p := range slices.SortedFunc(slices.Values(v.paths), rarity) {
		byRow[p.row] = append(byRow[p.row], p)
	}
	fmt.Fprintf(w, "%-22s how often it ended in what\n", "row")
	for _, paths := range slices.SortedFunc(maps.Values(byRow), func(a, b []path) int { return rarity(a[0], b[0]) }) {
		fmt.Fprintf(w, "%-21s", paths[0].row)
		for _, p := range paths {
			fmt.Fprintf(w, " %d %s", v.seen[p], p.ending)
		}
		fmt.Fprintln(w)
	}
}

// ending names what a command ended in.
func (v *coverage) ending(row string, reply *answer) string {
	switch {
	case reply.null || reply.kind == '_':
		return endNull
	case reply.kind == '+' && reply.text == "QUEUED":
		return endQueued
	case reply.kind != '-':
		return endValue
	}
	text := strings.TrimPrefix(reply.text, "ERR ")
	if row == "exec" {
		text = strings.TrimPrefix(text, "EXECABORT Transaction discarded because of: ")
	}
	for ending := range scenes {
		if failures[ending].is(text) {
			return ending
		}
	}
	if failures["arity"].is(text) {
		return "arity"
	}
	for _, line := range endings[row] {
		if name, _, _ := strings.Cut(line, ": "); failures[name].is(text) {
			return name
		}
	}
	for name, f := range failures {
		if f.is(text) && f.text != "*" {
			return name
		}
	}
	return text
}

func (f failing) is(text string) bool {
	return f.text == "*" || f.text != "" && glob.Match(f.text, text, false)
}

// tally counts what the commands of a client ended in, if it is clear which reply
// belongs to which command.
func (v *coverage) tally(c *pairedClient, closed bool) {
	replies, _ := parseReplies(c.received)
	c.received = nil
	if v == nil {
		return
	}
	replies = slices.DeleteFunc(replies, func(v *answer) bool { return v.isPush() || v.isShown() })
	type counted struct {
		row, ending string
		reply       *answer
	}
	var all []counted
	queued, answered := c.queued, 0
	for ; answered < len(c.pending) && len(replies) > 0; answered++ {
		args, reply := c.pending[answered], replies[0]
		row := rowOf(args)
		if strings.HasPrefix(reply.text, "ERR Protocol error") {
			row = "request"
		}
		ending := v.ending(row, reply)
		replies = replies[confirmations(row, args, replies):]
		switch cmd := table.Named([]byte(row)); {
		case ending == endQueued:
			queued = append(queued, args)
		case row == "exec" && len(reply.items) == len(queued):
			for i, item := range reply.items {
				if item.kind != '!' {
					row := rowOf(queued[i])
					all = append(all, counted{row, v.ending(row, item), item})
				}
			}
		case cmd == nil || cmd.Flags&command.Blocking == 0:
		case ending == endNull:
			ending = endLate
		case ending == endValue && c.waited && answered == 0:
			ending = endServed
		}
		if row == "exec" || row == "discard" || row == "reset" {
			queued = nil
		}
		all = append(all, counted{row, ending, reply})
	}
	if c.silenced || len(replies) > 0 || answered < len(c.pending) && !c.blocked && !closed {
		c.pending, c.silenced = nil, false // some have several replies, or none
		return
	}
	c.pending, c.queued = c.pending[answered:], queued
	for _, one := range all {
		v.add(one.row, one.ending, one.reply)
	}
}

// confirmations is how many of the replies answer a command: more than one if it is
// about several subscriptions.
func confirmations(row string, args []string, replies []*answer) int {
	if !replies[0].isSubscription() || !strings.HasSuffix(row, "subscribe") {
		return 1
	}
	n := 1
	for n < len(replies) && replies[n].isSubscription() && replies[n].items[0].text == row && (len(args) == 1 || n < len(args)-1) {
		n++
	}
	return n
}

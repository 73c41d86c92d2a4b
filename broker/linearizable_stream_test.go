package broker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The sequential models of streams and of consumer groups.

// A streamID is an ID, and the text of a state has it as Redis writes it.
type streamID struct{ ms, seq int }

func parseStreamID(s string) streamID {
	ms, seq, _ := strings.Cut(s, "-")
	return streamID{atoi(ms), atoi(seq)}
}

func (i streamID) String() string { return fmt.Sprintf("%d-%d", i.ms, i.seq) }

func (i streamID) compare(j streamID) int {
	return cmp.Or(cmp.Compare(i.ms, j.ms), cmp.Compare(i.seq, j.seq))
}

// A streamState is the state of a stream, and of its group g.
type streamState struct {
	entries         []streamEntry
	pending         []streamPending
	last, delivered streamID
}

type streamEntry struct {
	id   streamID
	pair string // field and value
}

type streamPending struct {
	id       streamID
	consumer string
}

// parseStream reads what String wrote: entries and what is pending, one of them a word.
func parseStream(state string) (s streamState) {
	for _, word := range strings.Fields(state) {
		kind, rest, _ := strings.Cut(word, ":")
		text, value, _ := strings.Cut(rest, "=")
		switch id := parseStreamID(text); kind {
		case "entry":
			s.entries = append(s.entries, streamEntry{id, strings.ReplaceAll(value, ",", " ")})
		case "pending":
			s.pending = append(s.pending, streamPending{id, value})
		case "last":
			s.last = id
		case "delivered":
			s.delivered = id
		}
	}
	return s
}

func (s streamState) String() string {
	words := []string{"last:" + s.last.String(), "delivered:" + s.delivered.String()}
	for _, e := range s.entries {
		words = append(words, "entry:"+e.id.String()+"="+strings.ReplaceAll(e.pair, " ", ","))
	}
	for _, p := range s.pending {
		words = append(words, "pending:"+p.id.String()+"="+p.consumer)
	}
	return strings.Join(words, " ")
}

func (e streamEntry) String() string { return fmt.Sprintf("[%v [%s]]", e.id, e.pair) }

// from are the entries from an ID on.
func (s *streamState) from(id streamID) []streamEntry {
	at, _ := slices.BinarySearchFunc(s.entries, id, func(e streamEntry, id streamID) int { return e.id.compare(id) })
	return s.entries[at:]
}

func (s *streamState) find(id streamID) (at int, there bool) {
	return slices.BinarySearchFunc(s.entries, id, func(e streamEntry, id streamID) int { return e.id.compare(id) })
}

func (s *streamState) findPending(id streamID) (at int, there bool) {
	return slices.BinarySearchFunc(s.pending, id, func(p streamPending, id streamID) int { return p.id.compare(id) })
}

// trim takes entries from the beginning, and returns how many.
func (s *streamState) trim(n int) string {
	n = max(n, 0)
	s.entries = s.entries[n:]
	return strconv.Itoa(n)
}

// onStream does what a command does to a stream of explicit IDs and to its group g.
func onStream(state string, args []string, _ string) (reply, next string) {
	s := parseStream(state)
	reply = s.apply(args)
	return reply, s.String()
}

func (s *streamState) apply(args []string) (reply string) {
	switch args[0] {
	case "XADD":
		return s.add(args[2], args[3]+" "+args[4])
	case "XLEN":
		return strconv.Itoa(len(s.entries))
	case "XRANGE":
		if args[2] == "-" {
			return fmt.Sprint(s.entries)
		}
		return fmt.Sprint(s.from(parseStreamID(args[2])))
	case "XREVRANGE": // the last one
		return fmt.Sprint(s.entries[max(0, len(s.entries)-1):])
	case "XREAD":
		return found(s.from(after(parseStreamID(args[len(args)-1]))), 1)
	case "XDEL":
		at, there := s.find(parseStreamID(args[2]))
		if !there {
			return "0"
		}
		s.entries = slices.Delete(s.entries, at, at+1)
		return "1"
	case "XTRIM":
		if args[2] == "MAXLEN" {
			return s.trim(len(s.entries) - atoi(args[3]))
		}
		return s.trim(len(s.entries) - len(s.from(parseStreamID(args[3]))))
	case "XGROUP":
		if args[1] == "CREATE" {
			return "OK"
		}
		n := len(s.pending) // DELCONSUMER
		s.pending = slices.DeleteFunc(s.pending, func(p streamPending) bool { return p.consumer == args[4] })
		return strconv.Itoa(n - len(s.pending))
	case "XREADGROUP":
		return s.readGroup(args[3], args[4:])
	case "XACK":
		at, there := s.findPending(parseStreamID(args[3]))
		if !there {
			return "0"
		}
		s.pending = slices.Delete(s.pending, at, at+1)
		return "1"
	case "XPENDING":
		return s.summary()
	case "XCLAIM":
		claimed, _ := s.claim(args[3], func(id streamID) bool { return id == parseStreamID(args[5]) })
		return fmt.Sprint(claimed)
	}
	claimed, deleted := s.claim(args[3], func(id streamID) bool { return id.compare(parseStreamID(args[5])) >= 0 }) // XAUTOCLAIM
	return fmt.Sprint("[0-0 ", claimed, " ", deleted, "]")
}

// add adds an entry whose ID, or the first half of it, is given.
func (s *streamState) add(text, pair string) string {
	id := parseStreamID(text)
	if strings.HasSuffix(text, "*") && id.ms == s.last.ms {
		id.seq = s.last.seq + 1
	}
	switch {
	case id == streamID{}:
		return "ERR The ID specified in XADD must be greater than 0-0"
	case id.compare(s.last) <= 0:
		return "ERR The ID specified in XADD is equal or smaller than the target stream top item"
	}
	s.entries, s.last = append(s.entries, streamEntry{id, pair}), id
	return id.String()
}

func after(id streamID) streamID { return streamID{id.ms, id.seq + 1} }

// found is the reply of a command that reads entries of k, most or fewer.
func found(entries []streamEntry, most int) string {
	if len(entries) == 0 {
		return "nil"
	}
	return fmt.Sprint("map[k:", entries[:min(len(entries), most)], "]")
}

// readGroup reads what is new, or what is pending, for a consumer.
func (s *streamState) readGroup(consumer string, args []string) string {
	if args[len(args)-1] == "0" {
		var all []string
		for _, p := range s.pending {
			if p.consumer != consumer {
				continue
			}
			if at, there := s.find(p.id); there {
				all = append(all, s.entries[at].String())
			} else {
				all = append(all, fmt.Sprintf("[%v <nil>]", p.id)) // it is deleted
			}
		}
		return fmt.Sprint("map[k:", all, "]")
	}
	entries := s.from(after(s.delivered))
	if args[0] == "COUNT" {
		entries = entries[:min(1, len(entries))]
	}
	for _, e := range entries {
		s.pending, s.delivered = append(s.pending, streamPending{e.id, consumer}), e.id
	}
	return found(entries, len(entries))
}

// summary is the reply to XPENDING.
func (s *streamState) summary() string {
	if len(s.pending) == 0 {
		return "[0 <nil> <nil> <nil>]"
	}
	of := map[string]int{}
	for _, p := range s.pending {
		of[p.consumer]++
	}
	var consumers []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		consumers = append(consumers, fmt.Sprintf("[%s %d]", name, of[name]))
	}
	return fmt.Sprint("[", len(s.pending), " ", s.pending[0].id, " ", s.pending[len(s.pending)-1].id, " ", consumers, "]")
}

// claim gives what is pending to a consumer. What is deleted is not pending any more.
func (s *streamState) claim(consumer string, wanted func(streamID) bool) (claimed, deleted []streamID) {
	s.pending = slices.DeleteFunc(s.pending, func(p streamPending) bool {
		_, there := s.find(p.id)
		if !there && wanted(p.id) {
			deleted = append(deleted, p.id)
		}
		return !there && wanted(p.id)
	})
	for i, p := range s.pending {
		if wanted(p.id) {
			s.pending[i].consumer = consumer
			claimed = append(claimed, p.id)
		}
	}
	return claimed, deleted
}

// onAutomaticIDs does what a command does to a stream whose server chooses the IDs: any that
// grow. As the reply may have been lost, an entry's ID may be unknown, 0-0, until it is seen.
func onAutomaticIDs(state string, args []string, saw string) (reply, next string) {
	s := parseStream(state)
	switch args[0] {
	case "XADD":
		e := streamEntry{pair: strings.Join(args[len(args)-2:], " ")}
		if saw != unknown {
			if e.id = parseStreamID(saw); e.id.compare(s.last) <= 0 {
				return "an ID beyond " + s.last.String(), state
			}
			s.last = e.id
		}
		s.entries = append(s.entries, e)
		if args[2] == "MAXLEN" {
			s.trim(len(s.entries) - atoi(args[3]))
		}
		return saw, s.String()
	case "XRANGE", "XREVRANGE":
		return s.identify(args, saw), s.String()
	}
	reply = s.apply(args)
	return reply, s.String()
}

// identify reads entries, and gives those the ID that a client saw which have none.
func (s *streamState) identify(args []string, saw string) (reply string) {
	seen := strings.Split(strings.Trim(saw, "[]"), "]] [") // "ID [field value", each
	entries := s.entries
	if args[0] == "XREVRANGE" {
		entries = entries[max(0, len(entries)-1):]
	}
	before := streamID{}
	for i := range entries {
		e := &entries[i]
		if e.id == (streamID{}) && i < len(seen) {
			if id, _, _ := strings.Cut(seen[i], " "); parseStreamID(id).compare(before) > 0 {
				e.id = parseStreamID(id)
			}
		}
		before = e.id
		if e.id.compare(s.last) > 0 {
			s.last = e.id
		}
	}
	return fmt.Sprint(entries)
}

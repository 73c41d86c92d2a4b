package keys

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strings"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// SORT and SORT_RO.

var sortCommands = []command.Command{
	{Name: "sort", Arity: -2, Flags: command.Write | command.DenyOOM | command.MovableKeys, Keys: append(command.OneKey("RO access"), command.KeySpec{Flags: "RO access", Find: derived}, command.KeySpec{Flags: "OW update", Find: storesSorted}), Run: sortKey, ACL: "set sortedset list dangerous",
		Group: "generic", Since: "1.0.0", Complexity: "O(N*log(N)+M) where N is the number of elements and M the number of those returned", Summary: "Sorts a list, set or sorted set, by its elements or by other keys, and returns or stores the result."},
	{Name: "sort_ro", Arity: -2, Flags: command.ReadOnly | command.MovableKeys, Keys: append(command.OneKey("RO access"), command.KeySpec{Flags: "RO access", Find: derived}), Run: sortKeyReadOnly, ACL: "set sortedset list dangerous",
		Group: "generic", Since: "7.0.0", Complexity: "O(N*log(N)+M) where N is the number of elements and M the number of those returned", Summary: "Sorts a list, set or sorted set, by its elements or by other keys, and returns the result."},
}

// sortOptions are what SORT is to do.
type sortOptions struct {
	by          []byte // pattern of the keys that hold the weights; nil: none
	unsorted    bool   // a BY was no pattern, so nothing is sorted
	desc, alpha bool
	start       int64
	most        int64    // how many elements from start on; negative: all
	get         [][]byte // patterns of the keys to answer with
	store       []byte   // where to put the result; nil: it is the answer
}

// parse parses options; the last of a kind counts. Patterns of keys need permission for any
// key.
func (o *sortOptions) parse(args [][]byte, mayStore, anyKey bool) *resp.Reply {
	o.most = -1
	for i := 0; i < len(args); i++ {
		rest := args[i+1:]
		switch {
		case resp.Is(args[i], "ASC"):
			o.desc = false
		case resp.Is(args[i], "DESC"):
			o.desc = true
		case resp.Is(args[i], "ALPHA"):
			o.alpha = true
		case resp.Is(args[i], "LIMIT") && len(rest) >= 2:
			var isInt bool
			if o.start, o.most, isInt = resp.ParseRange(rest); !isInt {
				return &resp.NotAnInteger
			}
			i += 2
		case resp.Is(args[i], "BY") && len(rest) >= 1:
			o.by = rest[0]
			o.unsorted = o.unsorted || !isPattern(o.by)
			if isPattern(o.by) && !anyKey {
				return &sortByDenied
			}
			i++
		case resp.Is(args[i], "GET") && len(rest) >= 1:
			if !anyKey {
				return &sortGetDenied
			}
			o.get = append(o.get, rest[0])
			i++
		case resp.Is(args[i], "STORE") && len(rest) >= 1 && mayStore:
			o.store = rest[0]
			i++
		default:
			return &resp.SyntaxError
		}
	}
	return nil
}

var (
	sortByDenied  = resp.ErrorReply("ERR BY option of SORT denied due to insufficient ACL permissions.")
	sortGetDenied = resp.ErrorReply("ERR GET option of SORT denied due to insufficient ACL permissions.")
)

// storesSorted finds the key that SORT stores in.
func storesSorted(args [][]byte) (indexes []int, ok bool) {
	for i := 2; i < len(args); i++ {
		switch {
		case resp.Is(args[i], "LIMIT"):
			i += 2
		case resp.Is(args[i], "BY"), resp.Is(args[i], "GET"):
			i++
		case resp.Is(args[i], "STORE") && i+1 < len(args):
			indexes = []int{i + 1}
		}
	}
	return indexes, true
}

// derived stands for the keys that SORT derives from elements.
func derived([][]byte) (indexes []int, ok bool) { return nil, true }

func sortKey(c *keyspace.Call, args [][]byte) resp.Reply         { return sortGeneric(c, args, true) }
func sortKeyReadOnly(c *keyspace.Call, args [][]byte) resp.Reply { return sortGeneric(c, args, false) }

func sortGeneric(c *keyspace.Call, args [][]byte, mayStore bool) resp.Reply {
	var o sortOptions
	if err := o.parse(args[2:], mayStore, c.Caller.MayReadAnyKey(args)); err != nil {
		return *err
	}
	e := c.Lookup(args[1])
	reform(c, e)
	elements, sorts := sortables(e)
	if !sorts {
		return resp.WrongType
	}
	unordered := e != nil && isUnordered(e.Value)
	if o.unsorted && unordered && (o.store != nil || c.Script) { // lest the result depend on the order
		o.unsorted, o.alpha, o.by = false, true, nil
	}
	switch {
	case !o.unsorted:
		if !weigh(c, elements, &o) {
			return resp.ErrorReply("ERR One or more scores can't be converted into double")
		}
		slices.SortStableFunc(elements, o.compare)
	case o.desc && !unordered: // from the end
		slices.Reverse(elements)
	}
	values := answers(c, o.limit(elements), o.get)
	if o.store == nil {
		return resp.Array(values...)
	}
	storeSorted(c, o.store, values)
	return resp.Int(len(values))
}

// reform tells a value that it is sorted, which may change it.
func reform(c *keyspace.Call, e *keyspace.Entry) {
	if e == nil {
		return
	}
	if v, changes := e.Value.(keyspace.Reformed); changes {
		v.BeforeSort()
		if c.MaxMemory > 0 {
			c.Measure(e)
		}
	}
}

// sortables are the elements of what a key holds. It reports false if that has none.
func sortables(e *keyspace.Entry) (sorted []sortable, sorts bool) {
	if e == nil {
		return nil, true
	}
	v, sorts := e.Value.(keyspace.Elements)
	if !sorts {
		return nil, false
	}
	elements, n := v.Elements()
	sorted = make([]sortable, 0, n)
	for element := range elements {
		sorted = append(sorted, sortable{element: element})
	}
	return sorted, true
}

func isUnordered(v keyspace.Value) bool {
	u, may := v.(keyspace.Unordered)
	return may && u.IsUnordered()
}

// A sortable is an element with what it is sorted by.
type sortable struct {
	element []byte
	weight  []byte
	light   bool    // there is no weight, which comes before any
	score   float64 // the weight as a number; 0 if there is none
}

// weigh finds what elements are sorted by. It reports false if one weight is no
// number and has to be. Of a text only what is before a zero byte counts, as in C,
// but for a result that is stored.
func weigh(c *keyspace.Call, elements []sortable, o *sortOptions) bool {
	valid := true
	for i := range elements {
		s := &elements[i]
		s.weight = s.element
		if o.by != nil {
			var found bool
			if s.weight, found = lookupPattern(c, o.by, s.element); !found {
				s.light = true
				continue
			}
		}
		switch {
		case !o.alpha:
			var isScore bool
			s.score, isScore = parseScore(s.weight)
			valid = valid && isScore
		case o.store == nil:
			s.weight, _, _ = bytes.Cut(s.weight, []byte{0})
		}
	}
	return valid
}

// compare orders two elements.
func (o *sortOptions) compare(x, y sortable) int {
	order := 0
	switch {
	case !o.alpha:
		if order = cmp.Compare(x.score, y.score); order == 0 {
			order = bytes.Compare(x.element, y.element)
		}
	case x.light && y.light:
	case x.light:
		order = -1
	case y.light:
		order = 1
	default:
		order = bytes.Compare(x.weight, y.weight)
	}
	if o.desc {
		return -order
	}
	return order
}

// limit returns the elements that are wanted.
func (o *sortOptions) limit(elements []sortable) []sortable {
	n := int64(len(elements))
	start := min(max(o.start, 0), n)
	if o.most < 0 {
		return elements[start:]
	}
	return elements[start : start+min(o.most, n-start)]
}

// answers lists the elements, or what the patterns make of them.
func answers(c *keyspace.Call, elements []sortable, patterns [][]byte) []resp.Reply {
	values := make([]resp.Reply, 0, len(elements)*max(1, len(patterns)))
	for _, s := range elements {
		if patterns == nil {
			values = append(values, resp.Bulk(s.element))
		}
		for _, pattern := range patterns {
			value := resp.Null
			if text, found := lookupPattern(c, pattern, s.element); found {
				value = resp.Bulk(text)
			}
			values = append(values, value)
		}
	}
	return values
}

// isPattern reports whether a pattern has a place for an element.
func isPattern(pattern []byte) bool {
	return strings.Contains(resp.CString(pattern, len(pattern)), "*")
}

// lookupPattern returns the string that a key holds, whose name is the pattern
// with an element in place of its first *, or the field of a hash that the pattern names
// behind ->; or the element itself if the pattern is #.
func lookupPattern(c *keyspace.Call, pattern, element []byte) (found []byte, ok bool) {
	text := resp.CString(pattern, len(pattern))
	if text == "#" {
		return element, true
	}
	star := strings.IndexByte(text, '*')
	if star < 0 {
		return nil, false
	}
	behind := pattern[star+1:]
	name, field, _ := strings.Cut(text[star+1:], "->")
	if field != "" {
		field = string(behind[len(name)+len("->"):])
		behind = behind[:len(name)]
	}
	e := c.Lookup(slices.Concat(pattern[:star], element, behind))
	if e == nil {
		return nil, false
	}
	if field != "" {
		v, hasFields := e.Value.(keyspace.Fields)
		if !hasFields {
			return nil, false
		}
		return v.Field([]byte(field))
	}
	v, isText := e.Value.(keyspace.Text)
	if !isText {
		return nil, false
	}
	return v.Text(), true
}

// storeSorted puts values into a list, replacing what its key holds, or deletes it if
// there are none.
func storeSorted(c *keyspace.Call, key []byte, values []resp.Reply) {
	if len(values) == 0 {
		if e := c.Find(key); e != nil {
			c.Remove(e)
			c.Changed(key, keyspace.GenericEvent, "del")
		}
		return
	}
	c.Replace(key, c.Types.Collecting().Collect(func(yield func([]byte) bool) {
		for _, v := range values {
			if !yield(v.Bytes) {
				return
			}
		}
	}))
	c.Changed(key, keyspace.ListEvent, "sortstore")
}

// parseScore reads a number as C's strtod does: space before it is skipped, it ends
// at the first zero byte, and nothing is 0. What is too large or too small for a
// float64 is refused.
func parseScore(b []byte) (float64, bool) {
	s := resp.CString(b, len(b))
	if s == "" {
		return 0, true
	}
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	f, isFloat := resp.ParseFloat([]byte(s))
	tooSmall := f != 0 && math.Abs(f) < 0x1p-1022
	return f, isFloat && !tooSmall
}

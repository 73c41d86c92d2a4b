package str

import (
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// LCS: the longest common subsequence of two strings.

var lcsCommands = []command.Command{
	{Name: "lcs", Arity: -3, Flags: command.ReadOnly, Keys: []command.KeySpec{{Flags: "RO access", First: 1, Last: 1, Step: 1}}, Run: lcs, ACL: "string",
		Group: "string", Since: "7.0.0", Complexity: "O(N*M) where N and M are the lengths of the strings", Summary: "Returns the longest common subsequence of two strings."},
}

// lcsOptions are those of LCS.
type lcsOptions struct {
	length, ranges, withLength bool

	shortest int64 // the shortest range to tell of
}

func (o *lcsOptions) parse(args [][]byte) *resp.Reply {
	for i := 0; i < len(args); i++ {
		switch {
		case resp.Is(args[i], "LEN"):
			o.length = true
		case resp.Is(args[i], "IDX"):
			o.ranges = true
		case resp.Is(args[i], "WITHMATCHLEN"):
			o.withLength = true
		case resp.Is(args[i], "MINMATCHLEN") && i+1 < len(args):
			i++
			var isInt bool
			if o.shortest, isInt = resp.ParseInt(args[i]); !isInt {
				return &resp.NotAnInteger
			}
		default:
			return &resp.SyntaxError
		}
	}
	if o.length && o.ranges {
		r := resp.ErrorReply("ERR If you want both the length and indexes, please just use IDX.")
		return &r
	}
	return nil
}

func lcs(c *keyspace.Call, args [][]byte) resp.Reply {
	first, isText1 := asString(c.Lookup(args[1]))
	second, isText2 := asString(c.Lookup(args[2]))
	if !isText1 || !isText2 {
		return resp.ErrorReply("ERR The specified keys must contain string values")
	}
	var o lcsOptions
	if err := o.parse(args[3:]); err != nil {
		return *err
	}
	a, b := first.content(), second.content()
	// Redis makes a table of so many numbers of 4 bytes.
	if cells := (int64(len(a)) + 1) * (int64(len(b)) + 1); cells > int64(c.MaxBulk)/4 {
		return resp.ErrorReply("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
	}
	length, up := commonLength(a, b)
	if o.length {
		return resp.Int(length)
	}
	ranges := commonRanges(a, b, up)
	if !o.ranges {
		common, at := make([]byte, length), length
		for _, r := range ranges {
			at -= r.size
			copy(common[at:], a[r.a:r.a+r.size])
		}
		return resp.Bulk(common)
	}
	matches := []resp.Reply{}
	for _, r := range ranges {
		if int64(r.size) < o.shortest {
			continue
		}
		match := []resp.Reply{
			resp.Array(resp.Int(r.a), resp.Int(r.a+r.size-1)),
			resp.Array(resp.Int(r.b), resp.Int(r.b+r.size-1)),
		}
		if o.withLength {
			match = append(match, resp.Int(r.size))
		}
		matches = append(matches, resp.Array(match...))
	}
	return resp.Map(resp.BulkString("matches"), resp.Array(matches...), resp.BulkString("len"), resp.Int(length))
}

// directions has a bit for each byte of one string and each of the other: where
// they differ, whether leaving out that of the first is better than leaving out
// that of the second.
type directions struct {
	width int
	bits  []uint64
}

func (d *directions) set(i, j int) {
	n := i*d.width + j
	d.bits[n/64] |= 1 << (n % 64)
}

func (d *directions) has(i, j int) bool {
	n := i*d.width + j
	return d.bits[n/64]>>(n%64)&1 != 0
}

// commonLength returns the length of the longest common subsequence, and the way
// to it. It goes through all pairs of prefixes, and keeps the lengths of two rows.
func commonLength(a, b []byte) (int, *directions) {
	up := &directions{len(b), make([]uint64, (len(a)*len(b)+63)/64)}
	above, row := make([]uint32, len(b)+1), make([]uint32, len(b)+1)
	for i := range a {
		for j := range b {
			switch {
			case a[i] == b[j]:
				row[j+1] = above[j] + 1
			case above[j+1] > row[j]:
				row[j+1] = above[j+1]
				up.set(i, j)
			default:
				row[j+1] = row[j]
			}
		}
		above, row = row, above
	}
	return int(above[len(b)]), up
}

// A commonRange is a run of bytes that two strings share, at an index in each.
type commonRange struct{ a, b, size int }

// commonRanges lists the runs that make up the longest common subsequence, the
// last first.
func commonRanges(a, b []byte, up *directions) []commonRange {
	var ranges []commonRange
	size := 0 // of the run that begins at i and j
	i, j := len(a), len(b)
	end := func() {
		if size > 0 {
			ranges = append(ranges, commonRange{i, j, size})
			size = 0
		}
	}
	for i > 0 && j > 0 {
		switch {
		case a[i-1] == b[j-1]:
			i, j, size = i-1, j-1, size+1
		case up.has(i-1, j-1):
			end()
			i--
		default:
			end()
			j--
		}
	}
	end()
	return ranges
}

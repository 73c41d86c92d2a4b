package keyspace

import (
	"slices"
	"strconv"
	"strings"

	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/resp"
)

// What SCAN, HSCAN, SSCAN and ZSCAN have in common.

// ScanOptions are what a page of a scan is to have.
type ScanOptions struct {
	Count   int64  // how many elements to look at, about
	HasType bool   // only keys of a type are wanted:
	Type    string // its name, in lower case
	pattern string
}

// Parse parses options. TYPE is one of SCAN only.
func (o *ScanOptions) Parse(args [][]byte, ofKeys bool) *resp.Reply {
	o.Count, o.pattern = 10, "*"
	for i := 0; i < len(args); i += 2 {
		if i+1 == len(args) {
			return &resp.SyntaxError
		}
		value := args[i+1]
		switch {
		case resp.Is(args[i], "COUNT"):
			n, isInt := resp.ParseInt(value)
			if !isInt {
				return &resp.NotAnInteger
			}
			if n < 1 {
				return &resp.SyntaxError
			}
			o.Count = n
		case resp.Is(args[i], "MATCH"):
			o.pattern = string(value)
		case resp.Is(args[i], "TYPE") && ofKeys:
			o.Type, o.HasType = strings.ToLower(string(value)), true
		default:
			return &resp.SyntaxError
		}
	}
	return nil
}

// Matches reports whether a name is wanted.
func (o *ScanOptions) Matches(name string) bool {
	return o.pattern == "*" || glob.Match(o.pattern, name, false)
}

// ParseCursor reads a cursor.
func ParseCursor(arg []byte) (uint64, *resp.Reply) {
	cursor, valid := resp.ParseCursor(arg)
	if !valid {
		r := resp.ErrorReply("ERR invalid cursor")
		return 0, &r
	}
	return cursor, nil
}

// ScanReply answers with a page, and the cursor of the next one.
func ScanReply(next uint64, page resp.Reply) resp.Reply {
	return resp.Array(resp.Bulk(strconv.AppendUint(nil, next, 10)), page)
}

// A Scanned is a Value whose elements are scanned.
type Scanned interface {
	Value

	// Scan returns a page from a cursor on, and the cursor of the next one, 0 if there is
	// none. What it returns is valid until the value changes.
	Scan(cursor uint64, o *ScanOptions) (next uint64, page [][]byte)
}

// ScanElements answers HSCAN, SSCAN or ZSCAN, which is for values of the type V.
func ScanElements[V Scanned](c *Call, args [][]byte) resp.Reply {
	cursor, err := ParseCursor(args[2])
	if err != nil {
		return *err
	}
	e := c.Lookup(args[1])
	if e == nil {
		return ScanReply(0, resp.EmptyArray)
	}
	v, isScanned := e.Value.(V)
	if !isScanned {
		return resp.WrongType
	}
	var o ScanOptions
	if err := o.Parse(args[3:], false); err != nil {
		return *err
	}
	next, page := v.Scan(cursor, &o)
	return ScanReply(next, resp.Strings(len(page), slices.Values(page)))
}

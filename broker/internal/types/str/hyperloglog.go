package str

import (
	"fmt"
	"math/rand/v2"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/hyperloglog"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands for strings that are HyperLogLogs, see package hyperloglog.

var hyperloglogCommands = []command.Command{
	{Name: "pfadd", Arity: -2, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW insert"), Run: pfadd, ACL: "hyperloglog",
		Group: "hyperloglog", Since: "2.8.9", Complexity: "O(1) for each element", Summary: "Adds elements to a HyperLogLog."},
	{Name: "pfcount", Arity: -2, Flags: command.ReadOnly | command.MayReplicate, Keys: command.KeysUpTo(-1, 1, "RW access"), Run: pfcount, ACL: "hyperloglog",
		Group: "hyperloglog", Since: "2.8.9", Complexity: "O(1) for one key, O(N) where N is the number of keys for several", Summary: "Estimates how many different elements one or several HyperLogLogs have."},
	{Name: "pfmerge", Arity: -2, Flags: command.Write | command.DenyOOM, Keys: []command.KeySpec{{Flags: "RW access insert", First: 1, Step: 1}, {Flags: "RO access", First: 2, Last: -1, Step: 1}}, Run: pfmerge, ACL: "hyperloglog",
		Group: "hyperloglog", Since: "2.8.9", Complexity: "O(N) where N is the number of HyperLogLogs", Summary: "Merges HyperLogLogs into one."},
	{Name: "pfdebug", Arity: 3, Flags: command.Write | command.DenyOOM | command.Admin, Keys: command.KeyAt(2, "RW access"), Run: pfdebug, ACL: "hyperloglog",
		Group: "hyperloglog", Since: "2.8.9", Complexity: "O(1)", Summary: "Shows the registers of a HyperLogLog, or its encoding."},
	{Name: "pfselftest", Arity: 1, Flags: command.Admin, Run: pfselftest, ACL: "hyperloglog",
		Group: "hyperloglog", Since: "2.8.9", Complexity: "O(1)", Summary: "Tests the estimates of HyperLogLogs."},
}

var (
	notHyperLogLog       = resp.ErrorReply("WRONGTYPE Key is not a valid HyperLogLog string value.")
	corruptedHyperLogLog = resp.ErrorReply("INVALIDOBJ Corrupted HLL object detected")
)

// asSketch returns the HyperLogLog that an entry holds, nil if there is none.
func asSketch(e *keyspace.Entry) (*stringValue, hyperloglog.Sketch, *resp.Reply) {
	t, isText := asString(e)
	switch {
	case !isText:
		return nil, nil, &resp.WrongType
	case t == nil:
		return nil, nil, nil
	case !hyperloglog.Sketch(t.bytes).IsValid():
		return nil, nil, &notHyperLogLog
	}
	return t, t.bytes, nil
}

// changeSketch makes a string hold a sketch.
func changeSketch(t *stringValue, s hyperloglog.Sketch) { t.bytes, t.encoding = s, grown }

// createSketch makes a key hold an empty HyperLogLog.
func createSketch(c *keyspace.Call, key []byte) (*stringValue, hyperloglog.Sketch) {
	t := &stringValue{hyperloglog.New(), grown}
	c.Create(key, t)
	return t, t.bytes
}

func pfadd(c *keyspace.Call, args [][]byte) resp.Reply {
	e := c.Find(args[1])
	t, s, err := asSketch(e)
	if err != nil {
		return *err
	}
	isNew := t == nil
	if isNew {
		t, s = createSketch(c, args[1])
	}
	changes := isNew
	for _, element := range args[2:] {
		var changed, valid bool
		if s, changed, valid = s.Add(element, c.HLLBytes); !valid {
			changeSketch(t, s)
			c.Resized(e)
			return corruptedHyperLogLog
		}
		changes = changes || changed
	}
	changeSketch(t, s)
	if !changes {
		return resp.Zero
	}
	s.MarkStale()
	c.Changed(args[1], keyspace.StringEvent, "pfadd")
	return resp.One
}

func pfcount(c *keyspace.Call, args [][]byte) resp.Reply {
	if len(args) > 2 {
		r, _, err := mergeSketches(c, args[1:])
		if err != nil {
			return *err
		}
		return resp.Integer(int64(r.Count()))
	}
	t, s, err := asSketch(c.Lookup(args[1]))
	switch {
	case err != nil:
		return *err
	case t == nil:
		return resp.Zero
	}
	t.encoding = grown
	n, holds := s.Cached()
	if !holds {
		var valid bool
		if n, valid = s.Count(); !valid {
			return corruptedHyperLogLog
		}
		s.Cache(n)
		c.SignalModified(c.Caller, c.DB, args[1])
	}
	return resp.Integer(int64(n))
}

// mergeSketches returns the registers of several HyperLogLogs. It reports whether one of them is
// dense.
func mergeSketches(c *keyspace.Call, keys [][]byte) (r *hyperloglog.Registers, isDense bool, err *resp.Reply) {
	r = &hyperloglog.Registers{}
	for _, key := range keys {
		t, s, err := asSketch(c.Lookup(key))
		switch {
		case err != nil:
			return nil, false, err
		case t == nil:
			continue
		case !r.Merge(s):
			return nil, false, &corruptedHyperLogLog
		}
		isDense = isDense || !s.IsSparse()
	}
	return r, isDense, nil
}

func pfmerge(c *keyspace.Call, args [][]byte) resp.Reply {
	r, isDense, err := mergeSketches(c, args[1:])
	if err != nil {
		return *err
	}
	t, s, _ := asSketch(c.Find(args[1]))
	if t == nil {
		t, s = createSketch(c, args[1])
	}
	if isDense {
		s, _ = s.Dense() // its runs are in order, or it would not have been merged
	}
	changeSketch(t, r.WriteTo(s, c.HLLBytes))
	c.Changed(args[1], keyspace.StringEvent, "pfadd")
	return resp.OK
}

func pfdebug(c *keyspace.Call, args [][]byte) resp.Reply {
	e := c.Find(args[2])
	t, s, err := asSketch(e)
	switch {
	case err != nil:
		return *err
	case t == nil:
		return resp.ErrorReply("ERR The specified key does not exist")
	}
	t.encoding = grown
	toDense := func() (converted, valid bool) {
		d, valid := s.Dense()
		if converted = s.IsSparse(); valid {
			s = d
			changeSketch(t, s)
			c.Resized(e)
		}
		return converted, valid
	}
	switch {
	case resp.Is(args[1], "GETREG"):
		if _, valid := toDense(); !valid {
			return corruptedHyperLogLog
		}
		values := make([]resp.Reply, 0, len(hyperloglog.Registers{}))
		for value := range s.All {
			values = append(values, resp.Int(int(value)))
		}
		return resp.Array(values...)
	case resp.Is(args[1], "DECODE"):
		if !s.IsSparse() {
			return resp.ErrorReply("ERR HLL encoding is not sparse")
		}
		return resp.BulkString(s.Runs())
	case resp.Is(args[1], "ENCODING"):
		if s.IsSparse() {
			return resp.Simple("sparse")
		}
		return resp.Simple("dense")
	case resp.Is(args[1], "TODENSE"):
		converted, valid := toDense()
		switch {
		case !valid:
			return corruptedHyperLogLog
		case converted:
			return resp.One
		}
		return resp.Zero
	}
	return resp.Errorf("ERR Unknown PFDEBUG subcommand '%s'", args[1])
}

func pfselftest(c *keyspace.Call, _ [][]byte) resp.Reply {
	if err := hyperloglog.SelfTest(rand.Uint64(), c.HLLBytes); err != nil {
		return resp.ErrorReply(fmt.Sprintf("TESTFAILED %v", err))
	}
	return resp.OK
}

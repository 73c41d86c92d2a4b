package broker

import (
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
	"redrpc/broker/internal/resp"
)

// A type of the tests' own shows that one needs nothing but what package keyspace has for
// it: docs/adding-a-type.md follows this file.

// A bag is a set of numbers, in order. Its commands are
//
//	BAGADD key number [number ...]         how many numbers are new
//	BAGPOP key min                         takes the least number from min on
//	BBAGPOP key min timeout                waits for one
//	BBAGPOP key min timeout GONE           and is told when the bag has gone
type bag struct{ numbers []int64 }

// errGone is what BBAGPOP with GONE is told.
var errGone = resp.ErrorReply("UNBLOCKED the bag no longer exists")

// rdbBag is no type of Redis's.
const rdbBag = 200

var bagType = &keyspace.Type{Name: "bag", RDB: []byte{rdbBag}, Decode: decodeBag}

func (g *bag) Type() *keyspace.Type  { return bagType }
func (g *bag) Clone() keyspace.Value { return &bag{slices.Clone(g.numbers)} }
func (g *bag) Size() int             { return 24 + 8*cap(g.numbers) }
func (g *bag) Encoding() string      { return "sorted" }

func (g *bag) Recipe() keyspace.Recipe {
	elements, _ := g.Elements()
	return keyspace.Recipe{Command: "BAGADD", Group: 1, Parts: elements}
}

func (g *bag) Elements() (iter.Seq[[]byte], int) {
	return func(yield func([]byte) bool) {
		for _, n := range g.numbers {
			if !yield(strconv.AppendInt(nil, n, 10)) {
				return
			}
		}
	}, len(g.numbers)
}

func (g *bag) AppendRDB(b []byte) []byte {
	b = rdb.AppendLength(append(b, rdbBag), len(g.numbers))
	elements, _ := g.Elements()
	for n := range elements {
		b = rdb.AppendString(b, n)
	}
	return b
}

// decodeBag refuses numbers that are not in order, and a bag without any.
func decodeBag(_ byte, d *rdb.Decoder, _ keyspace.Thresholds) keyspace.Value {
	g := &bag{}
	for range d.Length() {
		n, isInt := resp.ParseInt(d.String())
		if !isInt || !g.add(n) || g.numbers[len(g.numbers)-1] != n {
			d.Fail()
		}
	}
	if len(g.numbers) == 0 {
		return nil
	}
	return g
}

// Check is called by invariants_test.go.
func (g *bag) Check() error {
	if len(g.numbers) == 0 || !slices.IsSorted(g.numbers) {
		return errors.New("a bag is empty, or not in order")
	}
	return nil
}

func (g *bag) add(n int64) (isNew bool) {
	at, found := slices.BinarySearch(g.numbers, n)
	if !found {
		g.numbers = slices.Insert(g.numbers, at, n)
	}
	return !found
}

// take removes the least number from a given one on.
func (g *bag) take(least int64) (n int64, found bool) {
	at, _ := slices.BinarySearch(g.numbers, least)
	if at == len(g.numbers) {
		return 0, false
	}
	n = g.numbers[at]
	g.numbers = slices.Delete(g.numbers, at, at+1)
	return n, true
}

var bagCommands = []command.Command{
	{Name: "bagadd", Arity: -3, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW insert"), Run: bagadd, Group: "bag"},
	{Name: "bagpop", Arity: 3, Flags: command.Write | command.Fast, Keys: command.OneKey("RW access delete"), Run: bagpop, Group: "bag"},
	{Name: "bbagpop", Arity: -4, Flags: command.Write | command.NoScript | command.Blocking, Keys: command.OneKey("RW access delete"), Run: bbagpop, Group: "bag"},
}

// bagOf returns the bag that a key holds: nil if there is no such key, false if it holds
// something else.
func bagOf(c *keyspace.Call, key []byte) (*keyspace.Entry, *bag, bool) {
	e := c.Find(key)
	if e == nil {
		return nil, nil, true
	}
	g, isBag := e.Value.(*bag)
	return e, g, isBag
}

func bagadd(c *keyspace.Call, args [][]byte) resp.Reply {
	_, g, isBag := bagOf(c, args[1])
	if !isBag {
		return resp.WrongType
	}
	var numbers []int64
	for _, arg := range args[2:] {
		n, isInt := resp.ParseInt(arg)
		if !isInt {
			return resp.NotAnInteger
		}
		numbers = append(numbers, n)
	}
	if g == nil {
		g = &bag{}
		c.Create(args[1], g)
	}
	added := 0
	for _, n := range numbers {
		if g.add(n) {
			added++
		}
	}
	if added > 0 {
		c.SignalReady(c.DB, string(args[1])) // it may have existed before
		c.Changed(args[1], keyspace.SetEvent, "bagadd")
	}
	return resp.Int(added)
}

func bagpop(c *keyspace.Call, args [][]byte) resp.Reply {
	least, isInt := resp.ParseInt(args[2])
	if !isInt {
		return resp.NotAnInteger
	}
	e, g, isBag := bagOf(c, args[1])
	if !isBag {
		return resp.WrongType
	}
	if g != nil {
		if r, found := takeNumber(c, e, g, least); found {
			return r
		}
	}
	return resp.Null
}

func bbagpop(c *keyspace.Call, args [][]byte) resp.Reply {
	least, isInt := resp.ParseInt(args[2])
	if !isInt {
		return resp.NotAnInteger
	}
	timeout, err := c.ParseTimeout(args[3])
	if err != nil {
		return *err
	}
	w := &keyspace.Wait{Keys: args[1:2], Timeout: timeout, Refused: resp.Null, Late: resp.Null}
	w.Serve = func(c *keyspace.Call, e *keyspace.Entry) (resp.Reply, bool) {
		g, isBag := e.Value.(*bag)
		if !isBag {
			return errGone, w.Gone != nil
		}
		return takeNumber(c, e, g, least)
	}
	if len(args) > 4 {
		w.Gone = func(*keyspace.Call, string) resp.Reply { return errGone }
	}
	e, g, isBag := bagOf(c, args[1])
	switch {
	case !isBag:
		return resp.WrongType
	case g == nil:
		return w.Reply()
	}
	if r, found := takeNumber(c, e, g, least); found {
		return r
	}
	return w.Reply()
}

// takeNumber answers with a number of a bag, if there is one, and deletes a bag that has
// become empty.
func takeNumber(c *keyspace.Call, e *keyspace.Entry, g *bag, least int64) (resp.Reply, bool) {
	n, found := g.take(least)
	if !found {
		return resp.Nothing, false
	}
	key := []byte(e.Key)
	c.Changed(key, keyspace.SetEvent, "bagpop")
	if len(g.numbers) == 0 {
		c.Remove(e)
		c.Changed(key, keyspace.GenericEvent, "del")
	}
	return resp.Array(resp.BulkString(e.Key), resp.Integer(n)), true
}

// withBags makes brokers know bags until the test ends.
func withBags(t testing.TB) {
	t.Helper()
	rows, known := table, types
	table, types = rows.With(bagCommands), append(slices.Clone(known), bagType)
	t.Cleanup(func() { table, types = rows, known })
}

// startBags starts a broker that knows bags, and returns a client of it.
func startBags(t testing.TB, o Options) (*Broker, *wire) {
	t.Helper()
	withBags(t)
	b := newBroker(t, o)
	t.Cleanup(func() {
		b.enter()
		defer b.leave()
		if v := b.violation(); v != "" {
			t.Error(v)
		}
	})
	return b, inMemory(t, b)
}

// startWaiting starts a client that is blocked in a command.
func startWaiting(t testing.TB, b *Broker, args ...string) *wire {
	t.Helper()
	w := inMemory(t, b)
	id, err := strconv.ParseInt(w.do(t, "CLIENT", "ID"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	w.id = id
	w.send(t, args...)
	w.waitsOn(t, b)
	return w
}

// waitsOn fails the test unless a client is blocked.
func (w *wire) waitsOn(t testing.TB, b *Broker) {
	t.Helper()
	b.enter()
	blocked := b.sessions[w.id].waiter != nil
	b.leave()
	if !blocked {
		t.Fatalf("the client was told %s, and should wait", w.reply(t))
	}
}

// told fails the test unless a client that was blocked is told what it should be.
func (w *wire) told(t testing.TB, want string) {
	t.Helper()
	if got := w.reply(t); got != want {
		t.Fatalf("the client was told %s, want %s", got, want)
	}
}

// Clients are served in their order. One that a bag has nothing for is passed by; a bag
// that exists wakes it once it has.
func TestBagWakesWaiters(t *testing.T) {
	b, w := startBags(t, Options{})
	large, first, second := startWaiting(t, b, "BBAGPOP", "g", "100", "0"), startWaiting(t, b, "BBAGPOP", "g", "0", "0"), startWaiting(t, b, "BBAGPOP", "g", "0", "0")
	w.expect(t, "1", "BAGADD", "g", "7")
	first.told(t, "[g 7]")
	w.expect(t, "0", "EXISTS", "g")
	w.expect(t, "4", "BAGADD", "g", "1", "2", "3", "4")
	second.told(t, "[g 1]")
	large.waitsOn(t, b)
	w.expect(t, "1", "BAGADD", "g", "5")
	large.waitsOn(t, b)
	w.expect(t, "1", "BAGADD", "g", "500")
	large.told(t, "[g 500]")
	w.expect(t, `["2" "3" "4" "5"]`, "SORT", "g")
	startWaiting(t, b, "BBAGPOP", "g", "100", "0").Close()
	w.expect(t, "1", "BAGADD", "g", "100") // for nobody
	w.expect(t, "[g 100]", "BBAGPOP", "g", "10", "0")

	late := startWaiting(t, b, "BBAGPOP", "g", "100", "0.01")
	late.told(t, "nil")
	w.expect(t, "+OK", "MULTI")
	w.expect(t, "+QUEUED", "BBAGPOP", "g", "100", "0")
	w.expect(t, "+QUEUED", "BBAGPOP", "g", "0", "0")
	w.expect(t, "[nil [g 2]]", "EXEC")

	large = startWaiting(t, b, "BBAGPOP", "g", "100", "0")
	w.expect(t, "+OK", "MULTI")
	w.expect(t, "+QUEUED", "BAGADD", "g", "100", "200")
	w.expect(t, "+QUEUED", "BAGPOP", "g", "100")
	w.expect(t, "[2 [g 100]]", "EXEC") // the transaction comes first
	large.told(t, "[g 200]")
}

// Clients that wait for another type on the same key are passed by, in both directions.
func TestWaitersOfOtherTypesWaitOn(t *testing.T) {
	b, w := startBags(t, Options{})
	ofBags, ofLists := startWaiting(t, b, "BBAGPOP", "k", "0", "0"), startWaiting(t, b, "BLPOP", "k", "0")
	w.expect(t, "1", "RPUSH", "k", "x")
	ofLists.told(t, "[k x]")
	ofBags.waitsOn(t, b)
	ofLists = startWaiting(t, b, "BLPOP", "k", "0")
	w.expect(t, "2", "BAGADD", "k", "1", "2")
	ofBags.told(t, "[k 1]")
	ofLists.waitsOn(t, b)
	w.expect(t, "-WRONGTYPE Operation against a key holding the wrong kind of value", "BLPOP", "k", "0")
	w.expect(t, "-WRONGTYPE Operation against a key holding the wrong kind of value", "RPUSH", "k", "x")
	w.expect(t, "1", "DEL", "k")
	ofLists.waitsOn(t, b)
	w.expect(t, "1", "RPUSH", "k", "x")
	ofLists.told(t, "[k x]")
	w.expect(t, "1", "RPUSH", "k", "x")
	w.expect(t, "-WRONGTYPE Operation against a key holding the wrong kind of value", "BBAGPOP", "k", "0", "0")
}

// A client that asks for it is told when what its key held goes, as one in XREADGROUP is by
// Redis 7.0.15, with the same commands: when there is something else in its place, too, but
// not when the same is there again at the end of a transaction.
func TestWaiterIsToldThatAKeyHasGone(t *testing.T) {
	const gone = "-UNBLOCKED the bag no longer exists"
	for _, c := range []struct {
		commands string
		told     string // "" : it waits on
	}{
		{"DEL k", gone},
		{"UNLINK k", gone},
		{"PEXPIREAT k 1", gone},
		{"PEXPIRE k 10 / advance", gone},
		{"FLUSHDB", gone},
		{"FLUSHALL", gone},
		{"SWAPDB 0 1", gone},
		{"SWAPDB 1 0", gone},
		{"SELECT 1 / SET k v / SWAPDB 0 1", gone},
		{"SELECT 1 / BAGADD k 200 / SWAPDB 0 1", "[k 200]"},
		{"SELECT 1 / BAGADD k 1 / SWAPDB 0 1", ""},
		{"RENAME k other", gone},
		{"MOVE k 1", gone},
		{"SET k v", gone},
		{"SET k v KEEPTTL", gone},
		{"SET other v / RENAME other k", gone},
		{"SET other v / COPY other k REPLACE", gone},
		{"SET other v / BITOP NOT k other", gone},
		{"RPUSH other 1 / SORT other STORE k", gone},
		{"SORT other STORE k", gone},
		{"BAGADD other 200 / RENAME other k", "[k 200]"},
		{"BAGADD other 1 / COPY other k REPLACE", ""},
		{"BAGPOP k 0", gone},
		{"MULTI / DEL k / BAGADD k 1 / EXEC", ""},
		{"MULTI / DEL k / BAGADD k 200 / EXEC", "[k 200]"},
		{"MULTI / DEL k / SET k v / EXEC", gone},
		{"EXPIRE k 10 / PERSIST k / BAGADD k 50", ""},
	} {
		t.Run(c.commands, func(t *testing.T) {
			b, w := startBags(t, Options{ManualTime: noon})
			w.expect(t, "1", "BAGADD", "k", "1")
			asks, other := startWaiting(t, b, "BBAGPOP", "k", "100", "0", "GONE"), startWaiting(t, b, "BBAGPOP", "k", "1000", "0")
			for line := range strings.SplitSeq(c.commands, " / ") {
				if line == "advance" {
					b.Advance(10 * time.Millisecond)
				} else if got := w.do(t, strings.Fields(line)...); strings.HasPrefix(got, "-") {
					t.Fatalf("%s: %s", line, got)
				}
			}
			if c.told == "" {
				asks.waitsOn(t, b)
			} else {
				asks.told(t, c.told)
			}
			other.waitsOn(t, b)
		})
	}
}

// What is asked of a key of any type can be asked of a bag.
func TestBagIsAValue(t *testing.T) {
	b, w := startBags(t, Options{ManualTime: noon, MaxMemory: 64 << 20})
	w.expect(t, "3", "BAGADD", "g", "30", "-4", "500", "30")
	w.expect(t, "+bag", "TYPE", "g")
	w.expect(t, "sorted", "OBJECT", "ENCODING", "g")
	w.expect(t, "1", "OBJECT", "REFCOUNT", "g")
	w.expect(t, "+OK", "SET", "text", "v")
	w.expect(t, `["0" [g]]`, "SCAN", "0", "TYPE", "bag")
	if n, err := strconv.Atoi(w.do(t, "MEMORY", "USAGE", "g")); err != nil || n < 100 {
		t.Errorf("MEMORY USAGE: %d, %v", n, err)
	}

	w.expect(t, `["500" "30"]`, "SORT", "g", "DESC", "LIMIT", "0", "2")
	w.expect(t, `["-4" nil "30" nil "500" nil]`, "SORT", "g", "GET", "#", "GET", "g*") // bags are no texts
	w.expect(t, "3", "SORT", "g", "STORE", "l")
	w.expect(t, `["-4" "30" "500"]`, "LRANGE", "l", "0", "-1")

	w.expect(t, "1", "COPY", "g", "copied")
	w.expect(t, "[g -4]", "BAGPOP", "g", "-100")
	w.expect(t, `["-4" "30" "500"]`, "SORT", "copied")
	w.expect(t, "+OK", "RENAME", "copied", "renamed")
	w.expect(t, "1", "MOVE", "renamed", "1")
	w.expect(t, "+OK", "SELECT", "1")
	w.expect(t, "1", "PEXPIRE", "renamed", "1500")
	w.expect(t, "-WRONGTYPE Operation against a key holding the wrong kind of value", "GET", "renamed")
	w.expect(t, "1", "BAGADD", "renamed", strings.Repeat("1", 18)) // Size grows
	b.Advance(1500 * time.Millisecond)
	w.expect(t, "0", "EXISTS", "renamed")
}

// What DUMP returns RESTORE takes, if it is in order.
func TestBagIsDumped(t *testing.T) {
	_, w := startBags(t, Options{})
	w.expect(t, "3", "BAGADD", "g", "30", "-4", "70000")
	dumped, err := strconv.Unquote(w.do(t, "DUMP", "g"))
	if err != nil {
		t.Fatal(err)
	}
	w.expect(t, "+OK", "RESTORE", "again", "0", dumped)
	w.expect(t, `["-4" "30" "70000"]`, "SORT", "again")
	w.expect(t, "-ERR DUMP payload version or checksum are wrong", "RESTORE", "bad", "0", dumped[1:])
	for name, body := range map[string][]byte{
		"empty":        {rdbBag, 0},
		"no length":    {rdbBag},
		"cut off":      {rdbBag, 2, 1, '1'},
		"not in order": {rdbBag, 2, 1, '2', 1, '1'},
		"twice":        {rdbBag, 2, 1, '1', 1, '1'},
		"no number":    {rdbBag, 1, 1, 'x'},
		"no type":      {rdbBag + 1, 1, 1, '1'},
	} {
		if got := w.do(t, "RESTORE", "bad", "0", string(rdb.Dump(body))); got != "-ERR Bad data format" {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// A snapshot has bags, in as many lines as they take, and brings them back.
func TestBagInASnapshot(t *testing.T) {
	b, w := startBags(t, Options{ManualTime: noon})
	const large = 1_000_000_000_000_000_000
	args, lines := []string{"BAGADD", "long"}, ""
	for i := range int64(6) {
		n := strconv.FormatInt(large+i, 10)
		args = append(args, n)
		lines += "BAGADD long " + n + "\n"
	}
	w.expect(t, "6", args...)
	w.expect(t, "2", "BAGADD", "short", "2", "-1")
	w.expect(t, "1", "PEXPIRE", "long", "1500")
	want := lines + "PEXPIRE long 1500\nBAGADD short -1 2\n"
	if got := b.Snapshot(); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	if err := b.Seed("FLUSHALL\n" + want); err != nil {
		t.Fatal(err)
	}
	if got := b.Snapshot(); got != want {
		t.Errorf("after it was seeded: got\n%s\nwant\n%s", got, want)
	}
}

// Who watches or tracks a bag, or wants its events, is told.
func TestBagTellsOfChanges(t *testing.T) {
	b, w := startBags(t, Options{KeyspaceEvents: "EA"})
	w.expect(t, "2", "BAGADD", "g", "1", "2")
	for _, c := range []struct{ change, answer string }{
		{"BAGADD g 3", "nil-list"},
		{"BAGPOP g 1", "nil-list"},
		{"DEL g", "nil-list"},
		{"BAGADD g 1 2 3", "nil-list"},
		{"BAGADD g 2", "[[g 1]]"}, // it is there
		{"BAGPOP g 5", "[[g 2]]"}, // it is not
		{"BAGADD other 1", "[[g 3]]"},
	} {
		w.expect(t, "+OK", "WATCH", "g")
		w.expect(t, "+OK", "MULTI")
		w.expect(t, "+QUEUED", "BAGPOP", "g", "0")
		inMemory(t, b).do(t, strings.Fields(c.change)...)
		if got := w.do(t, "EXEC"); got != c.answer {
			t.Errorf("%s: EXEC is answered %s, want %s", c.change, got, c.answer)
		}
	}

	w.expect(t, "+OK", "FLUSHALL")
	tracks, listens := inMemory(t, b), inMemory(t, b)
	tracks.do(t, "HELLO", "3")
	tracks.expect(t, "+OK", "CLIENT", "TRACKING", "ON")
	tracks.expect(t, "[]", "SORT_RO", "g")
	listens.expect(t, "[psubscribe * 1]", "PSUBSCRIBE", "*")
	blocked := startWaiting(t, b, "BBAGPOP", "g", "0", "0")
	w.expect(t, "1", "BAGADD", "g", "1")
	blocked.told(t, "[g 1]")
	tracks.told(t, ">[invalidate [g]]")
	for _, event := range []string{"bagadd", "bagpop", "del"} {
		listens.told(t, "[pmessage * __keyevent@0__:"+event+" g]")
	}
}

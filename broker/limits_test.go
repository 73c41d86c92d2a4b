package broker

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"redrpc/broker/internal/keyspace"
	"redrpc/internal/redistest"
)

// A subscriber that stays over its soft limit is closed when its time is up, and
// one that catches up is not.
func TestSoftLimit(t *testing.T) {
	o := Options{ManualTime: time.Unix(1e9, 0), PendingPubSub: PendingLimit{Hard: 64 << 20, Soft: 1 << 20, SoftFor: 10 * time.Second}}
	b := newBroker(t, o)
	slow, fast, publisher := inMemory(t, b), inMemory(t, b), inMemory(t, b)
	slow.expect(t, "[subscribe news 1]", "SUBSCRIBE", "news")
	fast.expect(t, "[subscribe news 1]", "SUBSCRIBE", "news")
	message := strings.Repeat("x", 2<<20)
	publisher.expect(t, "2", "PUBLISH", "news", message)
	fast.reply(t)
	publisher.expect(t, "2", "PUBLISH", "news", "")
	b.Advance(10*time.Second - 1)
	publisher.expect(t, "2", "PUBLISH", "news", "")
	b.Advance(1)
	publisher.expect(t, "1", "PUBLISH", "news", "")
}

// A client that has yet to give the password is closed if it leaves much unread, and
// one that reads is not.
func TestLockedOutReader(t *testing.T) {
	b := newBroker(t, Options{Password: "secret"})
	reader, slow := inMemory(t, b), inMemory(t, b)
	for range 1000 {
		reader.expect(t, "-NOAUTH Authentication required.", "PING")
	}
	if _, err := slow.Write([]byte(strings.Repeat("PING\r\n", 1000))); err != nil {
		t.Fatal(err)
	}
	if got, err := slow.read(); err != io.EOF {
		t.Errorf("got %s, %v, expected to be closed", got, err)
	}
	reader.expect(t, "+OK", "AUTH", "secret")
}

// A client that sends nothing for too long is closed; one that waits, subscribes or
// says something is not.
func TestIdleTimeout(t *testing.T) {
	transports(t, Options{ManualTime: time.Unix(1e9, 0), IdleTimeout: 10 * time.Second}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		idle, active, waiting, subscribed := newWire(dial(t)), newWire(dial(t)), newWire(dial(t)), newWire(dial(t))
		idle.expect(t, "+PONG", "PING")
		active.expect(t, "+PONG", "PING")
		subscribed.expect(t, "[subscribe news 1]", "SUBSCRIBE", "news")
		waiting.send(t, "BLPOP", "q", "0")
		if err := b.WaitBlocked(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		b.Advance(9 * time.Second)
		active.expect(t, "+PONG", "PING")
		b.Advance(time.Second)
		if _, err := idle.read(); err != io.EOF && !strings.Contains(err.Error(), "reset") {
			t.Errorf("the idle client got %v, expected to be closed", err)
		}
		active.expect(t, "1", "PUBLISH", "news", "hello")
		if got := subscribed.reply(t); got != "[message news hello]" {
			t.Error(got)
		}
		b.Advance(time.Minute)
		if got := b.Clients(); len(got) != 2 {
			t.Errorf("%d clients are left, expected the blocked one and the subscriber: %q", len(got), got)
		}
	})
}

// CONFIG SET timeout holds for clients that are connected already.
func TestIdleTimeoutSetLate(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1e9, 0)})
	idle := inMemory(t, b)
	b.Advance(time.Hour)
	inMemory(t, b).expect(t, "+OK", "CONFIG", "SET", "timeout", "5")
	b.Advance(0)
	if _, err := idle.read(); err != io.EOF {
		t.Errorf("got %v, expected to be closed", err)
	}
}

// With a limit of memory, what takes more is refused and what frees some is not. The
// count follows every way in which data change.
func TestMaxMemory(t *testing.T) {
	b := newBroker(t, Options{MaxMemory: keyspace.EmptyBytes + 100_000, ManualTime: time.Unix(1e9, 0)})
	w := inMemory(t, b)
	const oom = "-OOM command not allowed when used memory > 'maxmemory'."
	pushed := 0
	for ; w.do(t, "RPUSH", "q", strings.Repeat("x", 1000)) != oom; pushed++ {
		if pushed > 1000 {
			t.Fatal("a megabyte was taken with a limit of 100,000 bytes")
		}
	}
	if pushed < 90 || pushed > 110 {
		t.Errorf("%d elements of 1,000 bytes were taken, with a limit of 100,000 bytes", pushed)
	}
	w.expect(t, oom, "SET", "k", "v")
	w.expect(t, "+OK", "MULTI")
	w.expect(t, oom, "GET", "k")
	w.expect(t, "-EXECABORT Transaction discarded because of previous errors.", "EXEC")
	if got := w.do(t, "LPOP", "q", "50"); !strings.HasPrefix(got, "[") {
		t.Error(got)
	}
	for _, c := range []string{
		"SET k 1234567890", "APPEND k abc", "SETRANGE k 100 x", "SET gone v PX 100", "RENAME k l", "COPY l m", "COPY l m DB 1", "MOVE m 2", "INCR n", "GETDEL n",
		"RPUSH a 1 2 3", "LINSERT a BEFORE 2 x", "LSET a 0 long-long-long", "LREM a 1 x", "LMOVE a b LEFT RIGHT", "LTRIM a 1 1", "MSET x 1 y 2", "SWAPDB 0 1", "SELECT 1",
		"RPUSH numbers 2 1", "SORT numbers STORE sorted", "SORT numbers STORE numbers", "SETBIT bits 1000 1", "SETBIT bits 10000 0", "BITOP NOT k bits", "BITOP OR k k", "BITFIELD bits SET u8 20000 1", "BITFIELD more OVERFLOW FAIL SET u1 9000 2", "DEL x",
		"ZADD z 1 a 2 b 3 c 4 d 5 e", "ZADD z 1 a-member-that-is-longer-than-the-sixty-four-bytes-of-a-listpack-is-what-this-is", "ZINCRBY z 5 a", "ZREM z b", "ZPOPMIN z", "ZREMRANGEBYRANK z 0 0", "ZUNIONSTORE z2 1 z", "ZRANGESTORE z3 z 0 0", "ZMPOP 1 z MAX",
		"XADD x 1-1 f v", "XADD x 2-1 f v", "XADD x MAXLEN 2 3-1 f v", "XGROUP CREATE x group 0", "XREADGROUP GROUP group alice STREAMS x >", "XCLAIM x group bob 0 2-1", "XACK x group 2-1", "XDEL x 2-1", "XAUTOCLAIM x group carol 0 0", "XGROUP CREATECONSUMER x group dave",
		"XGROUP DELCONSUMER x group carol", "XTRIM x MAXLEN 0", "XGROUP DESTROY x group", "COPY x x2",
		"ZADD s 1 a 2 b", "SORT s ALPHA", "ZDIFFSTORE s 1 z3", "ZREM z3 d", "COPY z2 z4", "SELECT 2", "FLUSHDB",
	} {
		if got := w.do(t, strings.Fields(c)...); strings.HasPrefix(got, "-") {
			t.Errorf("%s: %s", c, got)
		}
		checkCount(t, b, c)
	}
	for _, v := range []keyspace.Value{newString("v"), newString("a longer one")} {
		w.expect(t, "+OK", "RESTORE", "restored", "0", string(keyspace.Dump(v)), "REPLACE")
		checkCount(t, b, "RESTORE")
	}
	waiting := inMemory(t, b)
	waiting.send(t, "BLPOP", "waited", "0")
	w.expect(t, "2", "RPUSH", "waited", "1", "2")
	checkCount(t, b, "RPUSH to a client that waits")
	b.Advance(time.Second)
	checkCount(t, b, "expiry")
	w.expect(t, "+OK", "FLUSHALL")
	if got := b.keys.UsedMemory(); got != keyspace.EmptyBytes {
		t.Errorf("%d bytes are used without any key, expected %d", got, keyspace.EmptyBytes)
	}
}

// checkCount compares the count of memory with what counting anew gives, and all else
// that has to agree.
func checkCount(t *testing.T, b *Broker, after string) {
	t.Helper()
	b.enter()
	defer b.leave()
	if v := b.violation(); v != "" {
		t.Errorf("after %s: %s", after, v)
	}
}

// Of more keys than the table of what was read may have, others are forgotten, and
// who read them is told: here as with Redis.
func TestTrackingTableLimit(t *testing.T) {
	b := newBroker(t, Options{MaxTracked: 2})
	server := redistest.Start(t)
	newWire(dial(t, server.TCPAddr())).expect(t, "+OK", "CONFIG", "SET", "tracking-table-max-keys", "2")
	for _, w := range []*wire{inMemory(t, b), newWire(dial(t, server.TCPAddr()))} {
		w.do(t, "HELLO", "3")
		w.expect(t, "+OK", "CLIENT", "TRACKING", "ON")
		w.expect(t, "0", "EXISTS", "a")
		w.expect(t, "0", "EXISTS", "b", "a", "c", "d")
		var told []string
		for w.send(t, "PING"); ; {
			got := w.reply(t)
			if got == "+PONG" {
				break
			}
			told = append(told, got)
		}
		slices.Sort(told)
		if len(told) != 2 || told[0] == told[1] || strings.Trim(strings.Join(told, ""), ">[invaldte bc]") != "" {
			t.Errorf("of 4 keys read, where 2 are remembered, it is told of %q", told)
		}
	}
}

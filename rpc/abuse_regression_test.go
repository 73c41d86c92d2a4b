package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// TestServerMayNotPushToReplyLists: Redis forbids a server the reply lists. Results come
// on the single-use lists, and what was refused once is not tried for each call.
func TestServerMayNotPushToReplyLists(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
	h.do("acl", "setuser", "server", "on", ">secret", "~"+h.prefix+":small:*", "~"+h.prefix+":server:*", "&*", "+@all")
	h.withOptions(func(opt *redis.Options) { opt.Username, opt.Password = "server", "secret" }).employ(rpc.ServerOptions{}, small)
	client, old := h.newClient(rpc.ClientOptions{}), h.newClient(oldPort)
	call := func(client *rpc.Client, n int) {
		o := <-h.start(context.Background(), client, "small", n, rpc.Timeout(patience))
		o.isResult(t)
	}
	refused := func() int { return h.stat("commandstats", "cmdstat_rpush:", "rejected_calls=") }
	call(client, 1)
	before := refused()
	if before == 0 {
		t.Fatal("Redis has refused nothing")
	}
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			for i := 0; i < 5 && !t.Failed(); i++ {
				call(client, n)
			}
		})
	}
	for n := range 5 {
		all.Go(func() {
			for i := 0; i < 5 && !t.Failed(); i++ {
				call(old, n)
			}
		})
	}
	all.Wait()
	if more := refused() - before; more > 5 { // each connection of the client has a list of its own
		t.Errorf("Redis refused %d pushes of 250 results after the first was refused, want hardly any", more)
	}
}

// TestPlacesOfCallsThatAreTooLong: a call that Redis does not take, or that cannot be
// encoded, gives back the place that it had among those that wait by BLPOP.
func TestPlacesOfCallsThatAreTooLong(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t, "--proto-max-bulk-len", "1mb").Addr})
	h.employ(rpc.ServerOptions{}, small)
	const places = 2
	client := h.newClient(rpc.ClientOptions{MaxConns: places, NoExtensions: true})
	for _, x := range []any{strings.Repeat("x", 2<<20), func() {}} {
		for range places + 1 {
			err := client.Call(context.Background(), "small", rpc.Args{"x": x}, nil, rpc.Timeout(prompt))
			is(t, err, rpc.ErrNotSent)
			if errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("a call had no place: %v", err)
			}
		}
	}
	for n := range places + 1 {
		next(t, h.start(context.Background(), client, "small", n, rpc.Timeout(prompt))).isResult(t)
	}
}

// A hole is a network that begins to swallow what its connections carry, without an
// error. Connections that are made afterwards are well.
type hole struct {
	deep atomic.Pointer[atomic.Bool] // of the connections that are made now
}

func newHole() *hole {
	h := &hole{}
	h.deep.Store(&atomic.Bool{})
	return h
}

func (h *hole) swallow() { h.deep.Swap(&atomic.Bool{}).Store(true) }

func (h *hole) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	deep := h.deep.Load()
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &holeConn{c.(*net.TCPConn), deep}, nil
}

type holeConn struct {
	*net.TCPConn
	deep *atomic.Bool
}

func (c *holeConn) Write(p []byte) (int, error) {
	if c.deep.Load() {
		return len(p), nil
	}
	return c.TCPConn.Write(p)
}

func (c *holeConn) Read(p []byte) (int, error) {
	for {
		n, err := c.TCPConn.Read(p)
		if err != nil || !c.deep.Load() {
			return n, err
		}
	}
}

// TestConnectionsThatPassNothing: the connections of a client pass nothing any more, and
// report no error. Calls go on over others, although more and more is written to the
// first.
func TestConnectionsThatPassNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
	h.employ(rpc.ServerOptions{}, small)
	hole := newHole()
	const readTimeout = 300 * time.Millisecond
	client := h.withOptions(func(opt *redis.Options) {
		opt.Dialer, opt.ReadTimeout = hole.dial, readTimeout
	}).newClient(rpc.ClientOptions{})
	for n := range 5 {
		next(t, h.start(context.Background(), client, "small", n, rpc.Timeout(patience))).isResult(t)
	}
	hole.swallow()
	// Something is written more often than reads time out.
	eventually(t, "a call to be answered", func() bool {
		return client.Call(context.Background(), "small", rpc.Args{"n": 1}, nil, rpc.Timeout(readTimeout/3)) == nil
	})
}

// TestStaleResultsAreReadTogether: of results that nobody waits for many are read at a
// time, however few calls wait.
func TestStaleResultsAreReadTogether(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
	client := h.newClient(rpc.ClientOptions{})
	ended := h.start(context.Background(), client, "probe", 7, rpc.Timeout(patience))
	call := h.takeCallWithList("probe")
	const stale = 10_000
	var messages []any
	for n := range stale {
		messages = append(messages, fmt.Sprintf(`{"id":"x%d","ts":"t","res":1}`, n))
	}
	h.do("config", "resetstat")
	h.pushResults(h.replyList(call.ReplyTo), append(messages, listResult(call))...)
	next(t, ended).isResult(t)
	if n := h.stat("commandstats", "cmdstat_blmove:", "calls="); n > stale/100 {
		t.Errorf("%d results took %d reads, want few", stale+1, n)
	}
}

// longResults calls a function with a long result several times at once, in fake time,
// where to read each takes a while, and returns how many reads it took.
func longResults(h *house, b *broker.Broker, calls int) (reads int64) {
	h.Helper()
	const size = 100_000
	var count atomic.Int64
	for _, fault := range []broker.Fault{
		{Command: "lindex", Func: func(c *broker.Command) broker.Verdict {
			count.Add(1)
			return broker.Verdict{}
		}},
		{Command: "lindex", Delay: broker.Fixed(500 * time.Millisecond)}, // several looks at single-use lists
	} {
		if _, err := b.Inject(fault); err != nil {
			h.Fatal(err)
		}
	}
	h.employ(rpc.ServerOptions{}, sized)
	client := h.newClient(rpc.ClientOptions{})
	var all sync.WaitGroup
	for range calls {
		all.Go(func() {
			got, err := rpc.Call[string](context.Background(), client, "sized", rpc.Args{"n": size}, rpc.Timeout(patience))
			if err != nil || len(got) != size {
				h.Errorf("got %d bytes, %v, want %d", len(got), err, size)
			}
		})
	}
	all.Wait()
	return count.Load()
}

// TestLongResultIsReadOnce: a long result is not read again while it is being read,
// however long that takes.
func TestLongResultIsReadOnce(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, h *house, b *broker.Broker) {
		if reads := longResults(h, b, 1); reads != 1 {
			t.Errorf("a long result was read %d times, want once", reads)
		}
	})
}

// TestLongResultsInFakeTime: long results wait for each other in a way that lets fake
// time pass.
func TestLongResultsInFakeTime(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, h *house, b *broker.Broker) {
		const calls = 4
		if reads := longResults(h, b, calls); reads != calls {
			t.Errorf("%d long results were read %d times, want each once", calls, reads)
		}
	})
}

// TestLongResultWithoutNotice: a long result is found on its single-use list before the reply
// list tells of it. That does not make its server an old one, for whose results each call
// waits on a connection of its own.
func TestLongResultWithoutNotice(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
	client := h.newClient(rpc.ClientOptions{})
	ended := make(chan error, 1)
	go func() {
		ended <- client.Call(context.Background(), "small", rpc.Args{"n": 1}, nil, rpc.Timeout(patience))
	}()
	call := h.takeCallWithList("small")
	h.pushResults(h.resultKey("small", call.ID), fmt.Sprintf(`{"id":%q,"ts":"t","res":%q}`, call.ID, strings.Repeat("x", 100_000)))
	if err := next(t, ended); err != nil {
		t.Fatal(err)
	}
	h.employ(rpc.ServerOptions{}, small)
	before := h.stat("commandstats", "cmdstat_blpop:", "calls=") // takeCall made some
	for n := range 50 {
		next(t, h.start(context.Background(), client, "small", n, rpc.Timeout(patience))).isResult(t)
	}
	if n := h.stat("commandstats", "cmdstat_blpop:", "calls=") - before; n > 0 {
		t.Errorf("%d calls have waited by BLPOP, want none", n)
	}
}

// TestLimitsOfARedisThatDoesNotAnswer: a call whose message is so long that Redis is asked
// for its limits ends in time if it does not tell them, and is asked again for the next.
func TestLimitsOfARedisThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, h *house, b *broker.Broker) {
		h.employ(rpc.ServerOptions{}, length)
		rule, err := b.Inject(broker.Fault{Command: "config", Delay: broker.Fixed(patience)})
		if err != nil {
			t.Fatal(err)
		}
		client, args := h.newClient(rpc.ClientOptions{}), rpc.Args{"x": strings.Repeat("x", 2<<20)}
		begun := time.Now()
		err = client.Call(context.Background(), "length", args, nil, rpc.Timeout(time.Second))
		if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("got %v after %v, want the end of the timeout after 1s", err, took)
		}
		rule.Remove()
		time.Sleep(2 * patience)
		if got, err := rpc.Call[int](context.Background(), client, "length", args, rpc.Timeout(patience)); err != nil || got != 2<<20 {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// TestInterceptorThatIgnoresAnEncodingError: where an interceptor ignores that a result
// cannot be encoded there is none. It is not what the memory was used for before.
func TestInterceptorThatIgnoresAnEncodingError(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h *house) {
		ignore := func(ctx context.Context, _ *rpc.CallInfo, next func(context.Context) error) error {
			next(ctx)
			return nil
		}
		h.employ(rpc.ServerOptions{Intercept: []rpc.Interceptor{ignore}}, small,
			offer("bad", func(context.Context, struct{}) (any, error) { return func() {}, nil }))
		client := h.newClient(rpc.ClientOptions{})
		for n := range 4 {
			next(t, h.start(context.Background(), client, "small", n, rpc.Timeout(patience))).isResult(t)
			got, err := rpc.Call[json.RawMessage](context.Background(), client, "bad", nil, rpc.Timeout(patience))
			if err != nil || string(got) != "null" {
				t.Errorf("got %q, %v, want null", got, err)
			}
		}
	})
}

// TestCloseWithCallsInManySlots: Close ends calls in more slots of a Cluster than a client
// keeps connections for when they have ended.
func TestCloseWithCallsInManySlots(t *testing.T) {
	t.Parallel()
	c := &cluster{T: t, nodes: redistest.StartCluster(t, 3)}
	h := &house{T: t, cluster: c.client(t), prefix: "p"}
	client := h.newClient(rpc.ClientOptions{})
	const calls = 100
	var ended []<-chan outcome
	for n := range calls {
		ended = append(ended, h.start(context.Background(), client, fmt.Sprint("f", n), n, rpc.Timeout(2*patience)))
	}
	for n := range calls {
		queue := fmt.Sprintf("%s:f%d:calls", h.prefix, n)
		eventually(t, queue, func() bool { return h.cluster.LLen(context.Background(), queue).Val() == 1 })
	}
	closeSoon(t, client)
	for _, ended := range ended {
		is(t, next(t, ended).err, rpc.ErrNoResult, redis.ErrClosed)
	}
	if n := client.Conns(); n != 0 {
		t.Errorf("the client has %d connections after Close", n)
	}
}

// A cutter makes connections of which one is cut while it reads a reply list: the first
// element arrives, and nothing of the others.
type cutter struct {
	outage time.Duration // in which no connection can be made afterwards
	cut    atomic.Bool
	reads  chan bool // of reply lists, as they begin: whether they are for more than one element
}

func (c *cutter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if c.cut.Load() {
		time.Sleep(c.outage)
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &cutterConn{Conn: conn, cutter: c}, err
}

type cutterConn struct {
	net.Conn
	*cutter
	several atomic.Bool // it reads several elements
}

func (c *cutterConn) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("BLMOVE")) && !bytes.Contains(p, []byte("MULTI")) {
		several := bytes.Contains(p, []byte("LRANGE"))
		c.several.Store(several)
		c.reads <- several
	}
	return c.Conn.Write(p)
}

func (c *cutterConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n < 2 || !c.several.Load() || p[0] != '$' || p[1] == '-' { // of Redis's reply: "$", or "$-1" if there is no element
		return n, err
	}
	head := bytes.Index(p[:n], []byte("\r\n*"))
	if head < 0 || !c.cut.CompareAndSwap(false, true) {
		return n, err
	}
	c.Conn.Close()
	return head + 2, nil
}

// TestReplyConnectionCutInTheMiddle: the connection that reads a reply list is cut when
// one result has come and others have not. All come, and what was read before does not
// count as read of the next connection's list.
func TestReplyConnectionCutInTheMiddle(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
	cutter := &cutter{outage: 300 * time.Millisecond, reads: make(chan bool, 10_000)}
	client := h.withOptions(func(opt *redis.Options) { opt.Dialer = cutter.dial }).newClient(rpc.ClientOptions{})
	var ended []<-chan outcome
	call := func(n int) takenCall {
		ended = append(ended, h.start(context.Background(), client, "probe", n, rpc.Timeout(patience)))
		return h.takeCallWithList("probe")
	}
	awaitRead := func(several bool) {
		for next(t, cutter.reads) != several {
		}
	}
	arrive := func(calls ...takenCall) {
		var results []any
		for _, c := range calls {
			results = append(results, listResult(c))
		}
		h.pushResults(h.replyList(calls[0].ReplyTo), results...)
		for _, ended := range ended {
			next(t, ended).isResult(t)
		}
		ended = nil
	}

	first := call(1)
	awaitRead(false)
	second, third := call(2), call(3)
	awaitRead(true) // when the first has found nothing
	arrive(first, second, third)
	if !cutter.cut.Load() {
		t.Fatal("the connection has not been cut")
	}

	fourth := call(4)
	awaitRead(false) // for the fourth only
	fifth := call(5)
	if fourth.ReplyTo == first.ReplyTo {
		t.Errorf("calls name the same list as before the connection was cut: %s", fourth.raw)
	}
	arrive(fourth, fifth)
}

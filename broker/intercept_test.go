package broker

import (
	"errors"
	"fmt"
	"math"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// intercept has a function decide about every command.
func intercept(t testing.TB, b *Broker, f func(*Command) Verdict) *Rule {
	t.Helper()
	r, err := b.Intercept(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What a function can do to a command, and what it sees of it.
func TestIntercept(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		var mu sync.Mutex
		var seen []string
		r := intercept(t, b, func(c *Command) Verdict {
			mu.Lock()
			seen = append(seen, fmt.Sprintf("%s %q %d %q %t", c.Name, c.Args, c.Client, c.ClientName, c.InMulti))
			mu.Unlock()
			switch c.Name {
			case "echo":
				return c.Answer(c.Args[0] + "!")
			case "incr":
				return c.Fail("ERR not today")
			case "client|id":
				return c.Answer(99)
			case "append":
				return c.Drop(DropAfter)
			case "strlen":
				return c.Drop(7)
			case "llen":
				return c.Answer(7).After(time.Second)
			}
			return c.Pass()
		})
		w := newWire(dial(t))
		w.expect(t, "+OK", "CLIENT", "SETNAME", "me")
		w.expect(t, "hello!", "ECHO", "hello")
		w.expect(t, "99", "client", "ID")
		w.expect(t, "-ERR the function that intercepts 'strlen' drops with Drop(7): expected DropBefore, DropAfter or DropHalf", "STRLEN", "k")
		w.expect(t, "-ERR not today", "INCR", "n")
		w.expect(t, "nil", "GET", "n")
		w.expect(t, "-ERR wrong number of arguments for 'get' command", "GET")
		w.expect(t, "+OK", "MULTI")
		w.expect(t, "+QUEUED", "SET", "k", "a b")
		w.expect(t, "[+OK]", "EXEC")
		w.send(t, "LLEN", "q")
		awaitPostponed(t, b, 1)
		await(t, b, "it is delayed", func() bool {
			for h := range b.postponements.all {
				return h.why == delayed
			}
			return false
		})
		b.Advance(time.Second)
		if got := w.reply(t); got != "7" {
			t.Error(got)
		}
		w.write(t, "APPEND k x", "APPEND k y")
		if got := w.all(t); got != "" {
			t.Errorf("received %q", got)
		}
		r.Remove()
		newWire(dial(t)).expect(t, `"a bx"`, "GET", "k")
		want := []string{
			`client|setname ["me"] 1 "" false`, `echo ["hello"] 1 "me" false`, `client|id [] 1 "me" false`, `strlen ["k"] 1 "me" false`, `incr ["n"] 1 "me" false`, `get ["n"] 1 "me" false`,
			`multi [] 1 "me" false`, `set ["k" "a b"] 1 "me" true`, `exec [] 1 "me" true`, `llen ["q"] 1 "me" false`, `append ["k" "x"] 1 "me" false`,
		}
		if !slices.Equal(seen, want) {
			t.Errorf("saw\n%s\nwant\n%s", strings.Join(seen, "\n"), strings.Join(want, "\n"))
		}
		expectCounts(t, r, len(want), len(want))
	})
}

// Every value that has a reply, in both versions of the protocol; of others the client
// hears why there is none.
func TestAnswers(t *testing.T) {
	type name string
	var none *int
	n := 5
	deep := any("x")
	for range 200 {
		deep = []any{deep}
	}
	cycle := []any{nil}
	cycle[0] = cycle
	b := newBroker(t, frozen)
	var value any
	intercept(t, b, func(c *Command) Verdict {
		if c.Name == "get" {
			return c.Answer(value)
		}
		return c.Pass()
	})
	w2, w3 := inMemory(t, b), inMemory(t, b)
	w3.do(t, "HELLO", "3")
	for _, c := range []struct {
		value        any
		resp2, resp3 string
	}{
		{nil, "$-1\r\n", "_\r\n"},
		{"text", "$4\r\ntext\r\n", ""},
		{name("text"), "$4\r\ntext\r\n", ""},
		{[]byte("a\r\nb"), "$4\r\na\r\nb\r\n", ""},
		{Status("OK"), "+OK\r\n", ""},
		{Error("ERR x"), "-ERR x\r\n", ""},
		{errors.New("ERR two\nlines"), "-ERR two lines\r\n", ""},
		{7, ":7\r\n", ""},
		{uint8(7), ":7\r\n", ""},
		{int64(-7), ":-7\r\n", ""},
		{true, ":1\r\n", "#t\r\n"},
		{false, ":0\r\n", "#f\r\n"},
		{1.5, "$3\r\n1.5\r\n", ",1.5\r\n"},
		{float32(0.1), "$3\r\n0.1\r\n", ",0.1\r\n"},
		{math.Inf(1), "$3\r\ninf\r\n", ",inf\r\n"},
		{&n, ":5\r\n", ""},
		{none, "$-1\r\n", "_\r\n"},
		{[]int{1, 2}, "*2\r\n:1\r\n:2\r\n", ""},
		{[2]bool{true}, "*2\r\n:1\r\n:0\r\n", "*2\r\n#t\r\n#f\r\n"},
		{[]any{"a", 1, nil, []string{}}, "*4\r\n$1\r\na\r\n:1\r\n$-1\r\n*0\r\n", "*4\r\n$1\r\na\r\n:1\r\n_\r\n*0\r\n"},
		{map[string]int{"b": 2, "a": 1}, "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n", "%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n"},
		{make(chan int), "-ERR the function that intercepts 'get' answers with a chan int, which has no reply\r\n", ""},
		{[]any{struct{}{}}, "-ERR the function that intercepts 'get' answers with a struct {}, which has no reply\r\n", ""},
		{uint64(1 << 63), "-ERR the function that intercepts 'get' answers with 9223372036854775808, which is more than an integer reply can be\r\n", ""},
		{time.Second, "-ERR the function that intercepts 'get' answers with the time.Duration 1s: expected a number of a unit, such as d.Milliseconds()\r\n", ""},
		{deep, "-ERR the function that intercepts 'get' answers with what is nested more than 128 deep\r\n", ""},
		{cycle, "-ERR the function that intercepts 'get' answers with what is nested more than 128 deep\r\n", ""},
	} {
		value = c.value
		if c.resp3 == "" {
			c.resp3 = c.resp2
		}
		for w, want := range map[*wire]string{w2: c.resp2, w3: c.resp3} {
			w.send(t, "GET", "k")
			got := make([]byte, len(want))
			if _, err := w.in.Read(got); err != nil || string(got) != want || w.in.Buffered() > 0 {
				t.Errorf("%T: got %q, %v; want %q", c.value, got, err, want)
			}
			w.in.Reset(w.Conn)
		}
	}
}

// Commands in a transaction that are answered by a function are not queued, and EXEC
// that is answered ends the transaction.
func TestInterceptInTransaction(t *testing.T) {
	b := newBroker(t, frozen)
	w := inMemory(t, b)
	intercept(t, b, func(c *Command) Verdict {
		if c.Name == "get" && c.InMulti {
			return c.Answer("early")
		}
		if c.Name == "exec" {
			return c.Answer([]string{"made", "up"})
		}
		return c.Pass()
	})
	w.expect(t, "+OK", "MULTI")
	w.expect(t, "early", "GET", "k")
	w.expect(t, "+QUEUED", "SET", "k", "v")
	w.expect(t, "[made up]", "EXEC")
	w.expect(t, "nil", "GET", "k")
}

// A function that waits holds up its own client only, may use the broker meanwhile, and
// does not change the order of the client's commands.
func TestInterceptThatWaits(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		entered, goOn := make(chan struct{}), make(chan struct{})
		inject(t, b, Fault{Client: "slow", Command: "incr", Func: func(c *Command) Verdict {
			if _, err := b.Do("APPEND", "seen", c.Args[0]); err != nil {
				t.Error(err)
			}
			entered <- struct{}{}
			<-goOn
			return c.Pass()
		}})
		slow, other := newWire(dial(t)), newWire(dial(t))
		slow.expect(t, "+OK", "CLIENT", "SETNAME", "slow")
		written := make(chan error)
		go func() {
			_, err := slow.Write(batch("PING", "INCR a", "APPEND order 1", "INCR b", "APPEND order 2", "GET order"))
			written <- err
		}()
		<-entered
		other.expect(t, "a", "GET", "seen")
		other.expect(t, "nil", "GET", "a")
		goOn <- struct{}{}
		<-entered
		other.expect(t, `"1"`, "GET", "order")
		goOn <- struct{}{}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"+PONG", "1", "1", "1", "2", `"12"`} {
			if got := slow.reply(t); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

// Where the client in memory has just written, the function runs in its goroutine; a
// command that goes on because of another client, or of time, has a goroutine of its
// own, so that it does not hold that one up.
func TestInterceptGoroutines(t *testing.T) {
	b := newBroker(t, frozen)
	a, c := inMemory(t, b), inMemory(t, b)
	stack := make(chan string, 1)
	block := make(chan struct{})
	inject(t, b, Fault{Command: "get", Func: func(c *Command) Verdict {
		buf := make([]byte, 64<<10)
		stack <- string(buf[:runtime.Stack(buf, false)])
		<-block
		return c.Pass()
	}})
	go func() { block <- struct{}{} }()
	a.send(t, "GET", "k")
	if got := <-stack; !strings.Contains(got, "MemoryClient).Write") {
		t.Errorf("the function was not called by who wrote:\n%s", got)
	}
	a.reply(t)
	a.write(t, "BLPOP q 0", "GET k")
	c.expect(t, "1", "RPUSH", "q", "x") // is not held up
	if got := <-stack; strings.Contains(got, "MemoryClient).Write") {
		t.Errorf("the function was called by another client:\n%s", got)
	}
	if got := a.reply(t); got != "[q x]" {
		t.Error(got)
	}
	close(block)
	a.reply(t)
}

// A function may write to the connection whose command it decides about, and close it.
func TestInterceptUsesItsConnection(t *testing.T) {
	b := newBroker(t, frozen)
	w := inMemory(t, b)
	calls := 0
	intercept(t, b, func(c *Command) Verdict {
		switch calls++; calls {
		case 1:
			w.write(t, "APPEND k 2")
			b.Advance(time.Second)
			if len(b.Clients()) != 1 || len(b.Rules()) != 1 {
				t.Error("the broker's methods do not work")
			}
		case 3:
			w.Close()
		}
		return c.Pass()
	})
	w.write(t, "APPEND k 1")
	if got := w.reply(t) + w.reply(t); got != "12" {
		t.Error(got)
	}
	w.write(t, "APPEND k 3")
	if got, err := b.Do("GET", "k"); got != "123" || err != nil {
		t.Errorf("%v, %v: what was sent before the close has run", got, err)
	}
	if got := b.Clients(); len(got) != 0 {
		t.Errorf("clients are left: %q", got)
	}
}

// A function that panics, or ends its goroutine, costs its client an error.
func TestInterceptThatFails(t *testing.T) {
	transports(t, frozen, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		intercept(t, b, func(c *Command) Verdict {
			if c.Name == "get" {
				panic("oh")
			}
			return c.Pass()
		})
		w := newWire(dial(t))
		w.expect(t, "-ERR the function that intercepts 'get' panicked: oh", "GET", "k")
		w.expect(t, "+PONG", "PING")
	})
	b := newBroker(t, frozen)
	inject(t, b, Fault{Command: "llen", Func: func(*Command) Verdict { runtime.Goexit(); panic("") }})
	w := inMemory(t, b)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Write(batch("LLEN q", "PING"))
		t.Error("Write returned")
	}()
	<-done
	if got := w.reply(t) + " " + w.reply(t); got != "-ERR the function that intercepts 'llen' has ended its goroutine +PONG" {
		t.Error(got)
	}
}

// Many clients at once, functions that come and go, and no command is lost or out of
// order.
func TestInterceptKeepsOrder(t *testing.T) {
	const clients, commands = 8, 200
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		var asked atomic.Int64
		pass := func(c *Command) Verdict { asked.Add(1); return c.Pass() }
		var wg sync.WaitGroup
		for i := range clients {
			w := newWire(dial(t))
			wg.Go(func() {
				var sent []string
				for n := range commands {
					sent = append(sent, fmt.Sprintf("RPUSH q%d %d", i, n), fmt.Sprintf("BLPOP q%d 0", i))
				}
				for batchOf := range slices.Chunk(sent, 50) {
					if _, err := w.Write(batch(batchOf...)); err != nil {
						t.Error(err)
						return
					}
				}
				for n := range commands {
					for _, want := range []string{"1", fmt.Sprintf("[q%d \"%d\"]", i, n)} {
						if got, err := w.read(); got != want {
							t.Errorf("client %d: got %s, %v; want %s", i, got, err, want)
							return
						}
					}
				}
			})
		}
		for range 50 {
			intercept(t, b, pass).Remove()
		}
		r := intercept(t, b, pass)
		wg.Wait()
		r.Remove()
		t.Logf("%d questions", asked.Load())
	})
}

// Close waits for a function, and says which one holds it up.
func TestCloseDuringIntercept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		goOn := make(chan struct{})
		inject(t, b, Fault{Command: "get", Func: func(c *Command) Verdict { <-goOn; return c.Pass() }})
		a, c := inMemory(t, b), inMemory(t, b)
		a.write(t, "BLPOP q 0", "GET k")
		c.expect(t, "1", "RPUSH", "q", "x")
		if err := b.Close(); err == nil || !strings.Contains(err.Error(), "a function that intercepts get of client 1") {
			t.Errorf("got %v, expected an error that names the function", err)
		}
		close(goOn)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A client that goes while a function decides has its command run, if that is the
// verdict.
func TestInterceptOfClientThatGoes(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		entered, goOn := make(chan struct{}), make(chan struct{})
		inject(t, b, Fault{Command: "set", Func: func(c *Command) Verdict {
			close(entered)
			<-goOn
			return c.Pass()
		}})
		w := newWire(dial(t))
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.Write(batch("SET k v"))
		}()
		<-entered
		w.Close()
		close(goOn)
		<-done
		await(t, b, "it has run", func() bool { return b.keys.DBs[0].Find([]byte("k")) != nil && len(b.sessions) == 0 })
	})
}

func TestInterceptOnClosed(t *testing.T) {
	b := newBroker(t, Options{})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Intercept(func(c *Command) Verdict { return c.Pass() }); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := newBroker(t, Options{}).Intercept(nil); err == nil {
		t.Error("a nil function was taken")
	}
}

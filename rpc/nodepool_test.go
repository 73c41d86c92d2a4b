package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/keyslot"
	"redrpc/rpc/internal/resp"
)

// A script is a node of a Cluster that answers as a test says.
type script struct {
	addr   string
	answer func(command string) string // the reply; none closes the connection

	mu   sync.Mutex // guards seen
	seen []string   // commands, but for those that set up connections
}

// newScripts runs nodes until the test ends, the first of which has all slots for the
// Cluster's client.
func newScripts(t *testing.T, answers ...func(all []*script, command string) string) ([]*script, *nodePool) {
	var all []*script
	var running sync.WaitGroup
	t.Cleanup(running.Wait) // which comes last
	for _, answer := range answers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &script{addr: l.Addr().String()}
		s.answer = func(command string) string { return answer(all, command) }
		all = append(all, s)
		running.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				running.Go(func() { s.serve(conn) })
			}
		})
		t.Cleanup(func() { l.Close() })
	}
	rdb := redis.NewClusterClient(&redis.ClusterOptions{
		ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
			return []redis.ClusterSlot{{Start: 0, End: keyslot.Count - 1, Nodes: []redis.ClusterNode{{Addr: all[0].addr}}}}, nil
		},
	})
	p := newNodePool(newDialer(nodeOptions(rdb.Options()), nil), rdb, 3)
	t.Cleanup(func() {
		p.close()
		rdb.Close()
	})
	return all, p
}

func (s *script) serve(conn net.Conn) {
	defer conn.Close()
	r := resp.NewReader(conn, 4<<10)
	for {
		n, err := r.Array()
		if err != nil {
			return
		}
		var words []string
		for range n {
			word, err := r.Bulk(nil)
			if err != nil {
				return
			}
			words = append(words, string(word))
		}
		reply := "+OK\r\n"
		switch words[0] {
		case "hello":
			reply = "-ERR unknown command\r\n"
		case "ping":
			reply = "+PONG\r\n"
		case "client":
		default:
			command := strings.Join(words, " ")
			s.mu.Lock()
			s.seen = append(s.seen, command)
			s.mu.Unlock()
			if command != "asking" {
				reply = s.answer(command)
			}
		}
		if _, err := io.WriteString(conn, reply); err != nil || reply == "" {
			return
		}
	}
}

// commands are those that were seen.
func (s *script) commands() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.seen, ",")
}

// TestRedirections: each command goes where Redis says, and runs once.
func TestRedirections(t *testing.T) {
	t.Parallel()
	moved := func(to int) func([]*script, string) string {
		return func(all []*script, _ string) string { return fmt.Sprintf("-MOVED 1 %s\r\n", all[to].addr) }
	}
	ask := func(to int) func([]*script, string) string {
		return func(all []*script, _ string) string { return fmt.Sprintf("-ASK 1 %s\r\n", all[to].addr) }
	}
	says := func(reply string) func([]*script, string) string {
		return func([]*script, string) string { return reply }
	}
	for _, c := range []struct {
		name   string
		nodes  []func([]*script, string) string
		seen   []string // by each node
		asking bool
		err    string
	}{
		{name: "here", nodes: []func([]*script, string) string{says(":1\r\n")}, seen: []string{"del a,del b"}},
		{name: "moved", nodes: []func([]*script, string) string{moved(1), says(":1\r\n")}, seen: []string{"del a,del b", "del a,del b"}},
		{name: "moved, without a host",
			nodes: []func([]*script, string) string{func(all []*script, _ string) string {
				_, port, _ := net.SplitHostPort(all[1].addr)
				return fmt.Sprintf("-MOVED 1 :%s\r\n", port)
			}, says(":1\r\n")}, seen: []string{"del a,del b", "del a,del b"}},
		{name: "on its way", nodes: []func([]*script, string) string{ask(1), says(":1\r\n")},
			seen: []string{"del a,del b", "asking,del a,asking,del b"}, asking: true},
		{name: "one of them on its way", nodes: []func([]*script, string) string{func(all []*script, command string) string {
			if command == "del a" {
				return ":1\r\n"
			}
			return ask(1)(all, command)
		}, says(":1\r\n")}, seen: []string{"del a,del b", "asking,del b"}, asking: true},
		{name: "arrived and gone on", nodes: []func([]*script, string) string{ask(1), moved(2), says(":1\r\n")},
			seen: []string{"del a,del b", "asking,del a,asking,del b", "del a,del b"}, asking: true},
		{name: "in between", nodes: []func([]*script, string) string{ask(1), says("-TRYAGAIN later\r\n")},
			seen: []string{"del a,del b", "asking,del a,asking,del b"}, asking: true, err: "TRYAGAIN"},
		{name: "in circles", nodes: []func([]*script, string) string{moved(1), moved(0)},
			seen: []string{"del a,del b,del a,del b,del a,del b", "del a,del b,del a,del b,del a,del b"}, err: "MOVED"},
		{name: "refused", nodes: []func([]*script, string) string{says("-WRONGTYPE no\r\n")}, seen: []string{"del a,del b"}, err: "WRONGTYPE"},
		{name: "lost", nodes: []func([]*script, string) string{says("")}, seen: []string{"del a"}, err: "EOF"},
		{name: "lost on its way", nodes: []func([]*script, string) string{ask(1), says("")}, seen: []string{"del a,del b", "asking,del a"}, asking: true, err: "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, p := newScripts(t, c.nodes...)
			cmds := []redis.Cmder{redis.NewIntCmd(t.Context(), "del", "a"), redis.NewIntCmd(t.Context(), "del", "b")}
			asking := p.do("a", cmds...)
			for i, want := range c.seen {
				if got := all[i].commands(); got != want {
					t.Errorf("node %d got %s, want %s", i, got, want)
				}
			}
			if asking != c.asking {
				t.Errorf("got asking %v, want %v", asking, c.asking)
			}
			for _, cmd := range cmds {
				if err := cmd.Err(); (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("%s: got error %v, want %q", cmd, err, c.err)
				}
				if c.err == "EOF" && isUnsent(cmd.Err()) {
					t.Errorf("%s: got %v, want that it may have been sent", cmd, cmd.Err())
				}
			}
		})
	}
}

// TestPushByNodePool: a message is appended where Redis says, once, and it is known what
// became of it.
func TestPushByNodePool(t *testing.T) {
	t.Parallel()
	const transaction = "multi,rpush k m,expire k 2,exec"
	const asking = "asking,multi,rpush k m,expire k 2,exec"
	takes := func(exec string) func([]*script, string) string {
		return func(_ []*script, command string) string {
			switch command {
			case "del k":
				return ":1\r\n"
			case "multi":
				return "+OK\r\n"
			case "exec":
				return exec
			}
			return "+QUEUED\r\n"
		}
	}
	refuses := func(why func(all []*script) string) func([]*script, string) string {
		return func(all []*script, command string) string {
			switch command {
			case "multi":
				return "+OK\r\n"
			case "exec":
				return "-EXECABORT Transaction discarded because of previous errors.\r\n"
			}
			return "-" + why(all) + "\r\n"
		}
	}
	movedTo1 := func(all []*script) string { return "MOVED 1 " + all[1].addr }
	askFrom1 := func(all []*script) string { return "ASK 1 " + all[1].addr }
	for _, c := range []struct {
		name  string
		nodes []func([]*script, string) string
		again bool
		seen  []string // by each node
		want  pushOutcome
		err   string
	}{
		{name: "here", nodes: []func([]*script, string) string{takes("*2\r\n:1\r\n:1\r\n")}, seen: []string{transaction}, want: pushed},
		{name: "here, again", nodes: []func([]*script, string) string{takes("*2\r\n:1\r\n:1\r\n")}, again: true, seen: []string{"del k," + transaction}, want: pushed},
		{name: "moved", nodes: []func([]*script, string) string{refuses(movedTo1), takes("*2\r\n:1\r\n:1\r\n")}, seen: []string{transaction, transaction}, want: pushed},
		{name: "on its way", nodes: []func([]*script, string) string{refuses(askFrom1), takes("*2\r\n:1\r\n:1\r\n")}, seen: []string{transaction, asking}, want: pushed},
		{name: "on its way, again", nodes: []func([]*script, string) string{refuses(askFrom1), takes("*2\r\n:1\r\n:1\r\n")}, again: true,
			seen: []string{"del k," + transaction, "asking,del k," + asking}, want: pushed},
		{name: "of another type", nodes: []func([]*script, string) string{takes("*2\r\n-WRONGTYPE no\r\n:1\r\n")}, seen: []string{transaction}, want: refused, err: "WRONGTYPE"},
		{name: "out of memory", nodes: []func([]*script, string) string{refuses(func([]*script) string { return "OOM no" })}, seen: []string{transaction}, want: refused, err: "OOM"},
		{name: "lost", nodes: []func([]*script, string) string{takes("")}, seen: []string{transaction}, want: unknown, err: "EOF"},
		{name: "not there", nodes: []func([]*script, string) string{refuses(func([]*script) string { return "MOVED 1 127.0.0.1:1" })}, seen: []string{transaction}, want: notWritten, err: "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, p := newScripts(t, c.nodes...)
			got := p.push(queueMessage{key: "k", message: []byte("m"), life: 1500 * time.Millisecond, again: c.again})
			if got.pushOutcome != c.want || (got.err == nil) != (c.err == "") || got.err != nil && !strings.Contains(got.err.Error(), c.err) {
				t.Errorf("got %v, %v, want %v, %q", got.pushOutcome, got.err, c.want, c.err)
			}
			for i, want := range c.seen {
				if got := all[i].commands(); got != want {
					t.Errorf("node %d got %s, want %s", i, got, want)
				}
			}
		})
	}
}

// TestPopBefore62: LPOP with a count is tried, and done without.
func TestPopBefore62(t *testing.T) {
	t.Parallel()
	all, p := newScripts(t, func(_ []*script, command string) string {
		if command == "lpop q" {
			return "$4\r\ncall\r\n"
		}
		return "-ERR wrong number of arguments for 'lpop' command\r\n"
	})
	got, err := p.pop("q", 5)
	if seen := all[0].commands(); err != nil || len(got) != 1 || string(got[0]) != "call" || seen != "lpop q 5,lpop q" {
		t.Errorf("got %q, %v, by %q", got, err, seen)
	}
}

// TestNodeThatIsNotThere: nothing was sent.
func TestNodeThatIsNotThere(t *testing.T) {
	t.Parallel()
	_, p := newScripts(t, func([]*script, string) string { return "-MOVED 1 127.0.0.1:1\r\n" })
	cmd := redis.NewIntCmd(t.Context(), "del", "a")
	p.do("a", cmd)
	if err := cmd.Err(); err == nil || resp.IsError(err) || !isUnsent(err) {
		t.Errorf("got %v, want an error, and nothing sent", err)
	}
	p.close()
	cmd = redis.NewIntCmd(t.Context(), "del", "a")
	p.do("a", cmd)
	if err := cmd.Err(); !errors.Is(err, redis.ErrClosed) && !errors.Is(err, context.Canceled) {
		t.Errorf("after close got %v", err)
	}
}

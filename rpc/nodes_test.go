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

	"github.com/redis/go-redis/v9"
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
func newScripts(t *testing.T, answers ...func(all []*script, command string) string) ([]*script, *nodes) {
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
			return []redis.ClusterSlot{{Start: 0, End: slots - 1, Nodes: []redis.ClusterNode{{Addr: all[0].addr}}}}, nil
		},
	})
	n := newNodes(rdb)
	t.Cleanup(func() {
		n.close()
		rdb.Close()
	})
	return all, n
}

func (s *script) serve(conn net.Conn) {
	defer conn.Close()
	r := newReader(conn, 4<<10)
	for {
		n, err := r.array()
		if err != nil {
			return
		}
		var words []string
		for range n {
			word, err := r.bulk(nil)
			if err != nil {
				return
			}
			words = append(words, string(word))
		}
		reply := "+OK\r\n"
		switch strings.ToUpper(words[0]) {
		case "HELLO":
			reply = "-ERR unknown command\r\n"
		case "PING":
			reply = "+PONG\r\n"
		case "CLIENT":
		default:
			command := strings.Join(words, " ")
			s.mu.Lock()
			s.seen = append(s.seen, command)
			s.mu.Unlock()
			if command != "ASKING" {
				reply = s.answer(command)
			}
		}
		if _, err := io.WriteString(conn, reply); err != nil || reply == "" {
			return
		}
	}
}

// TestRedirections: each errand goes where Redis says, and runs once.
func TestRedirections(t *testing.T) {
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
		name  string
		nodes []func([]*script, string) string
		seen  []string // by each node
		asked bool
		err   string
	}{
		{name: "here", nodes: []func([]*script, string) string{says(":1\r\n")}, seen: []string{"DEL a,DEL b"}},
		{name: "moved", nodes: []func([]*script, string) string{moved(1), says(":1\r\n")}, seen: []string{"DEL a,DEL b", "DEL a,DEL b"}},
		{name: "moved, without a host",
			nodes: []func([]*script, string) string{func(all []*script, _ string) string {
				_, port, _ := net.SplitHostPort(all[1].addr)
				return fmt.Sprintf("-MOVED 1 :%s\r\n", port)
			}, says(":1\r\n")}, seen: []string{"DEL a,DEL b", "DEL a,DEL b"}},
		{name: "on its way", nodes: []func([]*script, string) string{ask(1), says(":1\r\n")},
			seen: []string{"DEL a,DEL b", "ASKING,DEL a,ASKING,DEL b"}, asked: true},
		{name: "one of them on its way", nodes: []func([]*script, string) string{func(all []*script, command string) string {
			if command == "DEL a" {
				return ":1\r\n"
			}
			return ask(1)(all, command)
		}, says(":1\r\n")}, seen: []string{"DEL a,DEL b", "ASKING,DEL b"}, asked: true},
		{name: "arrived and gone on", nodes: []func([]*script, string) string{ask(1), moved(2), says(":1\r\n")},
			seen: []string{"DEL a,DEL b", "ASKING,DEL a,ASKING,DEL b", "DEL a,DEL b"}, asked: true},
		{name: "in between", nodes: []func([]*script, string) string{ask(1), says("-TRYAGAIN later\r\n")},
			seen: []string{"DEL a,DEL b", "ASKING,DEL a,ASKING,DEL b"}, asked: true, err: "TRYAGAIN"},
		{name: "in circles", nodes: []func([]*script, string) string{moved(1), moved(0)},
			seen: []string{"DEL a,DEL b,DEL a,DEL b,DEL a,DEL b", "DEL a,DEL b,DEL a,DEL b,DEL a,DEL b"}, err: "MOVED"},
		{name: "refused", nodes: []func([]*script, string) string{says("-WRONGTYPE no\r\n")}, seen: []string{"DEL a,DEL b"}, err: "WRONGTYPE"},
		{name: "lost", nodes: []func([]*script, string) string{says("")}, seen: []string{"DEL a"}, err: "EOF"},
		{name: "lost on its way", nodes: []func([]*script, string) string{ask(1), says("")}, seen: []string{"DEL a,DEL b", "ASKING,DEL a"}, asked: true, err: "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, n := newScripts(t, c.nodes...)
			a, b := command("DEL", "a"), command("DEL", "b")
			n.run(a, b)
			for i, want := range c.seen {
				if got := strings.Join(all[i].seen, ","); got != want {
					t.Errorf("node %d got %s, want %s", i, got, want)
				}
			}
			if b.asked != c.asked {
				t.Errorf("got asked %v, want %v", b.asked, c.asked)
			}
			for _, e := range []*errand{a, b} {
				if (e.err == nil) != (c.err == "") || e.err != nil && !strings.Contains(e.err.Error(), c.err) {
					t.Errorf("%s: got error %v, want %q", e.commands, e.err, c.err)
				}
				if c.err == "EOF" && e.how != wroteAll {
					t.Errorf("%s: got %v written, want all", e.commands, e.how)
				}
			}
		})
	}
}

// TestPopBefore62: LPOP with a count is tried, and done without.
func TestPopBefore62(t *testing.T) {
	all, n := newScripts(t, func(_ []*script, command string) string {
		if command == "LPOP q" {
			return "$4\r\ncall\r\n"
		}
		return "-ERR wrong number of arguments for 'lpop' command\r\n"
	})
	got, err := n.pop("q", 5, new(buffers))
	if err != nil || len(got) != 1 || string(got[0]) != "call" || strings.Join(all[0].seen, ",") != "LPOP q 5,LPOP q" {
		t.Errorf("got %q, %v, by %q", got, err, all[0].seen)
	}
}

// TestNodeThatIsNotThere: nothing was sent.
func TestNodeThatIsNotThere(t *testing.T) {
	_, n := newScripts(t, func([]*script, string) string { return "-MOVED 1 127.0.0.1:1\r\n" })
	e := command("DEL", "a")
	n.run(e)
	if e.err == nil || isReply(e.err) || e.how != wroteNothing {
		t.Errorf("got %v, %v, want an error, and nothing written", e.err, e.how)
	}
	n.close()
	n.run(e)
	if !errors.Is(e.err, redis.ErrClosed) && !errors.Is(e.err, context.Canceled) || e.how != wroteNothing {
		t.Errorf("after close got %v, %v", e.err, e.how)
	}
}

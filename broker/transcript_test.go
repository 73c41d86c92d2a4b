package broker

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"redrpc/broker/internal/resp"
	"redrpc/internal/redistest"
)

// Transcripts (testdata/*.txt) are conversations of several clients with the
// server. They are replayed on the broker, over every kind of connection, and on
// a real redis-server, which is right where the two differ: -update writes what
// it answers into the files.
//
//	# a comment
//	a> SET k v          client a sends a command; {b} stands for the id of b, if it was named before
//	a< +OK              and gets a reply, written as wire.reply does
//	wait 20ms           time passes
//	a closes            client a closes its connection
//
// The times and addresses that MONITOR shows are left out, and what CLIENT LIST says of the
// connection, the moment and memory.
//
// A client whose command is not followed by its reply, but by a line about
// another client, is expected to be blocked.

var update = flag.Bool("update", false, "write the replies of redis-server into the transcripts")

// shownBy is how MONITOR begins to show a command: when, where and by whom.
var shownBy = regexp.MustCompile(`^\+\d+\.\d{6} \[(\d+) [^\]]+\]`)

// varying are the fields of CLIENT LIST and ACL LOG that depend on the connection, the
// moment (what a socket has not taken yet) and how memory is managed; and so does flag U.
var (
	varying  = regexp.MustCompile(`\b(id|addr|laddr|fd|age|idle|qbuf-free|multi-mem|rbs|rbp|oll|omem|tot-mem|events)=\S+`)
	age      = regexp.MustCompile(`age-seconds [^ \]]+`)
	unixFlag = regexp.MustCompile(`( flags=)(\S*)U(\S*)`)
)

// withoutVarying leaves out what CLIENT LIST says of the connection.
func withoutVarying(reply string) string {
	if !strings.Contains(reply, " laddr=") {
		return reply
	}
	reply = unixFlag.ReplaceAllString(reply, "$1$2$3")
	reply = strings.ReplaceAll(reply, " flags= ", " flags=N ")
	reply = age.ReplaceAllString(reply, "age-seconds *")
	return varying.ReplaceAllString(reply, "$1=*")
}

// A target is a server that a transcript is replayed on.
type target struct {
	dial func(testing.TB) net.Conn
	wait func(testing.TB, time.Duration)
}

func TestTranscripts(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		replayAll(t, func(t *testing.T) target {
			b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0)})
			return target{
				func(t testing.TB) net.Conn { return inMemory(t, b).Conn },
				func(_ testing.TB, d time.Duration) { b.Advance(d) },
			}
		})
	})
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			replayAll(t, func(t *testing.T) target {
				b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0)})
				dial := serve(t, b, network)
				return target{
					dial,
					func(_ testing.TB, d time.Duration) { b.Advance(d) },
				}
			})
		})
	}
	t.Run("redis", func(t *testing.T) {
		server := redistest.Start(t, "--enable-debug-command", "yes")
		replayAll(t, func(t *testing.T) target {
			control := newWire(dial(t, server.TCPAddr()))
			control.expect(t, "+OK", "FLUSHALL")
			return target{
				func(t testing.TB) net.Conn { return dial(t, server.TCPAddr()) },
				func(t testing.TB, d time.Duration) {
					control.expect(t, "0", "WAIT", "1", fmt.Sprint(d.Milliseconds())) // for a replica that there is not
				},
			}
		})
	})
}

func dial(t testing.TB, addr net.Addr) net.Conn {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func replayAll(t *testing.T, open func(*testing.T) target) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r := &replay{target: open(t), clients: map[string]*wire{}}
			r.control = newWire(r.dial(t))
			isReference := strings.Contains(t.Name(), "/redis/")
			answered := r.run(t, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), *update && isReference)
			if *update && isReference {
				if err := os.WriteFile(file, []byte(strings.Join(answered, "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A replay is one run of a transcript.
type replay struct {
	target
	control *wire
	clients map[string]*wire
}

// run replays lines and returns them with the replies that came.
func (r *replay) run(t *testing.T, lines []string, record bool) []string {
	t.Helper()
	for i, line := range lines {
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("line %d: %s\n%s", i+1, line, fmt.Sprintf(format, args...))
		}
		who, what, _ := strings.Cut(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case who == "wait":
			d, err := time.ParseDuration(what)
			if err != nil {
				fail("%v", err)
			}
			r.wait(t, d)
		case what == "closes":
			if err := r.client(t, who).Close(); err != nil {
				fail("%v", err)
			}
			delete(r.clients, who)
		case strings.HasSuffix(who, ">"):
			name := strings.TrimSuffix(who, ">")
			args, ok := resp.SplitLine([]byte(r.substitute(what)))
			if !ok {
				fail("expected arguments, with closed quotes")
			}
			words := make([]string, len(args))
			for i, arg := range args {
				words[i] = string(arg)
			}
			c := r.client(t, name)
			c.send(t, words...)
			if i+1 < len(lines) && !strings.HasPrefix(lines[i+1], name) {
				r.awaitBlocked(t, c, fail)
			}
		case strings.HasSuffix(who, "<"):
			got, err := r.client(t, strings.TrimSuffix(who, "<")).read()
			if err != nil {
				got = "closed"
			}
			got = withoutVarying(got)
			got = shownBy.ReplaceAllString(got, "+(time) [$1 (client)]")
			if record {
				lines[i] = who + " " + r.withNames(got)
			} else if want := r.substitute(what); got != want {
				fail("got   %s\nwant  %s", got, want)
			}
		default:
			fail("expected 'a> command', 'a< reply', 'wait duration', 'a closes' or a comment")
		}
	}
	r.drain(t)
	return lines
}

// client returns a client by name, connecting it if it is new.
func (r *replay) client(t *testing.T, name string) *wire {
	t.Helper()
	c := r.clients[name]
	if c == nil {
		c = newWire(r.dial(t))
		if _, err := fmt.Sscan(c.do(t, "CLIENT", "ID"), &c.id); err != nil {
			t.Fatal(err)
		}
		r.clients[name] = c
	}
	return c
}

// substitute replaces {a} by the id of client a.
func (r *replay) substitute(s string) string {
	for name, c := range r.clients {
		s = strings.ReplaceAll(s, "{"+name+"}", fmt.Sprint(c.id))
	}
	return s
}

// withNames is the reverse of substitute, for the fields that hold a client's id.
func (r *replay) withNames(s string) string {
	for name, c := range r.clients {
		id := regexp.MustCompile(fmt.Sprintf(`\b(id |redirect |tracking-redir-broken |redir=)%d\b`, c.id))
		s = id.ReplaceAllString(s, "$1{"+name+"}")
	}
	return s
}

// awaitBlocked waits until the server says that a client is blocked.
func (r *replay) awaitBlocked(t *testing.T, c *wire, fail func(string, ...any)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		if r.isBlocked(t, c) {
			return
		}
	}
	fail("the client is not blocked, and no reply of it is expected next")
}

func (r *replay) isBlocked(t *testing.T, c *wire) bool {
	t.Helper()
	info := r.control.do(t, "CLIENT", "LIST", "ID", fmt.Sprint(c.id))
	_, flags, _ := strings.Cut(info, " flags=")
	flags, _, _ = strings.Cut(flags, " ")
	return strings.Contains(flags, "b")
}

// drain fails the test if a client got something that the transcript does not
// have.
func (r *replay) drain(t *testing.T) {
	t.Helper()
	for name, c := range r.clients {
		if r.isBlocked(t, c) {
			continue
		}
		if _, err := c.Write(request("PING", "the end")); err != nil {
			continue // the server has closed it, as the transcript says
		}
		got, err := c.read()
		if err == nil && got != `"the end"` && got != `[pong "the end"]` && !strings.HasPrefix(got, "-NOAUTH") && got != "+QUEUED" {
			t.Errorf("client %s got what the transcript does not have: %s", name, got)
		}
	}
}

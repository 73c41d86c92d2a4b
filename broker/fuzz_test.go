//go:build unix

package broker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/transport"
)

// What several clients do to a broker, in whatever order, with time passing and
// connections ending between, makes no handler panic, spoils no reply, and leaves
// nothing behind that does not agree with the rest.
func FuzzSessions(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for i, part := range slices.Collect(slices.Chunk(operationsOf(string(text)), 40)) {
			f.Add(encodeOperations(byte(i), part))
			if got := slices.Collect(decodeOperations(encodeOperations(0, part)[1:])); fmt.Sprint(got) != fmt.Sprint(part) {
				f.Fatalf("%s: what was encoded as\n%v\nis decoded as\n%v", file, part, got)
			}
		}
	}
	f.Add(encodeOperations(2, operationsOf(testCommandOperations))) // with Options.TestCommands
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		p := newFuzzedBroker(t, data[0])
		for a := range decodeOperations(data[1:]) {
			if p.apply(a); p.over {
				return
			}
		}
		p.end()
	})
}

// testCommandOperations are commands that no transcript has, as redis-server has none of them.
const testCommandOperations = `
a> REDRPC.WAITBLOCKED 2 0 q
b> BLPOP q 1
c> BLPOP q p 0
d> REDRPC.SEED "RPUSH p x\nREDRPC.SEED 'SELECT 1'\nSET k v PX 1500\nREDRPC.ADVANCE 1"
d> MULTI
d> REDRPC.ADVANCE 500
d> REDRPC.WAITBLOCKED 1 1
d> EXEC
e> REDRPC.WAITBLOCKED 9 5
e closes
a> REDRPC.ADVANCE 1000
d> REDRPC.SNAPSHOT
d> REDRPC.FAULT ADD "command=get delay=5ms drop=half"
a> REDRPC.FAULT WAIT 1 1 0
b> GET k
d> REDRPC.FAULT LIST
d> REDRPC.FAULT DEL 1
d> CLIENT SETNAME me
b> CLIENT SETNAME slow
d> REDRPC.FAULT ADD "client=slow rtt=10ms upload=1kb"
b> GET k
d> REDRPC.FAULT DEL 2
d> NONSENSE
d> REDRPC.LOG 3
d> REDRPC.VIOLATIONS
`

// An operation is what happens to a broker in one moment.
type operation struct {
	kind   operationKind
	client int
	args   []string       // of a command
	raw    string         // bytes that the client sends
	peer   transport.Peer // what the client's link says of it from now on
	time   time.Duration  // that passes
}

type operationKind byte

const (
	commands     operationKind = iota // a client sends a command
	moreCommands                      // likewise: it is done most often
	pieces                            // a client sends bytes
	doing                             // a command is run by Do
	doubting                          // a link knows something else of its client
	closings                          // a client goes
	passings                          // time passes
	resumptions                       // a stall is ended
	operationKinds
)

// fuzzClients is how many clients there are.
const fuzzClients = 6

// String is an act as a line of a transcript.
func (a operation) String() string {
	who := string(rune('a' + a.client))
	switch a.kind {
	case commands, moreCommands:
		return fmt.Sprintf("%s> %s", who, asTyped(a.args))
	case pieces:
		return fmt.Sprintf("%s sends %q", who, a.raw)
	case doing:
		return "Do " + asTyped(a.args)
	case doubting:
		return fmt.Sprintf("# the link of %s is in state %d", who, a.peer)
	case closings:
		return who + " closes"
	case passings:
		return fmt.Sprintf("wait %v", a.time)
	case resumptions:
		return "# the stall ends"
	}
	return "nothing"
}

// A fuzzedBroker is a broker with the clients that act on it. They have no connections: bytes
// go in and come out.
type fuzzedBroker struct {
	*testing.T
	broker     *Broker
	transports [fuzzClients]*fakeTransport
	panics     bytes.Buffer
	history    []string
	over       bool // SHUTDOWN has closed the broker
}

// newFuzzedBroker opens a broker. Each bit of the options sets one.
func newFuzzedBroker(t *testing.T, options byte) *fuzzedBroker {
	p := &fuzzedBroker{T: t}
	o := Options{
		ManualTime: time.Unix(1_700_000_000, 0), Databases: 3, MaxBulk: 1 << 20, MaxQuery: 64 << 10,
		Logger: slog.New(&panicHandler{Handler: slog.NewTextHandler(&p.panics, nil)}),
	}
	for i, set := range []func(){
		func() { o.MaxMemory = keyspace.EmptyBytes + 20_000 },
		func() { o.TestCommands = true },
		func() { o.MaxTracked = 2 },
		func() { o.KeyspaceEvents = "KEA" },
		func() { o.LogSize = 10 },
		func() {
			o.Pending, o.PendingPubSub = PendingLimit{Hard: 4 << 10}, PendingLimit{Soft: 2 << 10, SoftFor: time.Second}
		},
		func() { o.IdleTimeout = time.Minute },
		func() { o.Password = "secret" },
	} {
		if options>>i&1 != 0 {
			set()
		}
	}
	p.broker = newBroker(t, o)
	for i := range p.transports {
		p.open(i)
	}
	return p
}

// A panicHandler handles records of panics only.
type panicHandler struct{ slog.Handler }

func (h *panicHandler) Handle(ctx context.Context, r slog.Record) error {
	panicked := false
	r.Attrs(func(a slog.Attr) bool {
		panicked = panicked || a.Key == "panic"
		return !panicked
	})
	if !panicked {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (p *fuzzedBroker) open(client int) {
	l := &fakeTransport{}
	p.transports[client] = l
	p.broker.enter()
	err := p.broker.open(l)
	p.broker.leave()
	if p.over = errors.Is(err, ErrClosed); err != nil && !p.over {
		p.Fatal(err)
	}
}

// apply does what an act says, and looks at what has become of the broker.
func (p *fuzzedBroker) apply(a operation) {
	p.history = append(p.history, a.String())
	b, l := p.broker, p.transports[a.client]
	switch a.kind {
	case commands, moreCommands:
		if len(a.args) > 0 {
			b.receive(l.session, request(a.args...))
		}
	case pieces:
		b.receive(l.session, []byte(a.raw))
	case doing:
		args := make([]any, len(a.args))
		for i, arg := range a.args {
			args[i] = arg
		}
		b.Do(args...) // its result is of no interest
	case doubting:
		l.state = a.peer
	case closings:
		hangUp(b, l.session)
	case passings:
		b.Advance(a.time)
	case resumptions:
		b.Resume()
	}
	p.check()
	for i, l := range p.transports {
		if (l.session.closed || l.session.disconnected) && !p.over {
			p.open(i)
		}
	}
}

// check fails the test if something does not agree with the rest.
func (p *fuzzedBroker) check() {
	b := p.broker
	b.enter()
	v := b.violation()
	b.leave()
	if p.panics.Len() > 0 {
		v = p.panics.String()
	}
	for i, l := range p.transports {
		if l.session.closed && l.session.waiter != nil {
			v = fmt.Sprintf("%c is closed, and waits", 'a'+i)
		}
		in := bufio.NewReader(bytes.NewReader(l.got))
		for v == "" {
			_, err := readReply(in)
			if errors.Is(err, io.EOF) && in.Buffered() == 0 {
				break
			} else if err != nil {
				v = fmt.Sprintf("%c receives %q: %v", 'a'+i, l.got, err)
			}
		}
		l.got = l.got[:0]
	}
	if v != "" {
		p.Fatalf("%s\n# %s", strings.Join(p.history, "\n"), v)
	}
}

// end closes all clients: nothing is left of them.
func (p *fuzzedBroker) end() {
	b := p.broker
	for _, r := range b.Rules() {
		r.Remove()
	}
	b.Resume()
	b.Do("CLIENT", "UNPAUSE")
	for i, l := range p.transports {
		p.history = append(p.history, fmt.Sprintf("%c closes", 'a'+i))
		hangUp(b, l.session)
		p.check()
	}
	b.Resume() // one of the closed clients may have begun another stall
	b.Do("CLIENT", "UNPAUSE")
	p.check()
	b.enter()
	left := b.leftovers()
	b.leave()
	if left != "" {
		p.Fatalf("%s\n# All clients have gone, and there are %s", strings.Join(p.history, "\n"), left)
	}
}

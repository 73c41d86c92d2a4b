package rpc

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"redrpc/rpc/internal/resp"
)

// readReplies reads replies from a text.
func (b *batch) readReplies(replies string) (multi bool, err error) {
	return b.readFrom(resp.NewReader(strings.NewReader(replies), 64))
}

func TestBatchCommands(t *testing.T) {
	t.Parallel()
	var b batch
	b.add(nil, queueMessage{key: "a", message: []byte("1"), life: time.Minute})
	b.add(nil, queueMessage{key: "b", message: []byte("3"), life: 1500 * time.Millisecond, again: true})
	b.add(nil, queueMessage{key: "a", message: []byte("2"), life: time.Minute})
	got := string(b.appendTo(nil))
	var want []byte
	for _, c := range []string{"DEL b", "MULTI", "RPUSH a 1 2", "EXPIRE a 60", "RPUSH b 3", "EXPIRE b 2", "EXEC"} {
		want = resp.AppendCommand(want, strings.Fields(c)...)
	}
	if got != string(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestBatchReplies: what is known of each of three pushes from the replies of Redis 7.0.
func TestBatchReplies(t *testing.T) {
	t.Parallel()
	const ok, queued = "+OK\r\n", "+QUEUED\r\n"
	const oom, noPerm, discarded = "-OOM too much\r\n", "-NOPERM no\r\n", "-EXECABORT Transaction discarded because of previous errors.\r\n"
	for _, c := range []struct {
		name, replies string
		want          []string // of each: pushed, aborted, or what it was refused with
		broken        string   // part of the error if nothing is known
	}{
		{"all pushed", ok + strings.Repeat(queued, 6) + "*6\r\n:1\r\n:1\r\n:5\r\n:1\r\n:1\r\n:1\r\n", []string{"pushed", "pushed", "pushed"}, ""},
		{"one of another type", ok + strings.Repeat(queued, 6) + "*6\r\n:1\r\n:1\r\n-WRONGTYPE no\r\n:1\r\n:1\r\n:1\r\n", []string{"pushed", "WRONGTYPE no", "pushed"}, ""},
		{"one without its expiry", ok + strings.Repeat(queued, 6) + "*6\r\n:1\r\n-ERR odd\r\n:1\r\n:1\r\n:1\r\n:1\r\n", []string{"pushed", "pushed", "pushed"}, ""},
		{"one forbidden", ok + queued + queued + noPerm + noPerm + queued + queued + discarded, []string{"aborted", "NOPERM no", "aborted"}, ""},
		{"EXPIRE forbidden for one", ok + queued + queued + queued + noPerm + queued + queued + discarded, []string{"aborted", "NOPERM no", "aborted"}, ""},
		{"memory full from the second on", ok + queued + queued + oom + queued + oom + queued + discarded, []string{"aborted", "OOM too much", "OOM too much"}, ""},
		{"EXEC refused", ok + strings.Repeat(queued, 6) + "-EXECABORT Transaction discarded because of: OOM\r\n", []string{"OOM", "OOM", "OOM"}, ""},
		{"without MULTI", noPerm + ":1\r\n:1\r\n-WRONGTYPE no\r\n:1\r\n:3\r\n" + noPerm + "-ERR EXEC without MULTI\r\n", []string{"pushed", "WRONGTYPE no", "pushed"}, ""},
		{"EXEC is null", ok + strings.Repeat(queued, 6) + "*-1\r\n", nil, "expected what EXEC did: null"},
		{"too few in EXEC", ok + strings.Repeat(queued, 6) + "*1\r\n:1\r\n", nil, "expected 6 replies from EXEC, got 1"},
		{"EXEC forbidden", ok + strings.Repeat(queued, 6) + noPerm, nil, "NOPERM"}, // and the transaction is still open
		{"cut off", ok + queued + queued, nil, io.EOF.Error()},
	} {
		b := batch{pushes: make([]listPush, 3)}
		b.pushes[0].result = pushResult{refused, errors.New("of another batch")}
		multi, err := b.readReplies(c.replies)
		if c.broken != "" {
			if err == nil || resp.IsError(err) || err != errOpen && !strings.Contains(err.Error(), c.broken) {
				t.Errorf("%s: got error %v, want %q", c.name, err, c.broken)
			}
			continue
		}
		for i, p := range b.pushes {
			got := map[pushOutcome]string{pushed: "pushed", notWritten: "aborted"}[p.result.pushOutcome]
			if p.result.pushOutcome == refused {
				got = p.result.err.Error()
			}
			if err != nil || !strings.HasPrefix(got, c.want[i]) || got == "" {
				t.Errorf("%s: got %q for push %d, %v, want %q", c.name, got, i, err, c.want[i])
			}
		}
		if want := strings.HasPrefix(c.replies, ok); multi != want {
			t.Errorf("%s: MULTI works: %v, want %v", c.name, multi, want)
		}
	}
}

// TestBatchRepliesAgain: the replies to DEL come first, and whether the list was there, or
// cannot be deleted, changes nothing.
func TestBatchRepliesAgain(t *testing.T) {
	t.Parallel()
	for _, deleted := range []string{":0\r\n", ":1\r\n", "-NOPERM no\r\n"} {
		b := batch{pushes: []listPush{{}, {again: true}}}
		r := resp.NewReader(strings.NewReader(deleted+"+OK\r\n"+strings.Repeat("+QUEUED\r\n", 4)+"*4\r\n:1\r\n:1\r\n:1\r\n:1\r\n+next\r\n"), 64)
		multi, err := b.readFrom(r)
		if !multi || err != nil || b.pushes[0].result.pushOutcome != pushed || b.pushes[1].result.pushOutcome != pushed {
			t.Errorf("%q: got %v, %v, %v", deleted, b.pushes, multi, err)
		}
		if next, err := r.Skip(); next != nil || err != nil {
			t.Errorf("%q: what follows is not read next: %v, %v", deleted, next, err)
		}
	}
}

// TestBatchRepliesCut: Redis refuses a message as too long, and reads no further, so
// nothing of the transaction is done.
func TestBatchRepliesCut(t *testing.T) {
	t.Parallel()
	b := batch{pushes: make([]listPush, 3)}
	multi, err := b.readReplies("+OK\r\n+QUEUED\r\n+QUEUED\r\n-ERR Protocol error: invalid bulk length\r\n")
	if err != errCut || !multi {
		t.Errorf("got %v, %v, want that Redis closes the connection", multi, err)
	}
	for i, want := range []pushOutcome{notWritten, refused, notWritten} {
		if got := b.pushes[i].result; got.pushOutcome != want || got.err == nil {
			t.Errorf("got %v for push %d, want %v", got, i, want)
		}
	}
}

func TestWholeSeconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]int64{1: 1, time.Second: 1, time.Second + 1: 2, 120 * time.Second: 120} {
		if got := wholeSeconds(d); got != want {
			t.Errorf("%v: got %d, want %d", d, got, want)
		}
	}
}

// FuzzBatchReplies: whatever comes, it is read or refused.
func FuzzBatchReplies(f *testing.F) {
	f.Add("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n:1\r\n:1\r\n:1\r\n:1\r\n")
	f.Fuzz(func(_ *testing.T, replies string) {
		b := batch{pushes: make([]listPush, 2)}
		_, _ = b.readReplies(replies)
	})
}

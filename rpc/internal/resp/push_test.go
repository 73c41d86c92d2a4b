package resp

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestAppendPushes(t *testing.T) {
	got := string(AppendPushes(nil, []Push{
		{Key: "a", Messages: [][]byte{[]byte("1"), []byte("2")}, Life: time.Minute},
		{Key: "b", Messages: [][]byte{[]byte("3")}, Life: 1500 * time.Millisecond, Again: true},
	}))
	var want []byte
	for _, c := range []string{"DEL b", "MULTI", "RPUSH a 1 2", "EXPIRE a 60", "RPUSH b 3", "EXPIRE b 2", "EXEC"} {
		want = AppendCommand(want, strings.Fields(c)...)
	}
	if got != string(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestReadPushes: what is known of each of three pushes from the replies of Redis 7.0.
func TestReadPushes(t *testing.T) {
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
		outcomes := []PushOutcome{{Refused, errors.New("of another batch")}, {}, {}}
		multi, err := readerOf(c.replies).ReadPushes(make([]Push, 3), outcomes)
		if c.broken != "" {
			if err == nil || IsError(err) || !IsSettled(err) && !strings.Contains(err.Error(), c.broken) {
				t.Errorf("%s: got error %v, want %q", c.name, err, c.broken)
			}
			continue
		}
		for i, o := range outcomes {
			got := map[PushKind]string{Pushed: "pushed", Aborted: "aborted"}[o.Kind]
			if o.Kind == Refused {
				got = o.Err.Error()
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

// TestReadPushesAgain: the replies to DEL come first, and whether the list was there, or
// cannot be deleted, changes nothing.
func TestReadPushesAgain(t *testing.T) {
	for _, deleted := range []string{":0\r\n", ":1\r\n", "-NOPERM no\r\n"} {
		outcomes := make([]PushOutcome, 2)
		r := readerOf(deleted + "+OK\r\n" + strings.Repeat("+QUEUED\r\n", 4) + "*4\r\n:1\r\n:1\r\n:1\r\n:1\r\n+next\r\n")
		multi, err := r.ReadPushes([]Push{{}, {Again: true}}, outcomes)
		if !multi || err != nil || outcomes[0].Kind != Pushed || outcomes[1].Kind != Pushed {
			t.Errorf("%q: got %v, %v, %v", deleted, outcomes, multi, err)
		}
		if err := r.Status(); err != nil {
			t.Errorf("%q: what follows is not read next: %v", deleted, err)
		}
	}
}

// TestReadPushesCut: Redis refuses a message as too long, and reads no further, so
// nothing of the transaction is done.
func TestReadPushesCut(t *testing.T) {
	outcomes := make([]PushOutcome, 3)
	multi, err := readerOf("+OK\r\n+QUEUED\r\n+QUEUED\r\n-ERR Protocol error: invalid bulk length\r\n").ReadPushes(make([]Push, 3), outcomes)
	if !IsCut(err) || !IsSettled(err) || !multi {
		t.Errorf("got %v, %v, want that Redis closes the connection", multi, err)
	}
	for i, want := range []PushKind{Aborted, Refused, Aborted} {
		if outcomes[i].Kind != want || outcomes[i].Err == nil {
			t.Errorf("got %v for push %d, want %v", outcomes[i], i, want)
		}
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int64{1: 1, time.Second: 1, time.Second + 1: 2, 120 * time.Second: 120} {
		if got := Seconds(d); got != want {
			t.Errorf("%v: got %d, want %d", d, got, want)
		}
	}
}

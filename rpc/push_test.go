package rpc

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestAppendPushes(t *testing.T) {
	got := string(appendPushes(nil, []parcel{
		{key: "a", messages: [][]byte{[]byte("1"), []byte("2")}, life: time.Minute},
		{key: "b", messages: [][]byte{[]byte("3")}, life: 1500 * time.Millisecond},
	}))
	var want []byte
	for _, c := range []string{"MULTI", "RPUSH a 1 2", "EXPIRE a 60", "RPUSH b 3", "EXPIRE b 2", "EXEC"} {
		want = appendCommand(want, strings.Fields(c)...)
	}
	if got != string(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestFates: what is known of each of three parcels from the replies of Redis 7.0.
func TestFates(t *testing.T) {
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
		{"EXEC refused", ok + strings.Repeat(queued, 6) + "-EXECABORT Transaction discarded because of: OOM\r\n", []string{"EXECABORT", "EXECABORT", "EXECABORT"}, ""},
		{"without MULTI", noPerm + ":1\r\n:1\r\n-WRONGTYPE no\r\n:1\r\n:3\r\n" + noPerm + "-ERR EXEC without MULTI\r\n", []string{"pushed", "WRONGTYPE no", "pushed"}, ""},
		{"EXEC is null", ok + strings.Repeat(queued, 6) + "*-1\r\n", nil, "expected what EXEC did: null"},
		{"too few in EXEC", ok + strings.Repeat(queued, 6) + "*1\r\n:1\r\n", nil, "expected 6 replies from EXEC, got 1"},
		{"EXEC of another mind", ok + strings.Repeat(queued, 6) + noPerm, nil, "expected EXEC to run or to abort: NOPERM"},
		{"a string", ok + "$1\r\nx\r\n", nil, "expected QUEUED"},
		{"cut off", ok + queued + queued, nil, io.EOF.Error()},
	} {
		r := readerOf(c.replies)
		fates := []fate{{refused, errors.New("of another batch")}, {}, {}}
		err := readPushes(r, fates)
		if c.broken != "" {
			if err == nil || isReply(err) && !strings.Contains(c.broken, "NOPERM") || !strings.Contains(err.Error(), c.broken) {
				t.Errorf("%s: got error %v, want %q", c.name, err, c.broken)
			}
			continue
		}
		for i, f := range fates {
			got := map[fateKind]string{pushed: "pushed", aborted: "aborted"}[f.kind]
			if f.kind == refused {
				got = f.why.Error()
			}
			if err != nil || !strings.HasPrefix(got, c.want[i]) || got == "" {
				t.Errorf("%s: got %q for parcel %d, %v, want %q", c.name, got, i, err, c.want[i])
			}
		}
		if multi := strings.HasPrefix(c.replies, ok); r.multi != multi {
			t.Errorf("%s: MULTI works: %v, want %v", c.name, r.multi, multi)
		}
	}
}

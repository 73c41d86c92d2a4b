package rpc

import (
	"testing"
	"time"
)

// TestProgressOfOldBytes: where no reply comes any more, what is written meanwhile and arrives
// does not put off the end of the connection. It did, for as long as calls were made.
func TestProgressOfOldBytes(t *testing.T) {
	begun := time.Now()
	at := func(seconds int) time.Time { return begun.Add(time.Duration(seconds) * time.Second) }
	for _, c := range []struct {
		name    string
		arrived []int64 // second by second
		want    int     // second of the last progress towards byte 1000
	}{
		{"all has arrived, and more", []int64{1000, 1500, 2000, 2500}, 0},
		{"a long message arrives slowly", []int64{100, 400, 700, 900}, 3},
		{"it arrives, and then what is behind it", []int64{100, 900, 1100, 1500, 2000}, 2},
		{"nothing arrives any more", []int64{100, 900, 900, 900}, 1},
	} {
		var conn conn
		for second, arrived := range c.arrived {
			conn.noteArrived(arrived, 1000, at(second))
		}
		if want := at(c.want); !conn.drained.Equal(want) {
			t.Errorf("%s: got the last progress after %v, want %v", c.name, conn.drained.Sub(begun), want.Sub(begun))
		}
	}
}

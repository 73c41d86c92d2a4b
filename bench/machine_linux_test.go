package bench

import (
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	for _, c := range []struct {
		stat         string
		busy, stolen time.Duration
		known        bool
	}{
		{"cpu  100 20 30 4000 500 6 7 8 9 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n", 1710 * time.Millisecond, 80 * time.Millisecond, true},
		{"cpu  100 20 30 4000 500 6 7\n", 0, 0, false}, // before Linux 2.6.11
		{"intr 1 2 3 4 5 6 7 8\n", 0, 0, false},
		{"cpu  a b c d e f g h\n", 0, 0, false},
		{"", 0, 0, false},
	} {
		busy, stolen, known := parseStat(c.stat)
		if busy != c.busy || stolen != c.stolen || known != c.known {
			t.Errorf("%q: %v busy, %v stolen, known %v; expected %v, %v, %v", c.stat, busy, stolen, known, c.busy, c.stolen, c.known)
		}
	}
	busy, _, known := machineTime()
	if !known || busy <= 0 {
		t.Errorf("this machine was busy for %v, known %v", busy, known)
	}
}

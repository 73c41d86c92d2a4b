package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// LASTSAVE moves by the broker's clock, and INFO tells of what was saved.
func TestSave(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0)})
	w := inMemory(t, b)
	info := func(name string) string {
		_, value, _ := strings.Cut(w.do(t, "INFO", "persistence"), name+":")
		value, _, _ = strings.Cut(value, `\r\n`)
		return value
	}
	check := func(fields ...string) {
		t.Helper()
		for i := 0; i < len(fields); i += 2 {
			if got := info(fields[i]); got != fields[i+1] {
				t.Errorf("%s: got %s, want %s", fields[i], got, fields[i+1])
			}
		}
	}
	w.expect(t, "1700000000", "LASTSAVE")
	check("rdb_last_bgsave_time_sec", "-1", "aof_last_rewrite_time_sec", "-1", "rdb_saves", "0", "aof_enabled", "0")
	w.do(t, "RPUSH", "l", "a", "b")
	w.do(t, "SET", "k", "v")
	w.do(t, "GET", "k")
	check("rdb_changes_since_last_save", "2")
	for i, args := range [][]string{{"SAVE"}, {"BGSAVE"}, {"BGSAVE", "SCHEDULE"}} {
		b.Advance(time.Hour)
		w.do(t, args...)
		w.expect(t, fmt.Sprint(1_700_000_000+3600*(i+1)), "LASTSAVE")
		check("rdb_changes_since_last_save", "0", "rdb_saves", fmt.Sprint(i+1), "rdb_last_save_time", fmt.Sprint(1_700_000_000+3600*(i+1)))
	}
	w.do(t, "FLUSHALL")
	w.do(t, "BGREWRITEAOF")
	w.do(t, "CONFIG", "SET", "appendonly", "yes")
	check("rdb_changes_since_last_save", "2", "rdb_last_bgsave_time_sec", "0", "aof_last_rewrite_time_sec", "0", "aof_rewrites", "1", "aof_enabled", "1")
	w.do(t, "CONFIG", "RESETSTAT")
	check("rdb_saves", "0", "aof_rewrites", "0", "rdb_changes_since_last_save", "2")
}

// The broker stays a master, and says so to who wants to copy its data.
func TestNoReplication(t *testing.T) {
	w := inMemory(t, newBroker(t, Options{}))
	for _, args := range [][]string{{"REPLICAOF", "127.0.0.1", "6379"}, {"SLAVEOF", "127.0.0.1", "0"}, {"SYNC"}, {"PSYNC", "?", "-1"}} {
		w.expect(t, "-"+noReplication.Text, args...)
	}
	w.expect(t, "-ERR value is not an integer or out of range", "PSYNC", "?", "x")
	w.expect(t, "[master 0 []]", "ROLE")
}

package main

import (
	"strings"
	"testing"
)

func TestShareOfConnections(t *testing.T) {
	for _, c := range []struct {
		connections, callers, clients int
		each                          int
		short                         bool
		err                           string
	}{
		{20_000, 10_000, 1, 10_000, false, ""},
		{20_000, 10_000, 10, 1000, false, ""},
		{20_000, 10, 3, 4, false, ""},
		{10_000, 10_000, 3, 3329, true, ""}, // of 3,333, four are for pushing and reading
		{8000, 10_000, 10, 796, true, ""},
		{8004, 8000, 1, 8000, false, ""},
		{8000, 8000, 1, 7996, true, ""},
		{50, 1000, 10, 1, true, ""},
		{49, 1000, 10, 0, false, "--clients 10 is too many: there can be 49 connections, of which each client needs up to 5, as of rain"},
		{-5, 1000, 10, 0, false, "there can be 0 connections"},
	} {
		each, note, err := budget{c.connections, "of rain"}.share(c.callers, c.clients)
		if each != c.each || (note != "") != c.short || each*c.clients > max(c.connections, 0) && c.callers > c.connections {
			t.Errorf("%+v: each %d, note %q", c, each, note)
		}
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Every caller has its connection; what a Redis does not allow is not asked of it.
func TestBenchKeepsToMaxClients(t *testing.T) {
	for _, c := range []struct {
		name, flags string
		connections float64 // no more, and not much less
		note        string
	}{
		{"enough", "-c 100 --no-extensions", 104, ""},
		{"more than a client's default", "-c 1500 --no-extensions --transport memory", 1504, ""},
		{"a few", "-c 1500", 4, ""},
		{"too few", "-c 300 --no-extensions", 175, "300 callers share 170 connections, as maxclients of this Redis is 200 with 1 in use, and a tenth is left to others: the other calls wait inside the client"},
		{"over all clients", "-c 300 --no-extensions --clients 10", 170, "300 callers share 130 connections"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rdb, url := startRedis(t, "--maxclients", "200")
			args := append([]string{"bench", "--calls", "2000", "--warmup", "0s", "--timeout", "1m", "-o", "json"}, strings.Split(c.flags, " ")...)
			if !strings.Contains(c.flags, "memory") {
				args = append(args, "--redis", url)
			}
			r := redrpc(t, args...)
			r.want(t, exitOK, c.note)
			f := readReport(t, r.stdout)
			note, _ := f.Settings["note"].(string)
			n := f.Settings["connections"].(float64)
			if n > c.connections || n < c.connections/4 || !strings.Contains(note, c.note) || *f.Errors != 0 {
				t.Errorf("%v connections, errors %v, note %q; expected %v, none, %q", f.Settings["connections"], f.ErrorsByKind, note, c.connections, c.note)
			}
			if c.note == "" && note != "" {
				t.Errorf("note %q", note)
			}
			if rejected := rdb.InfoMap(t.Context(), "stats").Val()["Stats"]["rejected_connections"]; rejected != "0" {
				t.Errorf("%s connections were rejected", rejected)
			}
		})
	}
	t.Run("not even one each", func(t *testing.T) {
		_, url := startRedis(t, "--maxclients", "100")
		redrpc(t, "bench", "--redis", url, "-c", "100", "--clients", "90").want(t, exitFailed, "--clients 90 is too many: there can be ")
	})
	t.Run("a Redis that does not say", func(t *testing.T) {
		rdb, url := startRedis(t)
		if err := rdb.Do(t.Context(), "acl", "setuser", "default", "-info", "-config").Err(); err != nil {
			t.Fatal(err)
		}
		r := redrpc(t, "bench", "--redis", url, "-c", "1200", "--calls", "2000", "--warmup", "0s", "--timeout", "1m", "--no-extensions")
		r.want(t, exitOK, "note: 1200 callers share 996 connections, as this Redis does not say what its maxclients is")
	})
}

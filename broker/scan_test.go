package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"redrpc/broker/internal/resp"
)

// replacing are ways in which a key can be there before and after, and its value be
// another: KEY is the key, LIST holds a list and TEXT a string, and DUMP is the payload
// of one.
var replacing = []string{
	"SET KEY new", "SET KEY new PX 3600000", "GETSET KEY new", "MSET KEY new", "SETEX KEY 3600 new", "PSETEX KEY 3600000 new",
	"APPEND KEY new", "SETRANGE KEY 5 new", "SETBIT KEY 900 1", "BITFIELD KEY SET u8 0 1", "GETEX KEY EX 3600", "EXPIRE KEY 3600",
	"COPY TEXT KEY REPLACE", "COPY LIST KEY REPLACE", "RENAME TEXT KEY", "RENAME LIST KEY", "RENAME KEY KEY",
	"RESTORE KEY 0 DUMP REPLACE", "RESTORE KEY 3600000 DUMP REPLACE", "SORT LIST STORE KEY", "BITOP OR KEY TEXT",
	"MULTI ; DEL KEY ; SET KEY new ; EXEC", "MULTI ; UNLINK KEY ; RPUSH KEY new ; EXEC", "MULTI ; GETDEL KEY ; MSETNX KEY new ; EXEC",
	"MULTI ; RENAME KEY other ; RENAME other KEY ; EXEC", "MULTI ; RENAME KEY other ; RENAMENX other KEY ; EXEC",
	"MULTI ; MOVE KEY 2 ; SELECT 2 ; MOVE KEY 0 ; SELECT 0 ; EXEC", "MULTI ; PEXPIRE KEY -1 ; INCR KEY ; EXEC",
	"MULTI ; DEL KEY ; RPUSH KEY a ; LPOP KEY ; LMOVE LIST KEY LEFT LEFT ; EXEC", "MULTI ; DEL KEY ; RPOPLPUSH LIST KEY ; EXEC",
	"MULTI ; SWAPDB 0 1 ; EXEC", "MULTI ; SWAPDB 0 1 ; SET KEY new ; SWAPDB 1 0 ; EXEC",
}

// TestScanReturnsWhatStays scans while keys come, go and are replaced between the
// pages. What is there at the beginning and at the end of every command of others is
// returned, what never is there is not.
func TestScanReturnsWhatStays(t *testing.T) {
	onBoth(t, func(t *testing.T, connect func() *wire) {
		w := connect()
		for _, way := range replacing {
			for _, count := range []string{"1", "5", "17"} {
				t.Run(way+" COUNT "+count, func(t *testing.T) { scanWhile(t, w, way, count) })
			}
		}
	})
}

// scanWhile scans 40 keys, one of which is replaced after each page.
func scanWhile(t *testing.T, w *wire, way, count string) {
	w.expect(t, "+OK", "FLUSHALL")
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("stays%d", i))
	}
	for _, db := range []string{"1", "0"} { // in the other one, many more
		w.expect(t, "+OK", "SELECT", db)
		for i, name := range names {
			w.expect(t, "+OK", "SET", name, "v")
			for j := 0; db == "1" && j < 10; j++ {
				w.expect(t, "+OK", "SET", fmt.Sprint("swapped", 10*i+j), "v")
			}
		}
	}
	dump, _ := resp.SplitLine([]byte(w.do(t, "DUMP", "stays1")))
	var seen []string
	cursor := "0"
	for page := 0; page == 0 || cursor != "0"; page++ {
		if page > 5000 {
			t.Fatal("the scan does not end")
		}
		var found []string
		cursor, found = scanPage(t, w, cursor, count)
		seen = append(seen, found...)
		list, text := fmt.Sprint("list", page), fmt.Sprint("text", page)
		w.do(t, "RPUSH", list, "1", "2")
		w.do(t, "SET", text, "v")
		w.do(t, "DEL", fmt.Sprint("list", page-3), fmt.Sprint("text", page-2))
		values := strings.NewReplacer("KEY", names[page%len(names)], "LIST", list, "TEXT", text)
		for step := range strings.SplitSeq(way, " ; ") {
			words := strings.Fields(values.Replace(step))
			if i := slices.Index(words, "DUMP"); i > 0 {
				words[i] = string(dump[0])
			}
			if got := w.do(t, words...); strings.Contains(got, "-ERR") || strings.Contains(got, "-WRONGTYPE") {
				t.Fatalf("%q: %s", words, got)
			}
		}
	}
	for _, name := range names {
		if !slices.Contains(seen, name) {
			t.Errorf("%s is missing", name)
		}
	}
	for _, name := range seen {
		if word := strings.TrimRight(name, "0123456789"); !slices.Contains([]string{"stays", "swapped", "list", "text"}, word) {
			t.Errorf("%s was never there for others to see", name)
		}
	}
}

// scanPage asks for one page.
func scanPage(t testing.TB, w *wire, cursor, count string) (next string, names []string) {
	t.Helper()
	answer := w.do(t, "SCAN", cursor, "COUNT", count)
	words := strings.Fields(strings.NewReplacer("[", " ", "]", " ", `"`, "").Replace(answer))
	if len(words) == 0 {
		t.Fatalf("SCAN: %s", answer)
	}
	return words[0], words[1:]
}

// TestScanPages counts what SCAN answers at once, in a database of any size.
func TestScanPages(t *testing.T) {
	w := inMemory(t, newBroker(t, Options{}))
	keys := 0
	for _, more := range []int{0, 1, 6, 1, 992} {
		for range more {
			w.expect(t, "+OK", "SET", fmt.Sprint("k", keys), "v")
			keys++
		}
		seen := map[string]bool{}
		cursor := "0"
		for page := 0; page == 0 || cursor != "0"; page++ {
			var names []string
			if cursor, names = scanPage(t, w, cursor, "10"); cursor != "0" && len(names) != 10 {
				t.Fatalf("%d names in page %d of %d keys", len(names), page, keys)
			}
			for _, name := range names {
				if seen[name] {
					t.Errorf("%s comes twice", name)
				}
				seen[name] = true
			}
		}
		if len(seen) != keys {
			t.Errorf("%d names of %d keys", len(seen), keys)
		}
	}
}

package lualib

import (
	"runtime"
	"testing"

	"redrpc/broker/internal/lua"
)

// fuzzed calls a function of a library with texts. Whatever they are, it returns or raises
// an error soon, and takes memory in proportion to them.
func fuzzed(t *testing.T, library, function string, args ...string) {
	s := newState()
	table, _ := s.Globals().GetString(library).AsTable()
	f, ok := table.GetString(function).AsFunction()
	if !ok {
		t.Fatalf("there is no %s.%s", library, function)
	}
	size := 0
	values := make([]lua.Value, len(args))
	for i, arg := range args {
		values[i] = lua.String(arg)
		size += len(arg)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.Call(f, values...)
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 1<<20+1000*uint64(size) {
		t.Errorf("%s.%s(%q) takes %d bytes", library, function, args, taken)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,true,null,"\u20ac\ud83d\ude00"]}`, "nan(1)", "[[[[", "0x1p-3", `"\u`, "1\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { fuzzed(t, "cjson", "decode", text) })
}

func FuzzUnpackMessages(f *testing.F) {
	for _, s := range []string{"\x93\x01\xa1a\xc0", "\xdf\x00\x00\x00\x01\x01\x02", "\xdb\xff\xff\xff\xff", "\x81\xc0\x01", "\xcb\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		fuzzed(t, "cmsgpack", "unpack", data)
		fuzzed(t, "cmsgpack", "unpack_limit", data, "3", "1")
	})
}

func FuzzUnpackStructs(f *testing.F) {
	f.Add("!bBhHlLi3I9fdsc3Bc0x<> ", "\x01\x02abc\x00def", "1")
	f.Add("dc0", "\x00\x00\x00\x00\x00\x00\xf8\x7f", "0")
	f.Fuzz(func(t *testing.T, format, data, position string) {
		fuzzed(t, "struct", "unpack", format, data, position)
		fuzzed(t, "struct", "pack", format, data, position, position)
		fuzzed(t, "struct", "size", format)
	})
}

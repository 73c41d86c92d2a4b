package lualib

import (
	"errors"
	"runtime"
	"testing"

	"redrpc/broker/internal/lua"
)

func newState() *lua.State {
	s := lua.New()
	Open(s)
	return s
}

// run runs a script and returns its error.
func run(t *testing.T, s *lua.State, script string) error {
	t.Helper()
	f, err := s.Load(script, "@user_script")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Call(f)
	return err
}

// What would not end soon is ended by the hook.
func TestLongWorkIsInterrupted(t *testing.T) {
	for _, script := range []string{
		`local t = {} for i = 1, 40 do t = {t, t} end cjson.encode(t)`,
		`local t = {} for i = 1, 40 do t = {a = t, b = t} end pcall(cjson.encode, t)`,
		`local t = {} for i = 1, 20 do t[i] = t end cmsgpack.pack(t)`,
		`local t = {} for i = 1, 20 do t['k' .. i] = t end pcall(cmsgpack.pack, t)`,
		`local c = cjson.new() c.encode_sparse_array(false, 0) c.encode({[2^31 - 1] = 1})`,
	} {
		enough := errors.New("enough")
		calls := 0
		s := newState()
		s.SetHook(10_000, func() error {
			if calls++; calls > 20 {
				return enough
			}
			return nil
		})
		if err := run(t, s, script); !errors.Is(err, enough) {
			t.Errorf("%s: %v, want the hook's error", script, err)
		}
	}
}

// What a script has in use is bounded, and so is the longest string.
func TestMemoryIsBounded(t *testing.T) {
	for _, script := range []string{
		`local s = ('x'):rep(2^20) local t = {} for i = 1, 20 do t[i] = s end cjson.encode(t)`,
		`local t = {} for i = 1, 40 do t = {t, t} end cjson.encode(t)`,
		`local c = cjson.new() c.encode_sparse_array(false, 0) c.encode({[2^31 - 1] = 1})`,
		`local s = ('x'):rep(2^20) local t = {} for i = 1, 20 do t[i] = s end cmsgpack.pack(t)`,
		`local t = {} for i = 1, 20 do t[i] = t end cmsgpack.pack(t)`,
		`local s = ('x'):rep(2^20) local t = {} for i = 1, 20 do t[i] = s end struct.pack(('c0'):rep(20), unpack(t))`,
		`local s = '[' .. ('[],'):rep(2^16) .. '1]' local t = {} for i = 1, 1000 do t[i] = cjson.decode(s) end`,
		`local s = '\221\0\1\0\0' .. ('\144'):rep(2^16) local t = {} for i = 1, 1000 do t[i] = cmsgpack.unpack(s) end`,
	} {
		s := newState()
		s.SetMemoryLimit(4 << 20)
		if err := run(t, s, script); err == nil || err.Error() != "not enough memory" {
			t.Errorf("%s: %v, want that there is not enough memory", script, err)
		}
	}
}

// Inputs that claim to be large take no memory for what is not there.
func TestClaimsTakeNoMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, script := range []string{
		`assert(not pcall(cmsgpack.unpack, '\221\255\255\255\255' .. ('\1'):rep(1000)))`,
		`assert(not pcall(cmsgpack.unpack, '\223\255\255\255\255' .. ('\1'):rep(1001)))`,
		`assert(not pcall(cmsgpack.unpack, '\219\255\255\255\255abc'))`,
		`assert(not pcall(cmsgpack.unpack, ('\221\255\255\255\255'):rep(1000)))`,
		`assert(not pcall(struct.unpack, 'c2147483647', 'abc'))`,
		`assert(not pcall(struct.pack, 'c2147483647', 'abc'))`,
		`assert(not pcall(cjson.decode, ('['):rep(100000)))`,
	} {
		if err := run(t, newState(), script); err != nil {
			t.Errorf("%s: %v", script, err)
		}
	}
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 8<<20 {
		t.Errorf("%d bytes were taken", taken)
	}
}

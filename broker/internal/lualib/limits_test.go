package lualib

import (
	"errors"
	"runtime"
	"testing"

	"redrpc/broker/internal/lua"
)

// call runs a script on a state of its own.
func call(t *testing.T, script string, hook func() error) error {
	t.Helper()
	s := lua.New()
	Open(s)
	s.SetHook(10_000, hook)
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
		err := call(t, script, func() error {
			if calls++; calls > 20 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Errorf("%s: %v, want the hook's error", script, err)
		}
	}
}

// What would be too long is an error, before memory is taken for it.
func TestStringsHaveABound(t *testing.T) {
	almost := make([]byte, lua.MaxString-5, lua.MaxString+100)
	s := lua.New()
	for name, add := range map[string]func(*lua.Thread, lua.Value){
		"cjson": func(t *lua.Thread, v lua.Value) {
			e := jsonEncoder{jsonLibrary: &jsonLibrary{precision: 14}, thread: t, out: almost}
			e.value(v, 0, 0)
		},
		"cmsgpack": func(t *lua.Thread, v lua.Value) {
			p := msgpackPacker{thread: t, out: almost}
			p.value(v, 0, 0)
		},
	} {
		for _, v := range []lua.Value{lua.String("more than five"), lua.Number(1.0 / 3)} {
			f := s.NewFunction(func(t *lua.Thread) int {
				add(t, v)
				return 0
			})
			_, err := s.Call(f)
			if text, _ := v.ToString(); err == nil || err.Error() != "not enough memory" {
				t.Errorf("%s of %s: %v, want that there is not enough memory", name, text, err)
			}
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
		if err := call(t, script, nil); err != nil {
			t.Errorf("%s: %v", script, err)
		}
	}
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 8<<20 {
		t.Errorf("%d bytes were taken", taken)
	}
}

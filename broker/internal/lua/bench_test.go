package lua

import "testing"

// Scripts whose time is mostly that of one part of the machine.
var benchmarks = []struct{ name, script string }{
	{"fib", "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(27)"},
	{"concat", "local s = '' for i = 1, 20000 do s = s .. 'x' end local t = {} for i = 1, 100000 do t[#t + 1] = 'k' .. i end return #table.concat(t)"},
	{"tables", "local t = {} for i = 1, 200000 do t[i] = i end local s = 0 for k, v in pairs(t) do s = s + v end for i = 1, 200000 do s = s + t[i] end local h = {} for i = 1, 50000 do h['k' .. i % 1000] = i end return s"},
	{"methods", "local A = {} A.__index = A function A:inc() self.n = self.n + 1 end local a = setmetatable({n = 0}, A) for i = 1, 500000 do a:inc() end return a.n"},
	{"patterns", "local n = 0 for i = 1, 20000 do n = n + #(('key:' .. i):gsub('%d', 'x')) + (('a=b'):find('=', 1, true)) end return n"},
	{"sort", "local t = {} for i = 1, 50000 do t[i] = (i * 7919) % 50021 end table.sort(t) return t[1]"},
}

func BenchmarkScripts(b *testing.B) {
	for _, c := range benchmarks {
		b.Run(c.name, func(b *testing.B) {
			s := New()
			f, err := s.Load(c.script, "@bench")
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := s.Call(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A call from Go of a script of two lines.
func BenchmarkCall(b *testing.B) {
	s := New()
	f, err := s.Load("local a = KEYS[1]\nreturn a", "@bench")
	if err != nil {
		b.Fatal(err)
	}
	keys := NewTable(1, 0)
	keys.SetInt(1, String("k"))
	s.Globals().SetString("KEYS", keys.Value())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Call(f); err != nil {
			b.Fatal(err)
		}
	}
}

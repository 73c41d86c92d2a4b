package lua

import (
	"errors"
	"testing"
)

var errBudget = errors.New("the budget is used up")

// No script makes the compiler or the machine panic, or run for long.
func FuzzScripts(f *testing.F) {
	for _, name := range files(f) {
		for _, s := range readSnippets(f, name) {
			f.Add(s.script)
		}
	}
	f.Fuzz(func(t *testing.T, script string) {
		s := newProtected()
		calls := 0
		s.SetHook(1000, func() error {
			if calls++; calls > 50 {
				return errBudget
			}
			return nil
		})
		if compiled, err := s.Load(script, "@script"); err == nil {
			s.Call(compiled)
		}
		if got := eval(s, "return 1 + 1"); got != ":2" {
			t.Errorf("after the script 1 + 1 is %s", got)
		}
	})
}

// A table has what was put into it, whatever the order.
func FuzzTable(f *testing.F) {
	f.Add([]byte("0123456789"))
	f.Add([]byte{1, 255, 2, 254, 3, 1, 1, 1})
	f.Fuzz(func(t *testing.T, steps []byte) {
		table, want := NewTable(0, 0), map[int]int{}
		for i, step := range steps {
			key := int(step % 64)
			if step >= 128 {
				table.SetInt(key, Nil)
				delete(want, key)
			} else {
				table.SetInt(key, Int(i))
				want[key] = i
			}
		}
		n := 0
		for key, value, ok := table.Next(Nil); !key.IsNil(); key, value, ok = table.Next(key) {
			k, _ := key.AsNumber()
			if v, _ := value.AsNumber(); !ok || want[int(k)] != int(v) {
				t.Errorf("key %v: got %v, want %v", k, v, want[int(k)])
			}
			n++
		}
		if n != len(want) {
			t.Errorf("got %d keys, want %d", n, len(want))
		}
		_, follows := want[table.Len()+1]
		if _, is := want[table.Len()]; follows || table.Len() > 0 && !is {
			t.Errorf("%d is no border", table.Len())
		}
	})
}

package lua

func (s *State) openTable() {
	s.globals.SetString("table", s.NewLibrary(Library{
		{"concat", tableConcat},
		{"foreach", tableForeach},
		{"foreachi", tableForeachi},
		{"getn", tableGetn},
		{"maxn", tableMaxn},
		{"insert", tableInsert},
		{"remove", tableRemove},
		{"setn", tableSetn},
		{"sort", tableSort},
	}).Value())
}

func tableConcat(t *Thread) int {
	separator := t.OptString(2, "")
	table := t.CheckTable(1)
	first := t.OptInt(3, 1)
	var last int
	if t.Arg(4).IsNil() {
		last = table.Len()
	} else {
		last = t.CheckInt(4)
	}
	var buffer []byte
	for i := first; i <= last; i++ {
		if i > first {
			buffer = append(buffer, separator...)
		}
		v := table.GetInt(i)
		switch {
		case v.is(TypeString):
			buffer = append(buffer, v.str()...)
		case v.isNumber():
			buffer = appendNumber(buffer, v.float())
		default:
			t.Errorf("invalid value (%s) at index %d in table for 'concat'", v.Type(), i)
		}
		t.checkLength(len(buffer))
		t.Count(1 + v.length()>>countedBytes)
	}
	return t.Return(t.madeString(buffer))
}

func tableForeach(t *Thread) int {
	table := t.CheckTable(1)
	f := t.CheckFunction(2)
	for key := Nil; ; {
		var value Value
		var ok bool
		if key, value, ok = table.Next(key); !ok {
			t.runtimeError("invalid key to 'next'")
		}
		if key.IsNil() {
			return 0
		}
		if v := t.Call(f.Value(), key, value); !v.IsNil() {
			return t.Return(v)
		}
	}
}

func tableForeachi(t *Thread) int {
	table := t.CheckTable(1)
	n := table.Len()
	f := t.CheckFunction(2)
	for i := 1; i <= n; i++ {
		if v := t.Call(f.Value(), Int(i), table.GetInt(i)); !v.IsNil() {
			return t.Return(v)
		}
	}
	return 0
}

func tableGetn(t *Thread) int { return t.Return(Int(t.CheckTable(1).Len())) }

func tableMaxn(t *Thread) int {
	table := t.CheckTable(1)
	largest := 0.0
	for key, _, ok := table.Next(Nil); ok && !key.IsNil(); key, _, ok = table.Next(key) {
		if f, isNumber := key.AsNumber(); isNumber && f > largest {
			largest = f
		}
		t.Count(1)
	}
	return t.Return(Number(largest))
}

func tableInsert(t *Thread) int {
	table := t.CheckTable(1)
	last := int(int32(table.Len() + 1))
	at := last
	switch t.NArgs() {
	case 2:
	case 3:
		at = t.CheckInt(2)
		last = max(last, at)
		for i := last; i > at; i-- {
			t.Count(1)
			t.setInt(table, i, table.GetInt(i-1))
		}
	default:
		t.Errorf("wrong number of arguments to 'insert'")
	}
	t.setInt(table, at, t.Arg(t.NArgs()))
	return 0
}

// setInt sets a value if scripts may.
func (t *Thread) setInt(table *Table, key int, v Value) {
	t.checkWritable(table)
	before := table.size()
	table.SetInt(key, v)
	if table.size() != before {
		t.allocate(table.size())
	}
}

func tableRemove(t *Thread) int {
	table := t.CheckTable(1)
	last := table.Len()
	at := t.OptInt(2, last)
	if at < 1 || at > last {
		return 0
	}
	removed := table.GetInt(at)
	for ; at < last; at++ {
		t.Count(1)
		t.setInt(table, at, table.GetInt(at+1))
	}
	t.setInt(table, last, Nil)
	return t.Return(removed)
}

func tableSetn(t *Thread) int {
	t.CheckTable(1)
	t.Errorf("'setn' is obsolete")
	return 0
}

func tableSort(t *Thread) int {
	table := t.CheckTable(1)
	n := table.Len()
	t.CheckStack(40, "")
	if !t.Arg(2).IsNil() {
		t.CheckFunction(2)
	}
	s := sorter{t, table, t.Arg(2)}
	s.sort(1, n)
	return 0
}

// A sorter sorts a table as Lua does: a script sees which elements are compared, and what
// an order that is none leads to.
type sorter struct {
	t     *Thread
	table *Table
	order Value
}

func (s *sorter) less(a, b Value) bool {
	if s.order.IsNil() {
		s.t.Count(1)
		return s.t.less(a, b)
	}
	return s.t.Call(s.order, a, b).Truth()
}

func (s *sorter) get(i int) Value { return s.table.GetInt(i) }

func (s *sorter) set(i int, v Value, j int, w Value) {
	s.t.setInt(s.table, i, v)
	s.t.setInt(s.table, j, w)
}

// sort is a quicksort of the elements from low to high, around the median of the first,
// the middle and the last.
func (s *sorter) sort(low, high int) {
	for low < high {
		if first, last := s.get(low), s.get(high); s.less(last, first) {
			s.set(low, last, high, first)
		}
		if high-low == 1 {
			break
		}
		i := (low + high) / 2
		if middle, first := s.get(i), s.get(low); s.less(middle, first) {
			s.set(i, first, low, middle)
		} else if last := s.get(high); s.less(last, middle) {
			s.set(i, last, high, middle)
		}
		if high-low == 2 {
			break
		}
		i = s.partition(low, high, i)
		var from, to int // the smaller part
		if i-low < high-i {
			from, to, low = low, i-1, i+1
		} else {
			from, to, high = i+1, high, i-1
		}
		s.sort(from, to)
	}
}

// partition moves what is less than the pivot, which is at i, before it, and the rest
// behind it. It returns where the pivot is then.
func (s *sorter) partition(low, high, i int) int {
	pivot := s.get(i)
	s.set(i, s.get(high-1), high-1, pivot)
	i = low
	for j := high - 1; ; {
		i++
		for s.less(s.get(i), pivot) {
			if i > high {
				s.t.Errorf("invalid order function for sorting")
			}
			i++
		}
		j--
		for s.less(pivot, s.get(j)) {
			if j < low {
				s.t.Errorf("invalid order function for sorting")
			}
			j--
		}
		if j < i {
			break
		}
		x, y := s.get(i), s.get(j)
		s.set(i, y, j, x)
	}
	x, y := s.get(high-1), s.get(i)
	s.set(high-1, y, i, x)
	return i
}

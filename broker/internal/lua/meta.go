package lua

// Events for which a metatable may have a function. A table remembers which of the first
// eight it does not have.
type event uint8

const (
	eventIndex event = iota
	eventNewIndex
	eventEq
	eventLen
	eventCall
	eventAdd
	eventSub
	eventMul
	eventDiv
	eventMod
	eventPow
	eventUnm
	eventLt
	eventLe
	eventConcat
)

var eventNames = [...]Value{
	String("__index"), String("__newindex"), String("__eq"), String("__len"), String("__call"),
	String("__add"), String("__sub"), String("__mul"), String("__div"), String("__mod"),
	String("__pow"), String("__unm"), String("__lt"), String("__le"), String("__concat"),
}

const (
	rememberedEvents = 8
	maxMetaLoop      = 100 // of __index and __newindex
)

// event is the table's function for an event, or nil.
func (t *Table) event(e event) Value {
	if t == nil || e < rememberedEvents && t.absent&(1<<e) != 0 {
		return Nil
	}
	v := t.findString(eventNames[e])
	if v == nil || v.IsNil() {
		if e < rememberedEvents {
			t.absent |= 1 << e
		}
		return Nil
	}
	return *v
}

// metatable is the metatable of any value, or nil.
func (t *Thread) metatable(v Value) *Table {
	switch v.Type() {
	case TypeTable:
		return v.table().meta
	case TypeString:
		return t.state.strings
	}
	return nil
}

func (t *Thread) metamethod(v Value, e event) Value { return t.metatable(v).event(e) }

// Metafield is a field of a value's metatable, or nil.
func (t *Thread) Metafield(v Value, name string) Value {
	if meta := t.metatable(v); meta != nil {
		return meta.GetString(name)
	}
	return Nil
}

// ToText is what the function tostring makes of a value.
func (t *Thread) ToText(v Value) Value {
	if f := t.Metafield(v, "__tostring"); !f.IsNil() {
		return t.Call(f, v)
	}
	if v.is(TypeString) {
		return v
	}
	return String(v.Describe())
}

// index is object[key]. Register says where the object is, for errors.
func (t *Thread) index(object, key Value, register int) Value {
	for range maxMetaLoop {
		var handler Value
		if object.is(TypeTable) {
			table := object.table()
			if v := table.find(key); v != nil && !v.IsNil() {
				return *v
			}
			if handler = table.meta.event(eventIndex); handler.IsNil() {
				return Nil
			}
		} else if handler = t.metamethod(object, eventIndex); handler.IsNil() {
			t.typeError(object, register, "index")
		}
		if handler.is(TypeFunction) {
			return t.Call(handler, object, key)
		}
		object, register = handler, noRegister
	}
	t.runtimeError("loop in gettable")
	return Nil
}

// setIndex is object[key] = value.
func (t *Thread) setIndex(object, key, value Value, register int) {
	for range maxMetaLoop {
		var handler Value
		if object.is(TypeTable) {
			table := object.table()
			t.checkWritable(table)
			old := t.slot(table, key)
			if !old.IsNil() {
				*old = value
				return
			}
			if handler = table.meta.event(eventNewIndex); handler.IsNil() {
				*old = value
				return
			}
		} else if handler = t.metamethod(object, eventNewIndex); handler.IsNil() {
			t.typeError(object, register, "index")
		}
		if handler.is(TypeFunction) {
			at := t.top
			t.needStack(4)
			t.top += copy(t.stack[at:], []Value{handler, object, key, value})
			t.call(at, 0)
			return
		}
		object, register = handler, noRegister
	}
	t.runtimeError("loop in settable")
}

func (t *Thread) checkWritable(table *Table) {
	if table.readOnly {
		t.runtimeError("Attempt to modify a readonly table")
	}
}

// slot is where a key's value is to be written.
func (t *Thread) slot(table *Table, key Value) *Value {
	table.absent = 0
	if v := table.find(key); v != nil {
		return v
	}
	switch {
	case key.IsNil():
		t.runtimeError("table index is nil")
	case key.isNumber() && key.float() != key.float():
		t.runtimeError("table index is NaN")
	}
	before := table.size()
	v := table.add(key)
	if table.size() != before {
		t.allocate(table.size())
	}
	return v
}

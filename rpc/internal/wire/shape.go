package wire

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A shape is what encoding/json does not check of a value that is to become a
// certain type: it takes null for anything, and leaves the target as it is, and
// it takes the string "1" for a json.Number. A nil shape has nothing to check:
// an interface, or a type with its own UnmarshalJSON.
type shape struct {
	t      reflect.Type
	elem   *shape            // of a pointer, slice, array or map
	fields map[string]*shape // of a struct, by their names in JSON
}

var (
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
	number      = reflect.TypeFor[json.Number]()
)

// newShape returns the shape of t. Types may refer to themselves: known holds
// those that have been met.
func newShape(t reflect.Type, known map[reflect.Type]*shape) *shape {
	if s, ok := known[t]; ok {
		return s
	}
	if t.Kind() == reflect.Interface || t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler) {
		return nil
	}
	s := &shape{t: t}
	known[t] = s
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		s.elem = newShape(t.Elem(), known)
	case reflect.Struct:
		s.fields = map[string]*shape{}
		fields := reflect.VisibleFields(t)
		slices.SortStableFunc(fields, func(a, b reflect.StructField) int { return len(a.Index) - len(b.Index) })
		for _, f := range fields {
			tag := f.Tag.Get("json")
			name, _, _ := strings.Cut(tag, ",")
			if !f.IsExported() || tag == "-" || f.Anonymous && name == "" {
				continue
			}
			name = cmp.Or(name, f.Name)
			if _, hidden := s.fields[name]; !hidden { // by one that is less deep
				s.fields[name] = newShape(f.Type, known)
			}
		}
	}
	return s
}

func (s *shape) field(name string) *shape {
	if f, ok := s.fields[name]; ok {
		return f
	}
	for n, f := range s.fields {
		if strings.EqualFold(n, name) {
			return f
		}
	}
	return nil
}

// check returns nil or a *misfit. raw is valid JSON; where it is of another
// kind than the shape, that is for encoding/json to say.
func (s *shape) check(raw []byte) error {
	if s == nil {
		return nil
	}
	kind := KindOf(raw)
	switch k := s.t.Kind(); {
	case kind == "null":
		if k == reflect.Pointer || k == reflect.Slice || k == reflect.Map {
			return nil
		}
		return &misfit{want: s.t, got: kind}
	case k == reflect.Pointer:
		return s.elem.check(raw)
	case s.t == number && kind == "string":
		return &misfit{want: s.t, got: kind}
	case kind == "object" && (k == reflect.Struct || k == reflect.Map):
		for name, value := range Members(raw) {
			to := s.elem
			if k == reflect.Struct {
				to = s.field(string(name))
			}
			if err := to.check(value); err != nil {
				return err.(*misfit).within(string(name))
			}
		}
	case kind == "array" && (k == reflect.Slice || k == reflect.Array):
		for value := range elements(raw) {
			if err := s.elem.check(value); err != nil {
				return err
			}
		}
	}
	return nil
}

// A misfit is a value that does not fit its shape. It reads as what explain
// makes of an error of encoding/json.
type misfit struct {
	want reflect.Type
	got  string
	path string // names, outermost first, with dots between them
}

func (m *misfit) within(name string) *misfit {
	m.path = strings.TrimSuffix(name+"."+m.path, ".")
	return m
}

func (m *misfit) Error() string {
	want, where := m.want.String(), ""
	if m.want == number {
		want = "number"
	}
	if m.path != "" {
		where = fmt.Sprintf(" in %q", m.path)
	}
	return fmt.Sprintf("expected %s, got %s%s", want, m.got, where)
}

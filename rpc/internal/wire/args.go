package wire

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Args returns the JSON object that carries the arguments. It is valid until the
// next use of e.
func (e *Encoder) Args(args any) ([]byte, error) {
	if args == nil {
		return []byte("{}"), nil
	}
	kw, err := e.Encode(args)
	if err != nil {
		return nil, fmt.Errorf("arguments cannot be encoded: %w", err)
	}
	switch k := KindOf(kw); k {
	case "object":
		return kw, nil
	case "null": // a nil map or pointer
		return []byte("{}"), nil
	default:
		return nil, fmt.Errorf("expected arguments by name (a struct or a map), got %T, which encodes to %s", args, article(k))
	}
}

// An ArgsDecoder decodes the JSON object kw into the value that v points to.
type ArgsDecoder func(kw json.RawMessage, v any) error

// NewArgsDecoder returns the decoder for handlers that take a t.
func NewArgsDecoder(t reflect.Type) (ArgsDecoder, error) {
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()):
		return decodeWhole, nil
	case t.Kind() == reflect.Interface && t.NumMethod() == 0:
		return decodeWhole, nil
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		return mapDecoder(t), nil
	case t.Kind() == reflect.Struct:
		params, err := newParameters(t)
		return params.decode, err
	}
	return nil, fmt.Errorf("expected a handler that takes its arguments as a struct, a map with string keys or a json.RawMessage, got %v", t)
}

func decodeWhole(kw json.RawMessage, v any) error { return Explain(DecodeValue(kw, v)) }

func mapDecoder(t reflect.Type) ArgsDecoder {
	shape := newShape(t.Elem(), map[reflect.Type]*shape{})
	return func(kw json.RawMessage, v any) error {
		m := reflect.ValueOf(v).Elem()
		m.Set(reflect.MakeMap(t))
		for name, raw := range Members(kw) {
			value := reflect.New(t.Elem())
			if err := decodeArg(raw, shape, value.Interface()); err != nil {
				return fmt.Errorf("argument %q: %w", name, err)
			}
			m.SetMapIndex(reflect.ValueOf(string(name)).Convert(t.Key()), value.Elem())
		}
		return nil
	}
}

func decodeArg(raw []byte, s *shape, v any) error {
	if err := s.check(raw); err != nil {
		return err
	}
	return Explain(DecodeValue(raw, v))
}

// parameters are the fields of a struct that a handler takes.
type parameters []parameter

type parameter struct {
	name     string
	field    int
	exact    bool // the name is from a tag, so its case counts
	optional bool
	shape    *shape
}

func newParameters(t reflect.Type) (parameters, error) {
	var ps parameters
	known := map[reflect.Type]*shape{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case f.Anonymous && name == "":
			return nil, fmt.Errorf("field %v.%s: expected a name in a json tag, for embedded fields are not looked into", t, f.Name)
		case !f.IsExported() || tagged && tag == "-":
			continue
		case strings.Contains(","+options+",", ",string,"):
			return nil, fmt.Errorf(`field %v.%s: the json option "string" is not supported`, t, f.Name)
		}
		p := parameter{name: name, field: i, exact: name != "", shape: newShape(f.Type, known)}
		if !p.exact {
			p.name = f.Name
		}
		p.optional = f.Type.Kind() == reflect.Pointer || strings.Contains(options, "omit")
		ps = append(ps, p)
	}
	return ps, nil
}

func (ps parameters) find(name []byte) int {
	for i, p := range ps {
		if p.name == string(name) {
			return i
		}
	}
	for i, p := range ps {
		if !p.exact && strings.EqualFold(p.name, string(name)) {
			return i
		}
	}
	return -1
}

func (ps parameters) decode(kw json.RawMessage, v any) error {
	target := reflect.ValueOf(v).Elem()
	var few [16]bool
	given := few[:]
	if len(ps) > len(few) {
		given = make([]bool, len(ps))
	}
	for name, raw := range Members(kw) {
		i := ps.find(name)
		if i < 0 {
			return fmt.Errorf("unknown argument %q, expected %s", name, ps)
		}
		if err := decodeArg(raw, ps[i].shape, target.Field(ps[i].field).Addr().Interface()); err != nil {
			return fmt.Errorf("argument %q: %w", name, err)
		}
		given[i] = true
	}
	for i, p := range ps {
		if !given[i] && !p.optional {
			return fmt.Errorf("missing argument %q, expected %s", p.caption(), ps)
		}
	}
	return nil
}

// caption is the name that a caller should use.
func (p parameter) caption() string {
	if p.exact {
		return p.name
	}
	first, size := utf8.DecodeRuneInString(p.name)
	return string(unicode.ToLower(first)) + p.name[size:]
}

func (ps parameters) String() string {
	if len(ps) == 0 {
		return "no arguments"
	}
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = p.caption()
	}
	return strings.Join(names, ", ")
}

// Result returns the JSON that carries a handler's result. It is valid until the
// next use of e.
func (e *Encoder) Result(v any) ([]byte, error) {
	res, err := e.Encode(v)
	if err != nil {
		return nil, fmt.Errorf("the result cannot be encoded: %w", err)
	}
	return res, nil
}

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

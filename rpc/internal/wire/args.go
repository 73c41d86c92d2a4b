package wire

import (
	"encoding/json"
	"fmt"
	"reflect"
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

// decodeArg decodes an argument that has to be of the shape s.
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

// find returns the index of the parameter called name, or -1.
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

package broker

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"redrpc/broker/internal/resp"
)

// A Status is a reply such as OK, which the protocol keeps apart from strings.
type Status string

// maxAnswerDepth is how deep the values of an answer may be nested.
const maxAnswerDepth = 128

// toReply turns a value into a reply. The error says what has none.
func toReply(value any, depth int) (resp.Reply, error) {
	switch v := value.(type) {
	case nil:
		return resp.Null, nil
	case Status:
		return resp.Simple(string(v)), nil
	case error:
		return resp.ErrorReply(v.Error()), nil
	case []byte:
		return resp.Bulk(slices.Clone(v)), nil
	case time.Duration:
		return resp.Reply{}, fmt.Errorf("the time.Duration %v: expected a number of a unit, such as d.Milliseconds()", v)
	}
	v := reflect.ValueOf(value)
	if depth == 0 {
		return resp.Reply{}, fmt.Errorf("what is nested more than %d deep", maxAnswerDepth)
	}
	switch v.Kind() {
	case reflect.String:
		return resp.BulkString(v.String()), nil
	case reflect.Bool:
		r := resp.Reply{Kind: resp.KindBoolean}
		if v.Bool() {
			r.N = 1
		}
		return r, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return resp.Integer(v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() > math.MaxInt64 {
			return resp.Reply{}, fmt.Errorf("%d, which is more than an integer reply can be", v.Uint())
		}
		return resp.Integer(int64(v.Uint())), nil
	case reflect.Float32, reflect.Float64:
		text := strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits())
		return resp.Reply{Kind: resp.KindDouble, Bytes: []byte(strings.ToLower(strings.TrimPrefix(text, "+")))}, nil // inf, -inf, nan
	case reflect.Pointer:
		if v.IsNil() {
			return resp.Null, nil
		}
		return toReply(v.Elem().Interface(), depth-1)
	case reflect.Slice, reflect.Array:
		items := make([]resp.Reply, v.Len())
		for i := range items {
			var err error
			if items[i], err = toReply(v.Index(i).Interface(), depth-1); err != nil {
				return resp.Reply{}, err
			}
		}
		return resp.Array(items...), nil
	case reflect.Map:
		return mapToReply(v, depth)
	default:
		return resp.Reply{}, fmt.Errorf("a %T, which has no reply", value)
	}
}

func mapToReply(m reflect.Value, depth int) (resp.Reply, error) {
	keys := m.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		return cmp.Compare(fmt.Sprint(a.Interface()), fmt.Sprint(b.Interface()))
	})
	pairs := make([]resp.Reply, 0, 2*len(keys))
	for _, key := range keys {
		for _, part := range []any{key.Interface(), m.MapIndex(key).Interface()} {
			r, err := toReply(part, depth-1)
			if err != nil {
				return resp.Reply{}, err
			}
			pairs = append(pairs, r)
		}
	}
	return resp.Map(pairs...), nil
}

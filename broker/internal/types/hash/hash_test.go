package hash

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
)

// A hash does what a slice of pairs does, whatever the sizes of its fields and values, packed
// and in a table.
func TestHashAgainstSlice(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	sizes := []int{0, 1, 5, 60, 127, 128, 300, 2000}
	text := func() []byte {
		return []byte(strings.Repeat(string(rune('a'+r.IntN(3))), sizes[r.IntN(len(sizes))]))
	}
	for round := range 30 {
		limits := keyspace.Thresholds{HashEntries: r.IntN(20), HashValue: 300 * (round % 3)}
		h := &hash{}
		var model []pair
		for step := range 300 {
			name, value := text(), text()
			at := slices.IndexFunc(model, func(p pair) bool { return bytes.Equal(p.name, name) })
			if got, found := h.get(name); found != (at >= 0) || found && !bytes.Equal(got, model[at].value) {
				t.Fatalf("seed %d: %.20q is found: %t", seed, name, found)
			}
			switch {
			case r.IntN(3) == 0 && (h.length() > 1 || at < 0):
				if h.remove(name) != (at >= 0) {
					t.Fatalf("seed %d: %.20q was removed, expected %t", seed, name, at >= 0)
				}
				if at >= 0 {
					model = slices.Delete(model, at, at+1)
				}
			case at >= 0:
				if h.set(name, value, &limits) {
					t.Fatalf("seed %d: %.20q is new", seed, name)
				}
				model[at].value = value
			default:
				if !h.set(name, value, &limits) {
					t.Fatalf("seed %d: %.20q is not new", seed, name)
				}
				model = append(model, pair{name, value})
			}
			if len(model) > 0 && step%5 == 0 {
				checkHash(t, h, model, limits)
				checkHash(t, h.Clone().(*hash), model, limits)
			}
		}
	}
}

func checkHash(t *testing.T, h *hash, model []pair, limits keyspace.Thresholds) {
	t.Helper()
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
	got := h.pairs()
	if h.table != nil {
		model = slices.Clone(model)
		byName := func(x, y pair) int { return bytes.Compare(x.name, y.name) }
		slices.SortFunc(got, byName)
		slices.SortFunc(model, byName)
	} else if len(model) > limits.HashEntries {
		t.Fatalf("%d fields are packed", len(model))
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", model) {
		t.Fatalf("got %.300q, want %.300q", got, model)
	}
}

// Random fields are fields of the hash, and as many as are asked for: different ones, those of
// a packed hash in its order, or any.
func TestDraw(t *testing.T) {
	for _, limit := range []int{0, math.MaxInt} {
		h := &hash{}
		for i := range 10 {
			h.set(fmt.Append(nil, i), fmt.Append(nil, "v", i), &keyspace.Thresholds{HashEntries: limit, HashValue: math.MaxInt})
		}
		for _, n := range []int64{0, 1, 3, 4, 9, 10, 11, math.MaxInt64, -1, -10, -30} {
			count, drawn := h.draw(n)
			var names []string
			for p := range drawn {
				names = append(names, string(p.name))
				if value, found := h.get(p.name); !found || !bytes.Equal(value, p.value) {
					t.Errorf("%d of 10: %q is none of the fields", n, p)
				}
			}
			want := int(min(n, 10))
			if n < 0 {
				want = int(-n)
			}
			if count != want || len(names) != want {
				t.Errorf("%d of 10: %d fields were announced, %d drawn", n, count, len(names))
			}
			if n > 0 && limit > 0 && !slices.IsSorted(names) {
				t.Errorf("%d of 10: %q is not in order", n, names)
			}
			if slices.Sort(names); n > 0 && len(slices.Compact(names)) != want {
				t.Errorf("%d of 10: some of %q are the same", n, names)
			}
		}
	}
}

// A hash in a form of earlier versions is read, and one that is not in order is not.
func TestDecode(t *testing.T) {
	const (
		zipmap  = "\x02\x01a\x03\x02one??\x02bc\x00\x00\xff"
		ziplist = "\x13\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01a\x03\x03one\xff"
	)
	pack := func(elements ...string) string {
		var p rdb.Listpack
		for _, e := range elements {
			p.Add([]byte(e))
		}
		return string(p.Bytes())
	}
	for _, c := range []struct {
		form byte
		body string
		want string // "": it is refused
	}{
		{rdb.TypeHashZipmap, zipmap, `[{"a" "one"} {"bc" ""}]`},
		{rdb.TypeHashZipmap, "\x02\xfe\x01\x00\x00\x00a\xfe\x03\x00\x00\x00\x00one\x02bc\x00\x00\xff", `[{"a" "one"} {"bc" ""}]`},
		{rdb.TypeHashZipmap, "\xfe" + zipmap[1:], `[{"a" "one"} {"bc" ""}]`},
		{rdb.TypeHashZipmap, "\x01" + zipmap[1:], ""},
		{rdb.TypeHashZipmap, zipmap[:len(zipmap)-1], ""},
		{rdb.TypeHashZipmap, zipmap + "x", ""},
		{rdb.TypeHashZipmap, "\x01\x01a\xff", ""},
		{rdb.TypeHashZipmap, "\x00\xff", ""},
		{rdb.TypeHashZipmap, "", ""},
		{rdb.TypeHashZipmap, "\x02\x01a\x01\x00x\x01a\x01\x00y\xff", ""},
		{rdb.TypeHashZiplist, ziplist, `[{"a" "one"}]`},
		{rdb.TypeHashListpack, pack("a", "one", "2", "300"), `[{"a" "one"} {"2" "300"}]`},
		{rdb.TypeHashListpack, pack("a", "one", "2"), ""},
		{rdb.TypeHashListpack, pack("a", "one", "a", "two"), ""},
		{rdb.TypeHashListpack, pack(), ""},
	} {
		body := append(rdb.AppendLength(nil, len(c.body)), c.body...)
		d := rdb.NewDecoder(body, 0)
		v := decode(c.form, d, keyspace.DefaultThresholds)
		got := ""
		if h, isHash := v.(*hash); isHash && h != nil && !d.Broken() {
			got = fmt.Sprintf("%q", h.pairs())
		}
		if got != c.want {
			t.Errorf("form %d, %q: got %s, want %s", c.form, c.body, got, c.want)
		}
	}
}

// Which encoding a hash gets that is read depends on the thresholds: in one piece on the
// number of fields only.
func TestDecodedEncoding(t *testing.T) {
	limits := keyspace.Thresholds{HashEntries: 2, HashValue: 3}
	for _, c := range []struct {
		fields        string
		one, inPieces string
	}{
		{"a 1 b 2", "listpack", "listpack"},
		{"a 1 b 2222", "listpack", "hashtable"},
		{"aaaa 1", "listpack", "hashtable"},
		{"a 1 b 2 c 3", "hashtable", "hashtable"},
	} {
		words := bytes.Fields([]byte(c.fields))
		pairs, listpack := rdb.AppendLength(nil, len(words)/2), rdb.Listpack{}
		for _, word := range words {
			pairs = rdb.AppendString(pairs, word)
			listpack.Add(word)
		}
		one := append(rdb.AppendLength(nil, listpack.Size()), listpack.Bytes()...)
		if got := decode(rdb.TypeHashListpack, rdb.NewDecoder(one, 0), limits).Encoding(); got != c.one {
			t.Errorf("%s in one piece is a %s, expected a %s", c.fields, got, c.one)
		}
		if got := decode(rdb.TypeHash, rdb.NewDecoder(pairs, 0), limits).Encoding(); got != c.inPieces {
			t.Errorf("%s is a %s, expected a %s", c.fields, got, c.inPieces)
		}
	}
}

package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
	"redrpc/internal/redistest"
)

func TestChecksum(t *testing.T) {
	if got := rdb.Checksum([]byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("got %x", got)
	}
}

// dumpable are values at the edges of the ways in which they are written.
func dumpable() map[string][]string {
	repeat := strings.Repeat
	cases := map[string][]string{
		"empty":            {"SET", ""},
		"zero":             {"SET", "0"},
		"almost a number":  {"SET", "01"},
		"another":          {"SET", "-0"},
		"incompressible":   {"SET", "abcdefghijklmnopqrstuvwxyz"},
		"compressible":     {"SET", repeat("x", 100)},
		"long repetitions": {"SET", repeat("long ", 5000)},
		"far repetitions":  {"SET", repeat(fmt.Sprint(dumpPrimes(2000)), 2)},
		"one element":      {"RPUSH", ""},
		"many elements":    append([]string{"RPUSH"}, strings.Fields(repeat("some ", 70_000))...),
		"many pieces":      append([]string{"RPUSH"}, strings.Fields(repeat("a b ccccccccccccccccc 1234567 ", 3000))...),
		"large elements":   {"RPUSH", repeat("a", 8000), repeat("b", 8192), repeat("c", 9000), "d", repeat("e", 100_000), repeat("f", 300_000)},
	}
	var fields, manyFields []string
	for i := range 513 {
		manyFields = append(manyFields, fmt.Sprint("f", i), fmt.Sprint(i))
		if i < 512 {
			fields = manyFields
		}
	}
	for name, args := range map[string][]string{
		"one field": {"", ""}, "fields": {"a", "1", "bb", "-70000", "3", "three", "", "x"}, "the most fields of a listpack": fields, "too many fields": manyFields,
		"a value as long as may be": {"f", repeat("v", 64)}, "a value that is too long": {"f", repeat("v", 65)}, "a field that is too long": {repeat("f", 65), "v"}, "a long value": {"f", repeat("v", 20_000)},
	} {
		cases[name] = append([]string{"HSET"}, args...)
	}
	members := []string{"ZADD"}
	for i := range 300 {
		members = append(members, fmt.Sprint(float64(i)/3), fmt.Sprint("member", i))
	}
	cases["many members"] = members
	cases["few members"] = members[:1+2*100]
	cases["a long member"] = []string{"ZADD", "1", repeat("m", 65), "2", "b", "inf", "c"}
	cases["odd scores"] = []string{"ZADD", "inf", "a", "-inf", "b", "-0", "c", "0", "12", "-5", "", "1e17", "d", "4611686018427387904", "e", "4611686018427387905", "f", "9223372036854775808", "g",
		"1e300", "h", "5e-324", "i", "0.1", "j", "127", "k", "128", "l", "-4096", "m", "4096", "n", "1e15", "o", "9007199254740993", "p", "123456789012345678", "q"}
	cases["odd scores of many"] = append(slices.Clone(members), cases["odd scores"][1:]...)
	for name, args := range map[string][]string{
		"one integer": {"5"}, "integers of 4 bytes": {"1", "-40000", "7"}, "integers of 8 bytes": {"1", "5000000000", "-7"}, "the least and the greatest": {"-9223372036854775808", "9223372036854775807"},
		"one text": {"x"}, "integers and texts": {"1", "x", "01", "", repeat("m", 20_000)},
	} {
		cases[name] = append([]string{"SADD"}, args...)
	}
	integers := []string{"SADD"}
	for n := range 513 {
		integers = append(integers, fmt.Sprint(n))
	}
	cases["too many integers"], cases["the most integers of an intset"] = integers, integers[:513]
	numbers := []string{"RPUSH"}
	for _, limit := range []int64{0, 1 << 7, 1 << 12, 1 << 13, 1 << 15, 1 << 23, 1 << 31, 1 << 40} {
		for n := limit - 2; n <= limit+2; n++ {
			cases[fmt.Sprint("number ", n)] = []string{"SET", fmt.Sprint(n)}
			cases[fmt.Sprint("number ", -n)] = []string{"SET", fmt.Sprint(-n)}
			numbers = append(numbers, fmt.Sprint(n), fmt.Sprint(-n))
		}
	}
	numbers = append(numbers, "9223372036854775807", "-9223372036854775808", "9223372036854775808")
	cases["numbers"] = numbers
	for _, size := range []int{20, 21, 63, 64, 126, 127, 128, 4095, 4096, 16377, 16378, 16379, 16380, 16381, 16382, 16383, 16384, 16385} {
		cases[fmt.Sprint("string of ", size)] = []string{"SET", repeat("s", size)}
		cases[fmt.Sprint("element of ", size)] = []string{"RPUSH", repeat("e", size), "behind"}
	}
	return cases
}

// dumpPrimes are numbers without much to compress in them.
func dumpPrimes(n int) (primes []int) {
	for i := 2; len(primes) < n; i++ {
		isPrime := true
		for _, p := range primes {
			isPrime = isPrime && i%p != 0
		}
		if isPrime {
			primes = append(primes, i)
		}
	}
	return primes
}

// What the broker dumps Redis restores, and the other way round, compressed or not.
// Uncompressed Redis's form of a string is the broker's.
func TestDumpAndRedis(t *testing.T) {
	redis := newWire(dial(t, redistest.Start(t).TCPAddr()))
	broker := inMemory(t, newBroker(t, Options{}))
	unquoted := func(reply string) string { return unquoted(t, reply) }
	for name, c := range dumpable() {
		for _, w := range []*wire{redis, broker} {
			w.do(t, "DEL", "k")
			w.do(t, append([]string{c[0], "k"}, c[1:]...)...)
		}
		read := func(w *wire) string { return readBack(t, w, c[0]) }
		want := read(redis)
		encoding := redis.do(t, "OBJECT", "ENCODING", "k")
		ours := unquoted(broker.do(t, "DUMP", "k"))
		for _, compress := range []string{"yes", "no"} {
			redis.do(t, "CONFIG", "SET", "rdbcompression", compress)
			theirs := unquoted(redis.do(t, "DUMP", "k"))
			if compress == "no" && theirs != ours && encoding != "hashtable" {
				t.Errorf("%s: Redis dumps %q, the broker %q", name, theirs, ours)
			}
			broker.do(t, "FLUSHALL")
			if got := broker.do(t, "RESTORE", "k", "0", theirs); got != "+OK" {
				t.Errorf("%s, compression %s: the broker restores Redis's form with %s", name, compress, got)
			} else if got := read(broker); got != want {
				t.Errorf("%s, compression %s: the broker restored Redis's form as %.200s, expected %.200s", name, compress, got, want)
			} else if got := broker.do(t, "OBJECT", "ENCODING", "k"); got != encoding && c[0] != "SET" {
				t.Errorf("%s, compression %s: the broker restored Redis's form as a %s, expected a %s", name, compress, got, encoding)
			}
		}
		redis.do(t, "FLUSHALL")
		if got := redis.do(t, "RESTORE", "k", "0", ours); got != "+OK" {
			t.Errorf("%s: Redis restores the broker's form with %s", name, got)
		} else if got := read(redis); got != want {
			t.Errorf("%s: Redis restored the broker's form as %.200s, expected %.200s", name, got, want)
		}
	}
}

// unquoted returns the string that a client was answered with, from how wire.do shows it.
func unquoted(t testing.TB, reply string) string {
	t.Helper()
	if !strings.HasPrefix(reply, `"`) {
		return reply
	}
	s, err := strconv.Unquote(reply)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// groupOf is how many words of an answer are an element of what a command has made.
var groupOf = map[string]int{"HSET": 2, "SADD": 1}

// readBack reads the key k, which the given command has made. What is in a hash table, which
// has no order, is sorted.
func readBack(t *testing.T, w *wire, made string) string {
	t.Helper()
	answer := w.do(t, map[string][]string{"SET": {"GET", "k"}, "RPUSH": {"LRANGE", "k", "0", "-1"}, "HSET": {"HGETALL", "k"}, "SADD": {"SMEMBERS", "k"}, "ZADD": {"ZRANGE", "k", "0", "-1", "WITHSCORES"}}[made]...)
	if w.do(t, "OBJECT", "ENCODING", "k") != "hashtable" {
		return answer
	}
	var elements []string
	for element := range slices.Chunk(strings.Fields(strings.Trim(answer, "[]")), groupOf[made]) {
		elements = append(elements, strings.Join(element, " "))
	}
	slices.Sort(elements)
	return fmt.Sprint(elements)
}

// What is not in order is refused, whatever it says of its size.
func TestLoadedRefuses(t *testing.T) {
	huge := []byte{0x81, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}
	join := func(parts ...any) []byte {
		var b []byte
		for _, p := range parts {
			switch p := p.(type) {
			case int:
				b = append(b, byte(p))
			case string:
				b = append(b, p...)
			case []byte:
				b = append(b, p...)
			}
		}
		return b
	}
	packed := func(p []byte) []byte {
		return join(rdb.TypeListQuicklist2, 1, 2, rdb.AppendLength(nil, len(p)), p)
	}
	var pack rdb.Listpack
	pack.Add([]byte("element"))
	good := pack.Bytes()
	if types.Load(packed(good), 0, keyspace.DefaultThresholds) == nil {
		t.Fatal("a good one is refused")
	}
	pairs := func(elements ...string) []byte {
		var pack rdb.Listpack
		for _, e := range elements {
			pack.Add([]byte(e))
		}
		return join(rdb.TypeZSetListpack, rdb.AppendLength(nil, pack.Size()), pack.Bytes())
	}
	if types.Load(pairs("a", "1", "b", "-inf"), 0, keyspace.DefaultThresholds) == nil {
		t.Fatal("a good sorted set is refused")
	}
	changed := func(at int, to byte) []byte {
		p := bytes.Clone(good)
		p[at] = to
		return packed(p)
	}
	for name, body := range map[string][]byte{
		"nothing":                           nil,
		"no such type":                      join(255, 1, "x"),
		"no string":                         join(rdb.TypeString),
		"a string that is too short":        join(rdb.TypeString, 5, "xxxx"),
		"a huge string":                     join(rdb.TypeString, huge),
		"an odd length":                     join(rdb.TypeString, 0x82, 0, 0, 0, 0),
		"an odd mark":                       join(rdb.TypeString, 0xC4, 0),
		"an integer that is too short":      join(rdb.TypeString, 0xC2, 1, 2, 3),
		"a bomb":                            join(rdb.TypeString, 0xC3, 2, 0x80, 0, 0x10, 0, 0, 0, 'x'),
		"a huge bomb":                       join(rdb.TypeString, 0xC3, 2, huge, 0, 'x'),
		"a bomb that is worse than it says": join(rdb.TypeString, 0xC3, 5, 10, 0, 'x', 0xE0, 255, 0),
		"a run before the beginning":        join(rdb.TypeString, 0xC3, 3, 3, 0x20, 0, 0),
		"a run without its distance":        join(rdb.TypeString, 0xC3, 3, 4, 0, 'x', 0x20),
		"a run without its length":          join(rdb.TypeString, 0xC3, 3, 10, 0, 'x', 0xE0),
		"a compressed string without end":   join(rdb.TypeString, 0xC3, 2, 5, 4, 'x'),
		"less than it says":                 join(rdb.TypeString, 0xC3, 2, 2, 0, 'x'),
		"no elements":                       join(rdb.TypeList, 0),
		"too few elements":                  join(rdb.TypeList, 2, 1, "x"),
		"huge numbers of elements":          join(rdb.TypeList, huge, 1, "x"),
		"huge numbers of pieces":            join(rdb.TypeListQuicklist2, huge, 1, "x"),
		"a mark for a number":               join(rdb.TypeListQuicklist2, 0xC0, 1, 1, 1, "x"),
		"no pieces":                         join(rdb.TypeListQuicklist2, 0),
		"an odd kind of piece":              join(rdb.TypeListQuicklist2, 1, 3, 1, "x"),
		"an empty piece":                    packed((&rdb.Listpack{}).Bytes()),
		"a short listpack":                  packed(good[:5]),
		"a listpack of another size":        changed(0, 200),
		"a listpack with another count":     changed(4, 2),
		"a listpack without end":            changed(len(good)-1, 0),
		"an element of another size":        changed(6, 0x83),
		"an element of no kind":             changed(6, 0xF9),
		"a back length that is wrong":       changed(len(good)-2, 1),
		"no members":                        join(rdb.TypeZSet2, 0),
		"no members in one piece":           pairs(),
		"too few members":                   join(rdb.TypeZSet, 2, 1, "a", 1, "1"),
		"a member without its score":        pairs("a", "1", "b"),
		"a score that is no text":           join(rdb.TypeZSet, 1, 1, "a", 2, "1x"),
		"a score without end":               join(rdb.TypeZSet2, 1, 1, "a", "1234567"),
		"a score that is no number":         join(rdb.TypeZSet2, 1, 1, "a", "\x00\x00\x00\x00\x00\x00\xf8\x7f"),
		"a score marked as no number":       join(rdb.TypeZSet, 1, 1, "a", 253),
		"a score in one piece that is none": pairs("a", "x"),
		"nan in one piece":                  pairs("a", "nan"),
		"a member that is there twice":      join(rdb.TypeZSet, 2, 1, "a", 1, "1", 1, "a", 1, "2"),
		"a member that is twice in a piece": pairs("a", "1", "b", "2", "a", "3"),
		"a short ziplist":                   join(rdb.TypeListZiplist, 3, "abc"),
	} {
		if v := types.Load(body, 1<<20, keyspace.DefaultThresholds); v != nil {
			t.Errorf("%s is taken for %v", name, v)
		}
	}
}

// newString returns the value of a string key.
func newString(s string) keyspace.Value {
	return types.Load(rdb.AppendString([]byte{rdb.TypeString}, []byte(s)), len(s), keyspace.DefaultThresholds)
}

// content lists what a command would make a value of: the elements of a list, the one string,
// the fields and values of a hash, the scores and members of a sorted set.
func content(v keyspace.Value) (elements [][]byte) {
	for part := range v.Recipe().Parts {
		elements = append(elements, bytes.Clone(part))
	}
	return elements
}

// RESTORE survives any value with a valid checksum; it takes memory in proportion to
// it, and what it accepts can be dumped and restored.
func FuzzRestore(f *testing.F) {
	for _, c := range dumpable() {
		b := newBroker(f, Options{})
		args := []any{c[0], "k", c[1:]}
		if _, err := b.Do(args...); err != nil {
			f.Fatal(err)
		}
		body, _ := rdb.Undump(keyspace.Dump(b.keys.DBs[0].Get("k").Value))
		if len(body) < 1000 {
			f.Add(body)
		}
	}
	f.Add([]byte("\x0e\x01\x1f\x1f\x00\x00\x00\x17\x00\x00\x00\x04\x00\x00\xf2\x02\xc0\xe8\x03\x04\xf0\x01\x00\x10\x05\xfe\xff\x03\xff"))
	f.Add([]byte("\x00\xc3\x09\x40\x64\x01xx\xe0\x57\x00\x01xx"))
	f.Fuzz(func(t *testing.T, body []byte) {
		v := types.Load(body, 1<<20, keyspace.DefaultThresholds)
		if v == nil {
			return
		}
		elements := content(v)
		size := 0
		for _, e := range elements {
			size += len(e)
		}
		if most := 20*len(body) + 20*rdb.MaxExpansion*len(body); size > most {
			t.Errorf("%d bytes became %d", len(body), size)
		}
		again, valid := rdb.Undump(keyspace.Dump(v))
		if !valid {
			t.Fatal("what was dumped has no valid checksum")
		}
		if got := content(types.Load(again, 0, keyspace.DefaultThresholds)); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", elements) {
			t.Errorf("got %q, want %q", got, elements)
		}
	})
}

// A payload of another version than Redis 7.0 knows is refused, as is a changed one.
func TestUndump(t *testing.T) {
	good := keyspace.Dump(newString("x"))
	if body, valid := rdb.Undump(good); !valid || string(body) != "\x00\x01x" {
		t.Fatalf("got %q, %t", body, valid)
	}
	signed := func(version uint16) []byte {
		b := binary.LittleEndian.AppendUint16([]byte("\x00\x01x"), version)
		return binary.LittleEndian.AppendUint64(b, rdb.Checksum(b))
	}
	if _, valid := rdb.Undump(signed(6)); !valid {
		t.Error("version 6 is refused")
	}
	for name, p := range map[string][]byte{
		"version 11": signed(11), "nothing": nil, "a short one": good[:9], "a cut one": good[:len(good)-1], "a changed one": append([]byte{1}, good[1:]...),
	} {
		if _, valid := rdb.Undump(p); valid {
			t.Errorf("%s is accepted", name)
		}
	}
}

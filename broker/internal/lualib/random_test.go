package lualib

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

var (
	randomSeed    = flag.Uint64("random.seed", 0, "seed of the random scripts; 0 chooses one")
	randomScripts = flag.Int("random.scripts", 3_000, "how many random scripts are compared with redis-server")
)

// Random scripts call the libraries with odd arguments: what they answer here is what they
// answer on a redis-server.
func TestRandomScripts(t *testing.T) {
	seed := *randomSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-random.seed %d", seed)
	g := generator{rand.New(rand.NewPCG(seed, 0))}
	state, server := newRunner(), newRedis(t)
	for range *randomScripts {
		script := g.script()
		if got, want := state(t, script), server(t, script); got != want {
			t.Errorf("%s\n got %s\nwant %s", script, got, want)
		}
	}
}

// A generator writes scripts.
type generator struct{ *rand.Rand }

func pick[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

func (g generator) script() string {
	switch g.IntN(8) {
	case 0:
		return g.settings() + "return try(c.encode, " + g.value(4) + ")"
	case 1:
		return g.settings() + "return try(c.decode, " + quoted(g.spoil(g.json(4), jsonBytes)) + ")"
	case 2:
		return "local ok, s = pcall(cmsgpack.pack, " + g.values(4, 3) + ") return hex(s)"
	case 3:
		data := quoted(g.spoil(g.msgpack(3), msgpackBytes))
		return pick(g,
			"return try(cmsgpack.unpack, "+data+")",
			"return try(cmsgpack.unpack_one, "+data+", "+g.number()+")",
			"return try(cmsgpack.unpack_limit, "+data+", "+g.number()+", "+g.number()+")")
	case 4:
		format := g.format()
		return "local ok, s = pcall(struct.pack, " + quoted(format) + ", " + g.packArguments(format) + ") return (ok and hex or show)(s)"
	case 5:
		data := quoted(g.bytes(40))
		return pick(g,
			"return try(struct.unpack, "+quoted(g.format())+", "+data+")",
			"return try(struct.unpack, "+quoted(g.format())+", "+data+", "+g.number()+")",
			"return try(struct.size, "+quoted(g.format())+")")
	case 6:
		return "return try(bit." + pick(g, "tobit", "bnot", "band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror", "bswap", "tohex") +
			", " + g.bits() + ")"
	}
	return g.settings() + "local ok, s = pcall(c.encode, " + g.value(4) + ") return ok and try(c.decode, s) or s"
}

// settings makes a cjson c of some settings.
func (g generator) settings() string {
	s := "local c = cjson.new() "
	for g.IntN(3) == 0 {
		s += "pcall(c." + pick(g,
			"encode_sparse_array, "+g.option()+", "+pick(g, "0", "1", "2", "3", g.option())+", "+pick(g, "0", "3", "20", g.option()),
			"encode_max_depth, "+pick(g, "1", "2", "3", g.option()),
			"decode_max_depth, "+pick(g, "1", "2", "3", g.option()),
			"encode_number_precision, "+pick(g, "1", "5", "14", "15", g.option()),
			"encode_keep_buffer, "+g.option(),
			"encode_invalid_numbers, "+g.option(),
			"decode_invalid_numbers, "+g.option()) + ") "
	}
	return s
}

func (g generator) option() string {
	return pick(g, "true", "false", "nil", "'on'", "'off'", "'null'", "'x'", "0", "1", "2", "{}", "-1", "'3'", "2^31", "1.5")
}

// values are up to n values.
func (g generator) values(n, depth int) string {
	values := make([]string, 1+g.IntN(n))
	for i := range values {
		values[i] = g.value(depth)
	}
	return strings.Join(values, ", ")
}

func (g generator) value(depth int) string {
	if depth > 0 && g.IntN(2) == 0 {
		return g.table(depth - 1)
	}
	switch g.IntN(12) {
	case 0:
		return "nil"
	case 1:
		return pick(g, "true", "false")
	case 2:
		return pick(g, "cjson.null", "cjson.null", "tostring")
	case 3, 4, 5, 6:
		return quoted(g.bytes(12))
	}
	return g.number()
}

func (g generator) table(depth int) string {
	var b strings.Builder
	b.WriteString("{")
	for range g.IntN(6) {
		switch g.IntN(5) {
		case 0:
			fmt.Fprintf(&b, "[%d] = ", g.IntN(16))
		case 1:
			b.WriteString("[" + pick(g, quoted(g.bytes(4)), "'a'", "'b'", "true", "1.5", "-1", "2^31", "2^40", "0", "1e15", "1/0", "cjson.null") + "] = ")
		}
		b.WriteString(g.value(depth) + ", ")
	}
	return b.String() + "}"
}

func (g generator) number() string {
	switch g.IntN(6) {
	case 0:
		return fmt.Sprint(g.IntN(20) - 4)
	case 1:
		return fmt.Sprintf("%.17g", g.NormFloat64()*pick(g, 1.0, 1e-5, 1e5, 1e14, 1e19))
	case 2:
		return fmt.Sprintf("%s2^%d%s", pick(g, "", "-"), g.IntN(70), pick(g, "", " - 1", " + 1", " + 0.5"))
	case 3:
		return pick(g, "1/0", "-1/0", "0/0", "-(0/0)", "1e300", "-1e300", "5e-324", "-0", "0", "0.1", "1/3", "1e15", "1e14")
	case 4:
		return fmt.Sprint(g.IntN(1 << 17))
	}
	return fmt.Sprint(int64(g.Uint64()) >> g.IntN(64))
}

func (g generator) bits() string {
	args := make([]string, g.IntN(4))
	for i := range args {
		args[i] = pick(g, g.number(), g.number(), g.number(), g.number(), "'12'", "'0x7f'", "'x'", "nil", "{}")
	}
	if len(args) == 0 {
		return "7"
	}
	return strings.Join(args, ", ")
}

func (g generator) bytes(n int) string {
	b := make([]byte, g.IntN(n))
	for i := range b {
		if b[i] = byte(g.Uint32()); g.IntN(2) == 0 {
			b[i] = pick(g, []byte("abc/\\\"\x00\x01\x7f\xc3\xa9 012")...)
		}
	}
	return string(b)
}

const (
	jsonBytes    = "{}[]:,\"\\u0123456789abcdefDC.-+eEx \t\n\x00tfninfa/"
	msgpackBytes = "\x00\x01\x7f\x80\x81\x90\x91\x92\xa0\xa1\xa3\xc0\xc1\xc2\xc3\xca\xcb\xcc\xcd\xce\xcf\xd0\xd1\xd2\xd3\xd4\xd9\xda\xdb\xdc\xdd\xde\xdf\xe0\xff"
)

// spoil changes some bytes of a text, mostly none.
func (g generator) spoil(s, alphabet string) string {
	b := []byte(s)
	for g.IntN(2) == 0 {
		i := g.IntN(len(b) + 1)
		switch c := alphabet[g.IntN(len(alphabet))]; g.IntN(3) {
		case 0:
			b = append(b[:i], append([]byte{c}, b[i:]...)...)
		case 1:
			b = b[:i]
		default:
			if i < len(b) {
				b[i] = c
			}
		}
	}
	return string(b)
}

func (g generator) json(depth int) string {
	space := pick(g, "", "", "", " ", "\n\t")
	if depth > 0 && g.IntN(2) == 0 {
		parts := make([]string, g.IntN(5))
		object := g.IntN(2) == 0
		for i := range parts {
			if parts[i] = g.json(depth - 1); object {
				parts[i] = g.jsonString() + space + ":" + parts[i]
			}
		}
		if body := strings.Join(parts, ","); object {
			return space + "{" + body + "}" + space
		} else {
			return space + "[" + body + space + "]"
		}
	}
	switch g.IntN(4) {
	case 0:
		return pick(g, "true", "false", "null")
	case 1:
		return g.jsonString()
	}
	return space + g.jsonNumber() + space
}

func (g generator) jsonString() string {
	var b strings.Builder
	b.WriteByte('"')
	for range g.IntN(5) {
		b.WriteString(pick(g, "a", "key", "é", "\\n", "\\\"", "\\\\", "\\/", "\\t", "\\u0041", "\\u20ac", "\\ud83d\\ude00", "\\udc00", "\\ud800",
			fmt.Sprintf("\\u%04x", g.IntN(1<<16)), "\\x", "\x01", "\xff"))
	}
	return b.String() + `"`
}

func (g generator) jsonNumber() string {
	switch g.IntN(6) {
	case 0:
		return fmt.Sprint(g.IntN(2000) - 1000)
	case 1:
		return fmt.Sprintf("%g", g.NormFloat64()*1e3)
	case 2:
		return fmt.Sprintf("%d.%de%d", g.IntN(1000), g.IntN(1e9), g.IntN(700)-350)
	case 3:
		return fmt.Sprintf("%s0x%x%s", pick(g, "", "-", "+"), g.Uint64()>>g.IntN(64), pick(g, "", ".8", "p3", "p-1070", ".p1", "p"))
	case 4:
		return fmt.Sprint(g.Uint64(), g.Uint64())[:1+g.IntN(30)]
	}
	return pick(g, "inf", "-Infinity", "nan", "-NaN", "nan(1)", "+1", "01", "1.", "-.5", "1e", "1e+", "-", "00", "0e0", "1E5", "infin", "0x", "1e999", "1e-999")
}

func (g generator) msgpack(depth int) string {
	var b strings.Builder
	for range g.IntN(4) {
		form := msgpackBytes[g.IntN(len(msgpackBytes))]
		b.WriteByte(form)
		switch {
		case form == msgpackArray16 || form == msgpackMap16 || form == msgpackRaw16:
			b.WriteString("\x00" + string([]byte{byte(g.IntN(4))}))
		case form == msgpackArray32 || form == msgpackMap32 || form == msgpackRaw32:
			b.WriteString("\x00\x00\x00" + string([]byte{byte(g.IntN(4))}))
		case form >= msgpackFloat && form <= msgpackRaw8:
			b.WriteString(g.bytes(10))
		}
		if depth > 0 {
			b.WriteString(g.msgpack(depth - 1))
		}
	}
	return b.String()
}

func (g generator) format() string {
	var b strings.Builder
	for range g.IntN(7) {
		b.WriteString(pick(g, "b", "B", "h", "H", "l", "L", "T", "i", "I", "f", "d", "s", "c", "c0", "x", " ", "<", ">", "!", "!2", "!4", "!16",
			fmt.Sprintf("i%d", g.IntN(34)), fmt.Sprintf("I%d", g.IntN(34)), fmt.Sprintf("c%d", g.IntN(10)), "Bc0", "cc0", "!3", "z", "\x00", "i9999999999"))
	}
	return b.String()
}

// packArguments mostly fit the format.
func (g generator) packArguments(format string) string {
	var args []string
	for _, c := range []byte(format) {
		switch {
		case g.IntN(30) == 0:
			args = append(args, g.value(1))
		case c == 's' || c == 'c':
			args = append(args, quoted(g.bytes(12)))
		case strings.IndexByte("bBhHlLTiIfd", c) >= 0:
			args = append(args, g.number())
		}
	}
	return strings.Join(append(args, "1"), ", ")
}

// quoted writes a string as a script has it.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, c := range []byte(s) {
		if c >= ' ' && c < 0x7f && c != '\'' && c != '\\' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\%03d`, c)
		}
	}
	return b.String() + "'"
}

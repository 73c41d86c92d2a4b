package script

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"redrpc/broker/internal/resp"
)

// A testHost answers all commands with one reply, and remembers what it was told.
type testHost struct {
	reply    resp.Reply
	called   []string
	protocol int
	logged   []string
	ends     error         // of scripts that take long
	step     time.Duration // that seems to pass between two questions while a library is loaded
	panics   bool
}

func (h *testHost) Call(args [][]byte) *resp.Reply {
	if h.panics {
		panic("a mistake")
	}
	var words []string
	for _, arg := range args {
		words = append(words, string(arg))
	}
	h.called = append(h.called, strings.Join(words, " "))
	return &h.reply
}

func (h *testHost) MayRun(args [][]byte) (may, known bool) {
	return string(args[0]) == "get", string(args[0]) != "nosuch"
}
func (h *testHost) SetProtocol(version int) { h.protocol = version }
func (h *testHost) Log(level int, message string) {
	h.logged = append(h.logged, fmt.Sprintf("%d %s", level, message))
}
func (h *testHost) Interrupt() error { return h.ends }

func (h *testHost) Stopwatch() func() time.Duration {
	if h.panics {
		panic("a mistake")
	}
	passed := time.Duration(0)
	return func() time.Duration {
		passed += h.step
		return passed
	}
}

// run runs a script of EVAL.
func run(t testing.TB, c *Cache, body string, keysAndArgs ...string) Result {
	t.Helper()
	s, err := c.Load([]byte(body))
	if err != nil {
		return Result{Reply: *err}
	}
	var args [][]byte
	for _, arg := range keysAndArgs {
		args = append(args, []byte(arg))
	}
	return s.Run(args[:min(1, len(args))], args[min(1, len(args)):])
}

// text shows a reply: its encoding in a version of the protocol, without line breaks.
func text(r resp.Reply, protocol int) string {
	var out resp.Output
	out.Add(&r, protocol, 10)
	return strings.TrimSpace(strings.ReplaceAll(string(out.First()), "\r\n", " "))
}

// What a command answers becomes values of Lua, by the version of the protocol that the
// script has chosen.
func TestValuesOfReplies(t *testing.T) {
	strings := func(values ...string) func(yield func([]byte) bool) {
		return func(yield func([]byte) bool) {
			for _, v := range values {
				if !yield([]byte(v)) {
					return
				}
			}
		}
	}
	for _, c := range []struct {
		reply        resp.Reply
		want2, want3 string // shown by the function show
	}{
		{resp.Integer(-7), "-7", "-7"},
		{resp.Integer(1<<53 + 1), "9007199254740992", "9007199254740992"},
		{resp.OK, "{ok='OK'}", "{ok='OK'}"},
		{resp.BulkString("a\x00b"), "'a\\0b'", "'a\\0b'"},
		{resp.BulkString(""), "''", "''"},
		{resp.Null, "false", "nil"},
		{resp.NullArray, "false", "nil"},
		{resp.Array(), "{}", "{}"},
		{resp.Array(resp.One, resp.Null, resp.BulkString("x")), "{1=1 2=false 3='x'}", "{1=1 3='x'}"},
		{resp.Array(resp.Array(resp.OK), resp.ErrorReply("CODE words")), "{1={1={ok='OK'}} 2={err='CODE words'}}", "{1={1={ok='OK'}} 2={err='CODE words'}}"},
		{resp.Strings(2, strings("a", "b")), "{1='a' 2='b'}", "{1='a' 2='b'}"},
		{resp.Verbatim("words"), "'words'", "{verbatim_string={format='txt' string='words'}}"},
		{resp.Double(1.5), "'1.5'", "{double=1.5}"},
		{resp.Reply{Kind: resp.KindBoolean, N: 1}, "1", "true"},
		{resp.Reply{Kind: resp.KindBoolean}, "0", "false"},
		{resp.Map(resp.BulkString("k"), resp.One, resp.Null, resp.One), "{1='k' 2=1 3=false 4=1}", "{map={k=1}}"},
		{resp.StringMap(2, strings("k", "v")), "{1='k' 2='v'}", "{map={k='v'}}"},
		{resp.Set(resp.BulkString("x")), "{1='x'}", "{set={x=true}}"},
		{resp.Reply{Kind: resp.KindPairs, N: 1, Each: strings("a", "b")}, "{1='a' 2='b'}", "{1={1='a' 2='b'}}"},
		{resp.Reply{Kind: resp.KindScored, N: 1, Each: strings("a", "2.5")}, "{1='a' 2='2.5'}", "{1={1='a' 2={double=2.5}}}"},
	} {
		h := &testHost{reply: c.reply}
		cache := NewCache(h)
		for protocol, want := range map[int]string{2: c.want2, 3: c.want3} {
			body := fmt.Sprintf(`local function show(v)
				if type(v) == 'string' then return "'" .. v:gsub('%%z', '\\0') .. "'" end
				if type(v) ~= 'table' then return type(v) == 'number' and string.format('%%.17g', v) or tostring(v) end
				local fields = {}
				for k, e in pairs(v) do fields[#fields + 1] = k .. '=' .. show(e) end
				table.sort(fields)
				return '{' .. table.concat(fields, ' ') .. '}'
			end
			redis.setresp(%d) return show(redis.pcall('x'))`, protocol)
			if got := string(run(t, cache, body).Reply.Bytes); got != want {
				t.Errorf("%s in version %d: got %s, want %s", text(c.reply, 3), protocol, got, want)
			}
		}
	}
}

// What a script returns becomes a reply.
func TestRepliesOfValues(t *testing.T) {
	cache := NewCache(&testHost{})
	for body, want := range map[string]string{
		"return":                         "_",
		"return 3.99":                    ":3",
		"return -3.99":                   ":-3",
		"return 1e300":                   ":-9223372036854775808",
		"return 0/0":                     ":-9223372036854775808",
		"return 'a\\r\\nb'":              "$4 a b",
		"return true":                    ":1",
		"return false":                   "_",
		"redis.setresp(3) return true":   "#t",
		"redis.setresp(3) return false":  "#f",
		"return {1, 2, nil, 4}":          "*2 :1 :2",
		"return {}":                      "*0",
		"return print":                   "-ERR user_script:1: Script attempted to access nonexistent global variable 'print' script: " + Hash([]byte("return print")) + ", on @user_script:1.",
		"return type":                    "_",
		"return {ok = 'a\\nb', 1}":       "+a b",
		"return {err = 'CODE words', 1}": "-CODE words",
		"return {ok = 1, 1}":             "*1 :1",
		"return {double = 1.5}":          ",1.5",
		"return {double = 'x', 7}":       "*1 :7",
		"return {map = {k = 1}}":         "%1 $1 k :1",
		"return {set = {k = true}}":      "~1 $1 k",
		"return {big_number = '12\\n3'}": "(12 3",
		"return {verbatim_string = {format = 'mkdn', string = 'x'}}": "=5 mkd:x",
		"return {verbatim_string = {string = 'x'}}":                  "*0",
	} {
		if got := text(run(t, cache, body).Reply, 3); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}

// Keys and arguments are bytes, in tables that are those of one run.
func TestKeysAndArguments(t *testing.T) {
	h := &testHost{reply: resp.OK}
	cache := NewCache(h)
	if got := text(run(t, cache, "ARGV[3] = 'own' redis.call('x', KEYS[1], ARGV[1], ARGV[2], 1, 1.5, 1e17) return #KEYS + #ARGV", "k\x00", "", "b").Reply, 2); got != ":4" {
		t.Errorf("got %s", got)
	}
	if want := "x k\x00  b 1 1.5 1e+17"; len(h.called) != 1 || h.called[0] != want {
		t.Errorf("called %q, want %q", h.called, want)
	}
	if got := text(run(t, cache, "return #KEYS + #ARGV").Reply, 2); got != ":0" {
		t.Errorf("got %s", got)
	}
}

// Errors have Redis's texts, and are counted once: those of commands when these run, others
// by who gets the result.
func TestErrors(t *testing.T) {
	h := &testHost{reply: resp.ErrorReply("CODE of a command")}
	cache := NewCache(h)
	for _, c := range []struct {
		body, want string
		counted    int
		errors     string
	}{
		{"return redis.call('x')", "-CODE of a command script: #, on @user_script:1.", 1, ""},
		{"return redis.pcall('x')", "-CODE of a command", 1, ""},
		{"return {redis.pcall('x'), redis.pcall('x')}", "*2 -CODE of a command -CODE of a command", 2, ""},
		{"return {redis.error_reply('MY own')}", "*1 -MY own", 0, "MY own"},
		{"return redis.error_reply('MY own')", "-MY own", 0, ""},
		{"return redis.error_reply('-single')", "-ERR single", 0, ""},
		{"\n\nerror('words')", "-ERR user_script:3: words script: #, on @user_script:3.", 0, ""},
		{"error('words', 0)", "-ERR words script: #, on @user_script:1.", 0, ""},
		{"error({err = 'CODE words'})", "-CODE words script: #, on @user_script:1.", 0, ""},
		{"error({})", "-ERR the script failed with a table that has no field 'err' script: #, on @user_script:1.", 0, ""},
		{"error({err = 'zero\\0byte'})", "-zero", 0, ""},
		{"error()", "-ERR nil script: #, on @user_script:1.", 0, ""},
		{"x = 1", "-ERR user_script:1: Attempt to modify a readonly table script: #, on @user_script:1.", 0, ""},
		{"local t = setmetatable({}, {__index = function(t, k) return t[k] end}) return t.x", "-ERR user_script:1: C stack overflow script: #, on @user_script:1.", 0, ""},
		{"return x y", "-ERR Error compiling script (new function): user_script:1: '<eof>' expected near 'y'", 0, ""},
		{"redis.call()", "-ERR Please specify at least one argument for this redis lib call script: #, on @user_script:1.", 0, ""},
		{"redis.call({})", "-ERR Lua redis lib command arguments must be strings or integers script: #, on @user_script:1.", 0, ""},
		{"redis.acl_check_cmd('nosuch')", "-ERR Invalid command passed to redis.acl_check_cmd() script: #, on @user_script:1.", 0, ""},
		{"redis.setresp(4)", "-ERR RESP version must be 2 or 3. script: #, on @user_script:1.", 0, ""},
		{"redis.log(4, 'x')", "-ERR Invalid debug level. script: #, on @user_script:1.", 0, ""},
	} {
		r := run(t, cache, c.body)
		want := strings.Replace(c.want, "#", Hash([]byte(c.body)), 1)
		if got := text(r.Reply, 3); got != want {
			t.Errorf("%q: got %s, want %s", c.body, got, want)
		}
		if got := strings.Join(r.Errors, "|"); r.Counted != c.counted || got != c.errors {
			t.Errorf("%q: %d errors are counted, %q are others; want %d, %q", c.body, r.Counted, got, c.counted, c.errors)
		}
	}
	h.ends = errors.New("enough")
	const body = "while true do pcall(function() while true do end end) end"
	if got, want := text(run(t, cache, body).Reply, 3), "-ERR enough script: "+Hash([]byte(body))+", on @user_script:1."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	h.ends = nil
	if got := text(run(t, cache, "return 1").Reply, 3); got != ":1" {
		t.Errorf("after a script that was ended: %s", got)
	}
}

func TestLogAndPermissions(t *testing.T) {
	h := &testHost{}
	cache := NewCache(h)
	run(t, cache, "redis.log(redis.LOG_WARNING, 'a', 1, {}, 'b') redis.setresp(3)")
	if got := strings.Join(h.logged, "|"); got != "3 a 1 b" || h.protocol != 3 {
		t.Errorf("logged %q, version %d", got, h.protocol)
	}
	if got := text(run(t, cache, "return {redis.acl_check_cmd('get', 'k'), redis.acl_check_cmd('set')}").Reply, 2); got != "*2 :1 $-1" || h.protocol != 2 {
		t.Errorf("got %s, version %d", got, h.protocol)
	}
}

func TestCache(t *testing.T) {
	c := NewCache(&testHost{})
	first, _ := c.Load([]byte("return math.random(1000)"))
	again, _ := c.Load([]byte("return math.random(1000)"))
	if first != again || c.Len() != 1 || c.Size() != len("return math.random(1000)") {
		t.Errorf("%d scripts of %d bytes", c.Len(), c.Size())
	}
	for _, hash := range []string{first.Name, strings.ToUpper(first.Name)} {
		if c.Find([]byte(hash)) != first {
			t.Errorf("%s is not found", hash)
		}
	}
	var drawn []int64
	for range 2 {
		drawn = append(drawn, run(t, c, "return math.random(1000)").Reply.N)
		c.Flush()
	}
	if c.Len() != 0 || c.Size() != 0 || c.Find([]byte(first.Name)) != nil {
		t.Error("scripts are there after Flush")
	}
	other := NewCache(&testHost{})
	for _, want := range drawn { // as if there had been no Flush
		if got := run(t, other, "return math.random(1000)").Reply.N; got != want {
			t.Errorf("the numbers are %v, and %d without Flush", drawn, got)
		}
	}
}

func TestFlags(t *testing.T) {
	for body, want := range map[string]string{
		"return 1":                          "0 [] 0 ",
		"#!lua\nreturn 1":                   "32 [] 5 ",
		"#!lua flags=\n":                    "32 [] 12 ",
		"#!lua flags=no-writes,allow-oom\n": "35 [no-writes allow-oom] 31 ",
		"#!lua flags=allow-stale flags=no-cluster,allow-cross-slot-keys\n": "60 [allow-stale no-cluster allow-cross-slot-keys] 62 ",
		"#!lua 'flags=no-writes'\n":                                        "33 [no-writes] 23 ",
		"#!lua":                                                            "0 [] 0 Invalid script shebang",
		"#!lua 'flags\n":                                                   "0 [] 0 Invalid engine in script shebang",
		"#!js\n":                                                           "0 [] 0 Unexpected engine in script shebang: #!js",
		"#!lua name=x\n":                                                   "0 [] 0 Unknown lua shebang option: name=x",
		"#!lua flags=No-Writes\n":                                          "0 [] 0 Unexpected flag in script shebang: No-Writes",
		"#!lua flags=no-writes,,\n":                                        "0 [] 0 Unexpected flag in script shebang: ",
	} {
		f, length, wrong := ParseFlags([]byte(body))
		if got := fmt.Sprintf("%d %v %d %s", f, f.Names(), length, wrong); strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%q: got %s, want %s", body, got, want)
		}
	}
}

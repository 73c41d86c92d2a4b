//go:build unix

package broker

import (
	"fmt"
	"slices"
	"strings"

	"redrpc/broker/internal/command"
)

// The scripts of the differential test: commands that answer alike on both servers, and
// functions of Lua and its libraries with odd arguments.

// luaScript is one, now and then one that cannot be compiled.
func (g *generator) luaScript() string {
	switch g.IntN(10) {
	case 0:
		return pick(g, pools["badScript"])
	case 1, 2:
		return pick(g, pools["knownScript"])
	case 3, 4, 5:
		return g.libraryScript()
	}
	return g.commandScript()
}

// commandScript calls some commands, and returns what they answer, or something made of it.
func (g *generator) commandScript() string {
	var lines []string
	if g.chance(10) {
		lines = append(lines, "#!lua flags="+pick(g, []string{"", "no-writes", "allow-oom", "no-writes,allow-stale", "no-cluster"}))
	}
	if g.chance(25) {
		lines = append(lines, "redis.setresp(3)")
	}
	n := 1 + g.IntN(3)
	for i := range n {
		lines = append(lines, fmt.Sprintf("local r%d = redis.%s(%s)", i, pick(g, []string{"call", "call", "pcall"}), g.luaArguments()))
	}
	r := fmt.Sprintf("r%d", g.IntN(n))
	lines = append(lines, "return "+pick(g, []string{
		r, r, r, "{r0, " + r + ", 1}", "type(" + r + ")", "{" + r + "}", "cjson.encode({" + r + "})", "cmsgpack.pack(" + r + ")", r + " == false", r + " == nil",
		"type(" + r + ") == 'table' and (" + r + ".err or " + r + ".ok or #" + r + ")", "KEYS[1] or ARGV[1] or 'neither'", "redis.call('get', KEYS[1])",
	}))
	return strings.Join(lines, "\n")
}

// luaArguments are those of a command of which both servers answer the same, as Lua writes
// them.
func (g *generator) luaArguments() string {
	rows := slices.DeleteFunc(slices.Clone(g.rows), func(row string) bool { return !isSameInScripts(row) })
	var words []string
	for _, arg := range g.command(pick(g, rows)) {
		words = append(words, luaString(arg))
	}
	return strings.Join(words, ", ")
}

// isSameInScripts reports whether no rule has to level what a row answers. That of a client
// has names of clients in its arguments.
func isSameInScripts(row string) bool {
	c := table.Named([]byte(row))
	if c == nil || strings.HasPrefix(row, "client") || c.Flags&command.RunsScript != 0 || slices.Contains(interrupted, row) {
		return false
	}
	for _, list := range [][]rule{rules, tableRules} {
		if slices.ContainsFunc(list, func(r rule) bool { return slices.Contains(strings.Fields(r.rows), row) }) {
			return false
		}
	}
	return true
}

// luaString writes a string of any bytes.
func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '\'' && c != '\\' && c != '{' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "\\%03d", c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// show makes a text of any value that is the same on both servers.
const show = `local function show(v)
local t = type(v)
if t == 'number' then return string.format('%.17g', v) end
if t == 'string' then return string.format('%q', v) end
if t == 'table' then local ok, s = pcall(cjson.encode, v) return tostring(s) end
if t == 'boolean' then return tostring(v) end
return t end
`

// libraryScript calls a function of a library.
func (g *generator) libraryScript() string {
	args := make([]string, g.IntN(4))
	for i := range args {
		args[i] = pick(g, pools["luaValue"])
	}
	function := pick(g, pools["luaFunction"])
	if g.chance(30) {
		function, args = pick(g, pools["luaCall"]), append([]string{pick(g, pools["luaFormat"])}, args...)
	}
	call := strings.Join(append([]string{function}, args...), ", ")
	return show + "local ok, a, b, c = pcall(" + call + ")\nreturn {tostring(ok), show(a), show(b), show(c)}"
}

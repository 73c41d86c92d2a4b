package lua

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A generator writes random programs. They end: each loop and each function counts down,
// and raises an error at 0. What they return does not depend on addresses.
type generator struct {
	*rand.Rand
	out    strings.Builder
	scopes [][]string // names of local variables, innermost last
	depth  int
	vararg bool
	inLoop bool
	names  int
}

const prelude = `local left = 400
local function tick() left = left - 1 if left < 0 then error("no more", 0) end end
local function S(v) local t = type(v) if t == "table" or t == "function" or t == "thread" then return t end return tostring(v) end
local function K(v) local t = type(v) if t == "table" or t == "function" or t == "thread" then return t end return v end
local function N(v, d) v = tonumber(v) if v and v > -20 and v < 20 then return v end return d end
local log = {}
local function L(...) local r = {} for i = 1, select("#", ...) do r[i] = S((select(i, ...))) end log[#log + 1] = table.concat(r, " ") return ... end
`

// program is a program, whose result is a list of texts.
func (g *generator) program() string {
	g.out.Reset()
	g.scopes, g.depth, g.vararg, g.inLoop, g.names = [][]string{nil}, 0, true, false, 0
	g.out.WriteString(prelude)
	for range 3 + g.IntN(8) {
		g.statement()
	}
	var all []string
	for _, scope := range g.scopes {
		for _, name := range scope {
			all = append(all, "S("+name+")")
		}
	}
	fmt.Fprintf(&g.out, "return {%s, unpack(log)}\n", strings.Join(append(all, "left"), ", "))
	return g.out.String()
}

func (g *generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g *generator) write(format string, args ...any) { fmt.Fprintf(&g.out, format+"\n", args...) }

func (g *generator) newName() string {
	g.names++
	return fmt.Sprintf("%c%d", 'a'+rune(g.IntN(6)), g.names)
}

func (g *generator) declare(name string) {
	last := len(g.scopes) - 1
	g.scopes[last] = append(g.scopes[last], name)
}

func (g *generator) variable() string {
	var all []string
	for _, scope := range g.scopes {
		all = append(all, scope...)
	}
	if len(all) == 0 || g.IntN(60) == 0 {
		return g.pick("KEYS", "ARGV", "string", "type", "math.max")
	}
	if g.IntN(2) == 0 {
		return all[len(all)-1-g.IntN(min(len(all), 4))]
	}
	return all[g.IntN(len(all))]
}

func (g *generator) block(declared ...string) {
	g.scopes = append(g.scopes, declared)
	g.depth++
	for range g.IntN(4) {
		g.statement()
	}
	if g.depth > 1 && g.inLoop && g.IntN(5) == 0 {
		g.write("do break end")
	}
	g.depth--
	g.scopes = g.scopes[:len(g.scopes)-1]
}

func (g *generator) loop(declared ...string) {
	before := g.inLoop
	g.inLoop = true
	g.write("tick()")
	g.block(declared...)
	g.inLoop = before
}

func (g *generator) statement() {
	if g.depth < 4 && g.IntN(3) > 0 { // what it raises does not end the program
		vararg, inLoop := g.vararg, g.inLoop
		g.vararg, g.inLoop = false, false
		g.write("L(pcall(function() tick()")
		g.block()
		g.write("end))")
		g.vararg, g.inLoop = vararg, inLoop
		return
	}
	kind := g.IntN(16)
	if g.depth > 4 {
		kind = g.IntN(6)
	}
	switch kind {
	case 0, 1:
		name, value := g.newName(), g.expression()
		if g.IntN(2) == 0 {
			value = g.safe()
		}
		g.write("local %s = %s", name, value)
		g.declare(name)
	case 2:
		a, b := g.newName(), g.newName()
		g.write("local %s, %s = %s", a, b, g.list(1+g.IntN(3)))
		g.declare(a)
		g.declare(b)
	case 3:
		g.write("%s = %s", g.target(), g.expression())
	case 4:
		g.write("%s, %s = %s", g.target(), g.target(), g.list(1+g.IntN(3)))
	case 5:
		g.write("L(%s)", g.list(1+g.IntN(2)))
	case 6:
		g.write("if %s then", g.expression())
		g.block()
		if g.IntN(3) == 0 {
			g.write("elseif %s then", g.expression())
			g.block()
		}
		if g.IntN(2) == 0 {
			g.write("else")
			g.block()
		}
		g.write("end")
	case 7:
		name := g.newName()
		g.write("for %s = %s, %s%s do", name, g.smallNumber(), g.smallNumber(), g.pick("", "", ", "+g.smallNumber()))
		g.loop(name)
		g.write("end")
	case 8:
		a, b := g.newName(), g.newName()
		g.write("for %s, %s in %s(%s) do", a, b, g.pick("pairs", "pairs", "ipairs"), g.tableExpression())
		g.loop(a, b)
		g.write("end")
	case 9:
		g.write("while %s do", g.expression())
		g.loop()
		g.write("end")
	case 10:
		g.write("repeat")
		g.loop()
		g.write("until %s", g.expression())
	case 11:
		name := g.newName()
		g.write("local function %s(...) tick()", name)
		g.declare(name)
		g.body("...")
		g.write("end")
	case 12:
		a, b := g.newName(), g.newName()
		name := g.newName()
		g.write("local function %s(%s, %s) tick()", name, a, b)
		g.declare(name)
		g.body("", a, b)
		g.write("end")
	case 13:
		name := g.newName()
		g.write("local %s = setmetatable(%s, {%s = function(x, y) tick() L(%q) return %s end})", name, g.tableExpression(),
			g.pick("__index", "__newindex", "__add", "__concat", "__eq", "__lt", "__le", "__call", "__unm", "__len", "__sub", "__mod"),
			name, g.pick("x", "y", "1", "nil", "rawget(x, 1)", g.expression()))
		g.declare(name)
	case 14:
		name := g.newName()
		g.write("local %s = coroutine.wrap(function(...) tick()", name)
		g.write("L(coroutine.yield(%s))", g.expression())
		g.body("...")
		g.write("end)")
		g.declare(name)
		g.write("L(pcall(%s, %s)) L(pcall(%s, %s))", name, g.expression(), name, g.expression())
	case 15:
		g.write("do")
		g.block()
		g.write("end")
	}
}

func (g *generator) body(varargs string, parameters ...string) {
	vararg, inLoop := g.vararg, g.inLoop
	g.vararg, g.inLoop = varargs != "", false
	g.scopes = append(g.scopes, parameters)
	g.depth++
	for range g.IntN(3) {
		g.statement()
	}
	if g.IntN(4) > 0 {
		g.write("return %s", g.list(1+g.IntN(2)))
	}
	g.depth--
	g.scopes = g.scopes[:len(g.scopes)-1]
	g.vararg, g.inLoop = vararg, inLoop
}

func (g *generator) target() string {
	if g.IntN(3) == 0 {
		return g.variable() + g.index()
	}
	for {
		if v := g.variable(); v != "KEYS" && v != "ARGV" && v != "string" && v != "type" && v != "math.max" {
			return v
		} else if len(g.scopes[0]) == 0 {
			return v + "[1]"
		}
	}
}

func (g *generator) index() string {
	switch g.IntN(4) {
	case 0:
		return "." + g.pick("x", "y", "n", "len")
	case 1:
		return "[K(" + g.expression() + ")]"
	}
	return "[" + g.pick("1", "2", "3", "0", "-1", "1.5", "true", `"x"`, `"y"`) + "]"
}

func (g *generator) list(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = g.expression()
	}
	return strings.Join(all, ", ")
}

func (g *generator) smallNumber() string {
	return g.pick("0", "1", "2", "3", "5", "-1", "10", "0.5", "1", "N("+g.expression()+", 3)")
}

func (g *generator) tableExpression() string {
	switch g.IntN(3) {
	case 0:
		return "{" + g.list(1+g.IntN(4)) + "}"
	case 1:
		return "{x = " + g.expression() + ", " + g.expression() + "; [" + g.pick("2", "true", `"y"`, "-3", "K("+g.expression()+")") + "] = " + g.expression() + "}"
	}
	return g.pick("{}", "{1, 2, 3}", "{'a', 'b', n = 2}", g.variable())
}

func (g *generator) expression() string {
	if g.depth++; g.depth > 7 {
		g.depth--
		return g.leaf()
	}
	defer func() { g.depth-- }()
	switch g.IntN(16) {
	case 0, 1:
		return "(" + g.expression() + " " + g.pick("+", "-", "*", "/", "%", "^", "..", "..", "==", "~=", "<", "<=", ">", ">=", "and", "or") + " " + g.expression() + ")"
	case 2:
		return g.leaf() + g.pick(" + ", " .. ", " == ", " and ", " or ", " * ", " < ") + g.leaf() + g.pick(" - ", " .. ", " and ", " or ") + g.leaf()
	case 3:
		return g.pick("not ", "- ", "#") + g.expression()
	case 4:
		return g.tableExpression()
	case 5:
		return g.variable() + g.index()
	case 6:
		return "(pcall(" + g.variable() + ", " + g.list(1+g.IntN(2)) + "))"
	case 7:
		return "select(2, pcall(" + g.variable() + ", " + g.list(1+g.IntN(2)) + "))"
	case 8:
		return g.variable() + "(" + g.list(1+g.IntN(2)) + ")"
	case 9:
		return g.call()
	case 10:
		if g.vararg {
			return g.pick("...", "(...)", "select('#', ...)", "{...}")
		}
		return g.leaf()
	case 11:
		return "(function(p) tick() return " + g.pick("p", "p, p", g.variable(), "p == nil") + " end)(" + g.expression() + ")"
	}
	return g.leaf()
}

// safe is an expression that raises nothing.
func (g *generator) safe() string {
	switch g.IntN(5) {
	case 0:
		return "{" + g.leaf() + ", " + g.leaf() + "}"
	case 1:
		return "{x = " + g.leaf() + ", y = " + g.leaf() + "; " + g.leaf() + "}"
	case 2:
		return "function(p, ...) tick() " + g.pick("return p", "return ...", "return p, p", "return #p", "return p + 1", "return p .. 'z'", "return p < 2") + " end"
	case 3:
		return g.leaf() + g.pick(" and ", " or ", " == ", " ~= ") + g.leaf()
	}
	return g.leaf()
}

func (g *generator) call() string {
	e := g.expression
	switch g.IntN(14) {
	case 0:
		return "tostring(K(" + e() + "))"
	case 1:
		return "tonumber(" + e() + ")"
	case 2:
		return "string.format(" + g.pick(`"%d"`, `"%5.1f"`, `"%s"`, `"%q"`, `"%x"`, `"%g"`, `"%-5s|"`, `"%05d"`, `"%c"`) + ", " + e() + ")"
	case 3:
		return "string." + g.pick("upper", "lower", "len", "reverse", "byte") + "(" + e() + ")"
	case 4:
		return "string.sub(" + e() + ", " + g.smallNumber() + ", " + g.smallNumber() + ")"
	case 5:
		return "string." + g.pick("find", "match") + "(" + e() + ", " + g.pattern() + ")"
	case 6:
		return "string.gsub(" + e() + ", " + g.pattern() + ", " + g.pick(`"<%0>"`, `"%1"`, `"x"`, "{a = 1}", e()) + ")"
	case 7:
		return "math." + g.pick("floor", "ceil", "abs", "sqrt") + "(" + e() + ")"
	case 8:
		return "table.concat(" + g.tableExpression() + ", " + g.pick(`","`, `""`, "1") + ")"
	case 9:
		return "select(" + g.smallNumber() + ", " + g.list(2) + ")"
	case 10:
		return "unpack(" + g.tableExpression() + ")"
	case 11:
		return "next(" + g.tableExpression() + ")"
	case 12:
		return "rawequal(" + e() + ", " + e() + ")"
	}
	return "#" + g.tableExpression()
}

func (g *generator) pattern() string {
	return `"` + g.pick("a", ".", "%a+", "(%d)", "%s*", "^%w", "[a-m]", "[^x]", "()", ".-b", "%b()", "%f[%w]", "(a)(b)", "x$", "[", "%", "(") + `"`
}

func (g *generator) leaf() string {
	switch g.IntN(5) {
	case 0:
		return g.pick("nil", "true", "false", "0", "1", "2", "-1", "3.5", "1e15", "0/0", "1/0", "-0", "255", "1e100")
	case 1:
		return g.pick(`""`, `"a"`, `"ab"`, `"10"`, `"0x1F"`, `"x y"`, `"3.0"`, `" 7 "`, `"abc(def)"`, `"key"`, `'\0z'`, "[[long]]")
	}
	return g.variable()
}

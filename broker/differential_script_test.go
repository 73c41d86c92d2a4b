//go:build unix

package broker

import (
	"maps"
	"slices"
	"strings"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Scripts of the differential test: steps that lead to an ending of a row.

// A scene is a state in which most rows end in the same way.
type scene struct {
	open, shut string
	has        func(*command.Command) bool // rows that end so
}

var scenes = map[string]scene{
	endQueued: {"MULTI", "EXEC", func(c *command.Command) bool { return c.Flags&(command.Immediate|command.NoMulti) == 0 }},
	"noAuth": {"CONFIG SET REQUIREPASS thePassword ; RESET", "AUTH thePassword ; CONFIG SET REQUIREPASS empty",
		func(c *command.Command) bool { return c.Flags&command.NoAuth == 0 }},
	"forbidden": {"ACL SETUSER limitedUser RESET ON NOPASS ; AUTH limitedUser X", "RESET",
		func(c *command.Command) bool { return c.Flags&command.NoAuth == 0 }},
	"forbiddenKey": {"ACL SETUSER keylessUser RESET ON NOPASS ALLCHANNELS +@ALL ; AUTH keylessUser X", "RESET",
		func(c *command.Command) bool { return c.HasKeys() }},
	"forbiddenChannel": {"ACL SETUSER deafUser RESET ON NOPASS ALLKEYS +@ALL ; AUTH deafUser X", "RESET",
		func(c *command.Command) bool { return c.Channels != command.NoChannels }},
	"revoked": {"ACL SETUSER limitedUser RESET ON NOPASS ; MULTI ; AUTH limitedUser X", "EXEC ; RESET",
		func(c *command.Command) bool { return c.Flags&(command.NoAuth|command.Immediate|command.NoMulti) == 0 }},
	"monitoring": {"MONITOR", "RESET",
		func(c *command.Command) bool {
			return c.Flags&(command.ReadOnly|command.Write|command.MayReplicate) != 0
		}},
	"context": {"HELLO 2 ; SUBSCRIBE channel", "RESET",
		func(c *command.Command) bool { return c.Flags&command.WhileSubscribed == 0 }},
	"memory": {"CONFIG SET MAXMEMORY 1 ; MULTI", "DISCARD ; CONFIG SET MAXMEMORY 0",
		func(c *command.Command) bool {
			return !slices.Contains([]string{"exec", "discard", "quit", "reset"}, c.FullName)
		}},
}

// outOfMemoryScene is what scenes["memory"] is in a transaction.
var outOfMemoryScene = scene{"CONFIG SET MAXMEMORY 1", "CONFIG SET MAXMEMORY 0", func(c *command.Command) bool { return c.Flags&command.DenyOOM != 0 }}

// provoke makes a script for what was seen least. There is none if it needs a
// client that is not there.
func (g *generator) provoke() []step {
	g.careful = true
	defer func() { g.careful = false }()
	without := strings.ReplaceAll(strings.ToUpper(g.without), "|", " ")
	allowed := func(p path) bool {
		return p.row != g.without && !strings.Contains(g.coverage.recipes[p], without)
	}
	steps, found := g.prepare()
	if !found {
		return nil
	}
	p, found := g.coverage.missing(g, allowed)
	if !found || g.chance(5) {
		scenario := pick(g, scenarios)
		if strings.Contains(scenario, without) {
			return nil
		}
		more, _ := g.follow(path{}, scenario)
		return join(append(steps, more...))
	}
	if s, isScene := scenes[p.ending]; isScene && g.coverage.recipes[p] == "" {
		return join(append(steps, g.enact(p, s, allowed)...))
	}
	more, found := g.follow(p, g.coverage.recipes[p])
	if !found {
		return nil
	}
	steps = append(steps, more...)
	for range g.IntN(4) {
		p, found := g.coverage.missing(g, func(p path) bool {
			return allowed(p) && scenes[p.ending].has == nil && !strings.ContainsAny(g.coverage.recipes[p], ";")
		})
		if found {
			more, _ := g.follow(p, g.coverage.recipes[p])
			steps = append(steps, more...)
		}
	}
	return join(steps)
}

// prepare chooses a client that can do anything, or can be brought to it by the
// steps that are returned.
func (g *generator) prepare() (steps []step, found bool) {
	b := g.round
	b.subject.mu.Lock()
	defer b.subject.mu.Unlock()
	g.client = g.IntN(len(b.clients))
	for range b.clients {
		s := sessionOf(b.clients[g.client].broker)
		if isFree(s) {
			return g.plain(s), true
		}
		g.client = (g.client + 1) % len(b.clients)
	}
	return nil, false
}

// isFree reports whether a client can send a command and have it answered.
func isFree(s *session) bool { return s.waiter == nil && s.postponed == nil && !s.closed }

// paused reports whether there is a CLIENT PAUSE in force.
func (g *generator) paused() bool {
	g.round.subject.mu.Lock()
	defer g.round.subject.mu.Unlock()
	return g.round.subject.postponers&pausing != 0
}

// plain makes what brings a client back that is in a transaction or the like, and
// what undoes scripts that were cut short.
func (g *generator) plain(s *session) []step {
	o := &s.broker.options
	script := ""
	if s.replyMode != 0 || s.monitors || !s.authenticated || s.user != s.broker.acl.defaultUser || s.transaction.open || s.protocol == 2 && s.subscriptions.any() {
		script += "RESET ; "
		if o.Password != "" {
			script += "AUTH thePassword ; "
		}
	}
	if o.Password != g.round.password {
		script += "CONFIG SET REQUIREPASS empty ; "
	}
	if s.broker.postponers&pausing != 0 {
		script += "CLIENT UNPAUSE ; "
	}
	if 0 < o.MaxMemory && o.MaxMemory < keyspace.EmptyBytes {
		script += "CONFIG SET MAXMEMORY 0 ; "
	}
	if script == "" {
		return nil
	}
	steps, _ := g.follow(path{}, strings.TrimSuffix(script, " ; "))
	return steps
}

// enact makes what leads to a scene, commands of several rows in it, and what ends
// it.
func (g *generator) enact(p path, s scene, allowed func(path) bool) []step {
	if fits := outOfMemoryScene.has; p.ending == "memory" && fits(table.Named([]byte(p.row))) && g.chance(60) {
		s = outOfMemoryScene
	}
	open, _ := g.follow(path{}, s.open)
	var steps []step
	for range 4 + g.IntN(12) {
		rule := g.coverage.recipes[path{p.row, endValue}]
		if rule == "" || strings.Contains(rule, ";") {
			rule = grammar[p.row]
		}
		g.row = table.Named([]byte(p.row))
		args := append(g.name(p.row), g.expand(rule)...)
		if !isAvoided(p.row, args) && (len(args) <= resp.MaxArgumentsUnauthenticated || p.ending != "noAuth") {
			steps = append(steps, g.step(args))
		}
		p, _ = g.coverage.missing(g, func(q path) bool {
			return q.ending == p.ending && allowed(q) && g.coverage.recipes[q] == "" && s.has(table.Named([]byte(q.row)))
		})
		if p.row == "" {
			break
		}
	}
	steps = slices.Concat(g.before, open, steps)
	g.before = nil
	more, _ := g.follow(path{}, s.shut)
	return append(steps, more...)
}

// follow makes the steps of a recipe.
func (g *generator) follow(p path, recipe string) (steps []step, found bool) {
	if recipe == "" {
		return []step{g.step(g.miscount(p.row))}, true
	}
	recipe = pick(g, strings.Split(recipe, " | "))
	if p.row != "" && !slices.Contains(strings.Fields(recipe), "this") {
		recipe = "this " + recipe
	}
	g.first = ""
	me := g.client
	defer func() { g.client = me }()
	others := map[string]int{}
	for command := range strings.SplitSeq(recipe, " ; ") {
		words := strings.Fields(command)
		g.client, g.row = me, table.Named([]byte(p.row))
		if who := words[0]; who == "other" || who == "third" {
			words = words[1:]
			if _, known := others[who]; !known {
				more, found := g.enlist(me, others, who)
				if !found {
					return nil, false
				}
				steps = append(steps, more...)
			}
			g.client = others[who]
		}
		var args []string
		form := asArray
		for _, word := range words {
			switch word {
			case "this":
				args, g.first = g.name(p.row), ""
			case "raw":
				form = raw
			case "{me}", "{other}":
				who := me
				if word == "{other}" {
					who = others["other"]
				}
				args = append(args, "{"+g.round.clients[who].name+"}")
			case "any":
				args = g.anyCommand()
			case "close":
			default:
				args = append(args, g.repeat(word)...)
			}
		}
		if len(args) > 0 && isAvoided(rowOf(args), args) {
			return nil, false
		}
		steps = append(steps, g.before...)
		steps = append(steps, g.step(args).as(form))
		g.before = nil
	}
	return steps, true
}

// anyCommand makes a command at random.
func (g *generator) anyCommand() []string {
	g.careful = g.chance(30)
	defer func() { g.careful = true }()
	return g.command(g.pickRow(g.round.clients[g.client]))
}

// enlist finds a client besides me and the others that a script has, and makes what
// brings it to where it can do anything.
func (g *generator) enlist(me int, others map[string]int, who string) (steps []step, found bool) {
	b := g.round
	b.subject.mu.Lock()
	defer b.subject.mu.Unlock()
	taken := slices.Collect(maps.Values(others))
	for _, i := range g.Perm(len(b.clients)) {
		if s := sessionOf(b.clients[i].broker); i != me && !slices.Contains(taken, i) && isFree(s) {
			others[who], g.client = i, i
			return g.plain(s), true
		}
	}
	return nil, false
}

package acl

import (
	"math"
	"strings"

	"redrpc/broker/internal/command"
)

// Users as rules, as ACL LIST and ACL GETUSER show them.

// Rules are the rules that make the user, without commands of Options.TestCommands if there are none.
func (u *User) Rules(testCommands bool) string {
	rules := u.Flags()
	for _, p := range u.Passwords {
		rules = append(rules, "#"+p)
	}
	for i := range u.Rights {
		own := strings.Join(u.Rights[i].rules(testCommands), " ")
		if i > 0 {
			own = "(" + own + ")"
		}
		rules = append(rules, own)
	}
	return strings.Join(rules, " ")
}

func (u *User) Flags() []string {
	flags := []string{"off"}
	if u.on {
		flags[0] = "on"
	}
	if u.NoPass {
		flags = append(flags, "nopass")
	}
	if u.payloads != "" {
		flags = append(flags, u.payloads)
	}
	return flags
}

func (p *Permissions) rules(testCommands bool) []string {
	rules := p.KeyRules()
	if !p.AnyChannel {
		rules = append(rules, "resetchannels")
	}
	return append(append(rules, p.ChannelRules()...), p.CommandRules(testCommands)...)
}

func (p *Permissions) KeyRules() []string {
	if p.AnyKey {
		return []string{"~*"}
	}
	rules := []string{}
	for _, k := range p.keys {
		opening := map[keyUse]string{readsKey: "%R~", writesKey: "%W~", readsKey | writesKey: "~"}[k.use]
		rules = append(rules, opening+k.pattern)
	}
	return rules
}

func (p *Permissions) ChannelRules() []string {
	if p.AnyChannel {
		return []string{"&*"}
	}
	rules := []string{}
	for _, pattern := range p.channels {
		rules = append(rules, "&"+pattern)
	}
	return rules
}

// CommandRules finds rules that lead to a set of commands: first all or none, then
// the categories that fit best, and in the end the single commands in which these
// differ.
func (p *Permissions) CommandRules(testCommands bool) []string {
	all := p.catalogue()
	add := !p.future
	sign := map[bool]string{true: "+", false: "-"}
	reached, rest := Permissions{catalogue: p.catalogue}, Permissions{catalogue: p.catalogue, commands: p.commands}
	rules := []string{sign[!add] + "@all"}
	if !add {
		reached.commands = everyCommand
	}
	applied := make([]bool, len(command.CategoryNames))
	for best := rest.bestCategory(testCommands, add, applied); best >= 0; best = rest.bestCategory(testCommands, add, applied) {
		reached.permitCategory(1<<best, add)
		rest.permitCategory(1<<best, !add)
		rules = append(rules, sign[add]+"@"+command.CategoryNames[best])
		applied[best] = true
	}
	for n, name := range all.names {
		if all.forTests[n] && !testCommands {
			continue
		}
		permit := p.commands.has(n)
		if permit != reached.commands.has(n) {
			rules = append(rules, sign[permit]+name)
			reached.permit(n, permit)
		}
		if !permit {
			for _, arg := range p.firstArgs[n] {
				rules = append(rules, "+"+name+"|"+arg)
			}
		}
	}
	return rules
}

// bestCategory returns the category that has most in common with the set, or with
// what is not in it, and the fewest differences; or -1.
func (p *Permissions) bestCategory(testCommands bool, add bool, applied []bool) int {
	best, fewest, most := -1, math.MaxInt, 0
	for i := range command.CategoryNames {
		same, different := 0, 0
		for n, categories := range p.catalogue().categories {
			switch {
			case categories>>i&1 == 0 || p.catalogue().forTests[n] && !testCommands:
			case p.commands.has(n) == add:
				same++
			default:
				different++
			}
		}
		if !applied[i] && same > different && (different < fewest || different == fewest && same > most) {
			best, fewest, most = i, different, same
		}
	}
	return best
}

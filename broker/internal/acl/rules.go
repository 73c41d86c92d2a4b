package acl

import (
	"maps"
	"slices"
	"strings"

	"redrpc/broker/internal/resp"
)

// The rules of ACL SETUSER.

// What may be wrong with a rule, in Redis's words.
const (
	ruleSyntax   = "Syntax error"
	ruleUnknown  = "Unknown command or category name in ACL"
	ruleKey      = "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
	ruleChannel  = "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels"
	rulePassword = "The password you are trying to remove from the user does not exist"
	ruleHash     = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
	ruleFirstArg = "Allowing first-arg of a subcommand is not supported"
)

// Clone returns a copy that shares nothing with the user.
func (u *User) Clone() *User {
	copied := *u
	copied.Passwords = slices.Clone(u.Passwords)
	copied.Rights = slices.Clone(u.Rights)
	for i := range copied.Rights {
		p := &copied.Rights[i]
		p.keys, p.channels, p.firstArgs = slices.Clone(p.keys), slices.Clone(p.channels), maps.Clone(p.firstArgs)
		for n, args := range p.firstArgs {
			p.firstArgs[n] = slices.Clone(args)
		}
	}
	return &copied
}

// Apply changes the user as a rule says, or returns what is wrong with the rule. Words
// end at a zero byte, as in C.
func (u *User) Apply(rule string, f Fresh) (wrong string) {
	if rule == "" {
		return ""
	}
	word := resp.CString([]byte(rule), len(rule))
	switch strings.ToLower(word) {
	case "on":
		u.on = true
		return ""
	case "off":
		u.on = false
		return ""
	case "skip-sanitize-payload", "sanitize-payload":
		u.payloads = strings.ToLower(word)
		return ""
	case "nopass":
		u.NoPass, u.Passwords = true, nil
		return ""
	case "resetpass":
		u.NoPass, u.Passwords = false, nil
		return ""
	case "clearselectors":
		u.Rights = u.Rights[:1]
		return ""
	case "reset":
		*u = User{Name: u.Name, payloads: "sanitize-payload", Rights: []Permissions{f.permissions()}}
		return ""
	}
	switch first := rule[0]; {
	case strings.IndexByte(">#<!", first) >= 0:
		return u.applyPassword(first, rule[1:])
	case first == '(' && rule[len(rule)-1] == ')':
		p := f.permissions()
		words, _ := resp.SplitLine([]byte(rule[1 : len(rule)-1])) // none, if a quote is not closed
		for _, word := range words {
			if wrong := p.apply(string(word)); wrong != "" {
				return wrong
			}
		}
		u.Rights = append(u.Rights, p)
		return ""
	}
	return u.Rights[0].apply(rule)
}

// applyPassword adds or removes a password, or its hash.
func (u *User) applyPassword(how byte, text string) (wrong string) {
	hash := text
	if how == '>' || how == '<' {
		hash = hashed([]byte(text))
	} else if len(hash) != 64 || strings.Trim(hash, "0123456789abcdef") != "" {
		return ruleHash
	}
	at := slices.Index(u.Passwords, hash)
	switch {
	case how == '<' || how == '!':
		if at < 0 {
			return rulePassword
		}
		u.Passwords = slices.Delete(u.Passwords, at, at+1)
	case at < 0:
		u.Passwords = append(u.Passwords, hash)
		fallthrough
	default:
		u.NoPass = false
	}
	return ""
}

// apply changes permissions as a rule says, or returns what is wrong with the rule.
func (p *Permissions) apply(rule string) (wrong string) {
	word := resp.CString([]byte(rule), len(rule))
	switch strings.ToLower(word) {
	case "allkeys", "~*":
		p.AnyKey, p.keys = true, nil
		return ""
	case "resetkeys":
		p.AnyKey, p.keys = false, nil
		return ""
	case "allchannels", "&*":
		p.AnyChannel, p.channels = true, nil
		return ""
	case "resetchannels":
		p.AnyChannel, p.channels = false, nil
		return ""
	case "allcommands", "+@all":
		p.commands, p.future, p.firstArgs = everyCommand, true, nil
		return ""
	case "nocommands", "-@all":
		p.commands, p.future, p.firstArgs = commandSet{}, false, nil
		return ""
	case "":
		return ruleSyntax
	}
	switch first := word[0]; {
	case first == '~' || first == '%':
		return p.applyKey(rule)
	case first == '&':
		return p.applyChannel(rule[1:])
	case first != '+' && first != '-':
		return ruleSyntax
	case strings.HasPrefix(word[1:], "@"):
		bit := CategoryBit(word[2:])
		if bit == 0 {
			return ruleUnknown
		}
		p.permitCategory(bit, first == '+')
		return ""
	}
	return p.applyCommand(word[1:], word[0] == '+')
}

// applyKey adds a pattern of keys: ~pattern, or %R~pattern, %W~pattern or
// %RW~pattern for some uses only.
func (p *Permissions) applyKey(rule string) (wrong string) {
	if p.AnyKey {
		return ruleKey
	}
	use, pattern := readsKey|writesKey, rule[1:]
	if rule[0] == '%' {
		var uses string
		uses, pattern, _ = strings.Cut(rule[1:], "~")
		use = 0
		for _, c := range []byte(uses) {
			var more keyUse
			switch c {
			case 'R', 'r':
				more = readsKey
			case 'W', 'w':
				more = writesKey
			}
			if more == 0 || use&more != 0 {
				return ruleSyntax
			}
			use |= more
		}
		if use == 0 {
			return ruleSyntax
		}
	}
	if HasSpaces(pattern) {
		return ruleSyntax
	}
	at := slices.IndexFunc(p.keys, func(k keyPattern) bool { return k.pattern == pattern })
	if at < 0 {
		p.keys = append(p.keys, keyPattern{pattern, use})
	} else {
		p.keys[at].use |= use
	}
	return ""
}

func (p *Permissions) applyChannel(pattern string) (wrong string) {
	switch {
	case p.AnyChannel:
		return ruleChannel
	case HasSpaces(pattern):
		return ruleSyntax
	case !slices.Contains(p.channels, pattern):
		p.channels = append(p.channels, pattern)
	}
	return ""
}

func HasSpaces(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c == 0 || c < 0x80 && resp.IsSpace(byte(c)) })
}

// applyCommand permits or denies a command or a sub-command; or permits a command
// that has none with a first argument.
func (p *Permissions) applyCommand(name string, permit bool) (wrong string) {
	n, known := p.catalogue().find(name)
	if known {
		p.permit(n, permit)
		return ""
	}
	at := strings.LastIndexByte(name, '|')
	if !permit || at < 0 {
		return ruleUnknown
	}
	n, known = p.catalogue().find(name[:at])
	arg := name[at+1:]
	switch {
	case !known:
		return ruleUnknown
	case strings.Contains(name[:at], "|"):
		return ruleFirstArg
	case arg == "":
		return ruleSyntax
	case p.catalogue().end(n) > n+1:
		return ruleUnknown
	}
	if !slices.ContainsFunc(p.firstArgs[n], func(old string) bool { return strings.EqualFold(old, arg) }) {
		if p.firstArgs == nil {
			p.firstArgs = map[int][]string{}
		}
		p.firstArgs[n] = append(p.firstArgs[n], arg)
	}
	return ""
}

// permit permits or denies a command and its sub-commands.
func (p *Permissions) permit(n int, permit bool) {
	delete(p.firstArgs, n)
	for i := n; i < p.catalogue().end(n); i++ {
		p.commands.put(i, permit)
	}
}

// permitCategory permits or denies all commands of a category.
func (p *Permissions) permitCategory(bit uint32, permit bool) {
	for n, categories := range p.catalogue().categories {
		if categories&bit != 0 {
			p.permit(n, permit)
		}
	}
}

// JoinSelectors joins the arguments that are together a selector in parentheses. It
// returns the one that opens it if it is not closed.
func JoinSelectors(args [][]byte) (rules []string, unclosed string) {
	selector, opening := "", ""
	for _, arg := range args {
		text := string(arg)
		closes := strings.HasSuffix(text, ")")
		switch {
		case strings.HasPrefix(text, "(") && !closes:
			selector, opening = text, text
		case opening != "":
			selector += " " + resp.CString(arg, len(arg))
			if closes {
				rules = append(rules, selector)
				opening = ""
			}
		default:
			rules = append(rules, text)
		}
	}
	return rules, opening
}

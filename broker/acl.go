package broker

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/resp"
)

// Access control: who may run which commands, with which keys and channels. While a
// user may do everything, as the default one at first, a command costs one look.

// Fresh is what new permissions begin with.
type Fresh struct {
	Catalogue  func() *catalogue
	AnyChannel bool
}

func (f Fresh) permissions() permissions {
	return permissions{catalogue: f.Catalogue, anyChannel: f.AnyChannel}
}

// NewUser returns a user that may do nothing yet.
func NewUser(name string, f Fresh) *user {
	return &user{name: name, rights: []permissions{f.permissions()}}
}

// NewDefaultUser returns the user that may do everything, with a password; "" is any.
func NewDefaultUser(password string, f Fresh) *user {
	u := &user{name: "default", on: true, unlimited: true}
	u.rights = []permissions{{catalogue: f.Catalogue, commands: everyCommand, future: true, anyKey: true, anyChannel: true}}
	u.setPassword(password)
	return u
}

// A user is whom clients authenticate as. They refer to it, so it is changed in its
// place.
type user struct {
	name      string
	on        bool          // clients can authenticate as it
	open      bool          // and with any password
	passwords []string      // SHA-256 in hexadecimal digits
	payloads  string        // how RESTORE is to look at them, which it does in one way only here; "": as is usual
	rights    []permissions // one of them has to permit all of a command; the first is the user's own, the others are Redis's selectors
	unlimited bool          // the first permits everything
}

// permissions are commands together with what they may be used on.
type permissions struct {
	catalogue func() *catalogue
	commands  commandSet
	future    bool             // also commands that are yet to come, as after +@all
	firstArgs map[int][]string // of commands not in the set, by their numbers: first arguments that they may have

	anyKey     bool
	keys       []keyPattern
	anyChannel bool
	channels   []string // patterns
}

// A keyPattern is for keys that may be used in some way.
type keyPattern struct {
	pattern string
	use     keyUse
}

// A keyUse is what is done to a key.
type keyUse int

const (
	readsKey keyUse = 1 << iota
	writesKey
)

// internalClient is who a command is run as that comes from no client.
var internalClient = &user{name: "default", unlimited: true}

// seal is called when rules have been applied.
func (u *user) seal() {
	own := &u.rights[0]
	u.unlimited = own.future && own.commands == everyCommand && own.anyKey && own.anyChannel
}

// channels are the patterns of the channels that the user may use, if it is not any.
func (u *user) channels() (patterns []string, any bool) {
	for i := range u.rights {
		any = any || u.rights[i].anyChannel
		patterns = append(patterns, u.rights[i].channels...)
	}
	return patterns, any
}

// setPassword makes a password the only one, or any do if it is empty.
func (u *user) setPassword(password string) {
	u.open, u.passwords = password == "", nil
	if !u.open {
		u.passwords = []string{hashed([]byte(password))}
	}
}

func hashed(password []byte) string {
	sum := sha256.Sum256(password)
	return hex.EncodeToString(sum[:])
}

// admits reports whether a client can authenticate with a password.
func (u *user) admits(password []byte) bool {
	switch {
	case !u.on:
		return false
	case u.open:
		return true
	}
	given, right := []byte(hashed(password)), 0
	for _, p := range u.passwords {
		right |= subtle.ConstantTimeCompare(given, []byte(p))
	}
	return right != 0
}

// isFree reports whether a client need not authenticate.
func (u *user) isFree() bool { return u.on && u.open }

// A denial is what of a command is denied. The order is that of how far a command came.
type denial int

const (
	nothingDenied denial = iota
	commandDenied
	keyDenied
	authDenied
	channelDenied
)

// denies returns what of a command the user may not do, and the place of the argument.
// Of several permissions that deny something that counts which came furthest.
func (u *user) denies(cmd *command.Command, args [][]byte) (what denial, at int) {
	if u.unlimited {
		return nothingDenied, 0
	}
	for i := range u.rights {
		other, where := u.rights[i].deny(cmd, args)
		if other == nothingDenied {
			return nothingDenied, 0
		}
		if other > what || other == what && where > at {
			what, at = other, where
		}
	}
	return what, at
}

func (p *permissions) deny(cmd *command.Command, args [][]byte) (what denial, at int) {
	if cmd.Flags&command.NoAuth == 0 && !p.permitsCommand(cmd, args) {
		return commandDenied, 0
	}
	if !p.anyKey {
		for _, k := range usedKeys(cmd, args) {
			if !p.permitsKey(args[k.at], k.use) {
				return keyDenied, k.at
			}
		}
	}
	if !p.anyChannel {
		for i := 1; i < len(args) && cmd.Channels != command.NoChannels; i++ {
			if !permitsChannel(p.channels, string(args[i]), cmd.Channels == command.ChannelPatterns) {
				return channelDenied, i
			}
			if cmd.Channels == command.OneChannel {
				break
			}
		}
	}
	return nothingDenied, 0
}

func (p *permissions) permitsCommand(cmd *command.Command, args [][]byte) bool {
	n := p.catalogue().rows[cmd.Index]
	return p.commands.has(n) || len(args) > 1 && slices.ContainsFunc(p.firstArgs[n], func(arg string) bool {
		return strings.EqualFold(arg, resp.CString(args[1], len(args[1])))
	})
}

func (p *permissions) permitsKey(key []byte, use keyUse) bool {
	return slices.ContainsFunc(p.keys, func(k keyPattern) bool { return k.use&use == use && glob.Match(k.pattern, string(key), false) })
}

// permitsChannel reports whether a channel matches a pattern, or if it is a pattern
// itself, whether it is one of them.
func permitsChannel(patterns []string, channel string, isPattern bool) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return isPattern && p == channel || !isPattern && glob.Match(p, channel, false) })
}

// readsAnyKey reports whether the user may read any key with a command, also those
// that its arguments do not name.
func (u *user) readsAnyKey(cmd *command.Command, args [][]byte) bool {
	return u.unlimited || slices.ContainsFunc(u.rights, func(p permissions) bool {
		what, _ := p.deny(cmd, args)
		return what == nothingDenied && (p.anyKey || slices.Contains(p.keys, keyPattern{"*", readsKey}) || slices.Contains(p.keys, keyPattern{"*", readsKey | writesKey}))
	})
}

// A usedKey is an argument that is a key, and what is done to it.
type usedKey struct {
	at  int
	use keyUse
}

// usedKeys lists the keys of a command; none if the arguments do not hold as many as
// they say.
func usedKeys(c *command.Command, args [][]byte) (keys []usedKey) {
	if !c.HasKeys() {
		return nil
	}
	for _, k := range c.Keys {
		indexes, valid := k.Indexes(args)
		if !valid {
			return nil
		}
		for _, at := range indexes {
			keys = append(keys, usedKey{at, useOf(k, args)})
		}
	}
	return keys
}

// usage reads what is done to a key off the flags of COMMAND INFO.
func useOf(k command.KeySpec, args [][]byte) (use keyUse) {
	for flag := range strings.FieldsSeq(k.Uses(args)) {
		switch flag {
		case "access":
			use |= readsKey
		case "insert", "delete", "update":
			use |= writesKey
		}
	}
	return use
}

// Package acl has access control: users, what they may do, and the rules that say so.
package acl

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

// Fresh is what new permissions begin with.
type Fresh struct {
	Catalogue  func() *Catalogue
	AnyChannel bool
}

func (f Fresh) permissions() Permissions {
	return Permissions{catalogue: f.Catalogue, AnyChannel: f.AnyChannel}
}

// NewUser returns a user that may do nothing yet.
func NewUser(name string, f Fresh) *User {
	return &User{Name: name, Rights: []Permissions{f.permissions()}}
}

// NewDefaultUser returns the user that may do everything, with a password; "" is any.
func NewDefaultUser(password string, f Fresh) *User {
	u := &User{Name: "default", on: true, Unlimited: true}
	u.Rights = []Permissions{{catalogue: f.Catalogue, commands: everyCommand, future: true, AnyKey: true, AnyChannel: true}}
	u.SetPassword(password)
	return u
}

// A User is shared by the clients that have authenticated as it, so it is changed in place.
type User struct {
	Name      string
	on        bool          // clients can authenticate as it
	NoPass    bool          // and with any password
	Passwords []string      // SHA-256 in hexadecimal digits
	payloads  string        // how RESTORE is to look at them, which it does in one way only here; "": as is usual
	Rights    []Permissions // one of them has to permit all of a command; the first is the user's own, the others are Redis's selectors
	Unlimited bool          // the first permits everything
}

// Permissions are commands together with what they may be used on.
type Permissions struct {
	catalogue func() *Catalogue
	commands  commandSet
	future    bool             // also commands that are yet to come, as after +@all
	firstArgs map[int][]string // of commands not in the set, by their numbers: first arguments that they may have

	AnyKey     bool
	keys       []keyPattern
	AnyChannel bool
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

// InternalClient is the user of commands of Do and Seed.
var InternalClient = &User{Name: "default", Unlimited: true}

// Seal is called when rules have been applied.
func (u *User) Seal() {
	own := &u.Rights[0]
	u.Unlimited = own.future && own.commands == everyCommand && own.AnyKey && own.AnyChannel
}

// Channels are the patterns of the channels that the user may use, if it is not any.
func (u *User) Channels() (patterns []string, any bool) {
	for i := range u.Rights {
		any = any || u.Rights[i].AnyChannel
		patterns = append(patterns, u.Rights[i].channels...)
	}
	return patterns, any
}

// SetPassword makes a password the only one, or any do if it is empty.
func (u *User) SetPassword(password string) {
	u.NoPass, u.Passwords = password == "", nil
	if !u.NoPass {
		u.Passwords = []string{hashed([]byte(password))}
	}
}

func hashed(password []byte) string {
	sum := sha256.Sum256(password)
	return hex.EncodeToString(sum[:])
}

// Admits reports whether a client can authenticate with a password.
func (u *User) Admits(password []byte) bool {
	switch {
	case !u.on:
		return false
	case u.NoPass:
		return true
	}
	given, right := []byte(hashed(password)), 0
	for _, p := range u.Passwords {
		right |= subtle.ConstantTimeCompare(given, []byte(p))
	}
	return right != 0
}

// IsFree reports whether a client need not authenticate.
func (u *User) IsFree() bool { return u.on && u.NoPass }

// A Denial is what of a command is denied. The order is that of how far a command came.
type Denial int

const (
	NothingDenied Denial = iota
	CommandDenied
	KeyDenied
	AuthDenied
	ChannelDenied
)

// Denies returns what of a command the user may not do, and the place of the argument.
// Of several permissions that deny something that counts which came furthest.
func (u *User) Denies(cmd *command.Command, args [][]byte) (what Denial, at int) {
	if u.Unlimited {
		return NothingDenied, 0
	}
	for i := range u.Rights {
		other, where := u.Rights[i].deny(cmd, args)
		if other == NothingDenied {
			return NothingDenied, 0
		}
		if other > what || other == what && where > at {
			what, at = other, where
		}
	}
	return what, at
}

func (p *Permissions) deny(cmd *command.Command, args [][]byte) (what Denial, at int) {
	if cmd.Flags&command.NoAuth == 0 && !p.permitsCommand(cmd, args) {
		return CommandDenied, 0
	}
	if !p.AnyKey {
		for _, k := range usedKeys(cmd, args) {
			if !p.permitsKey(args[k.at], k.use) {
				return KeyDenied, k.at
			}
		}
	}
	if !p.AnyChannel {
		for i := 1; i < len(args) && cmd.Channels != command.NoChannels; i++ {
			if !PermitsChannel(p.channels, string(args[i]), cmd.Channels == command.ChannelPatterns) {
				return ChannelDenied, i
			}
			if cmd.Channels == command.OneChannel {
				break
			}
		}
	}
	return NothingDenied, 0
}

func (p *Permissions) permitsCommand(cmd *command.Command, args [][]byte) bool {
	n := p.catalogue().rows[cmd.Index]
	return p.commands.has(n) || len(args) > 1 && slices.ContainsFunc(p.firstArgs[n], func(arg string) bool {
		return strings.EqualFold(arg, resp.CString(args[1], len(args[1])))
	})
}

func (p *Permissions) permitsKey(key []byte, use keyUse) bool {
	return slices.ContainsFunc(p.keys, func(k keyPattern) bool { return k.use&use == use && glob.Match(k.pattern, string(key), false) })
}

// PermitsChannel reports whether a channel matches a pattern, or if it is a pattern
// itself, whether it is one of them.
func PermitsChannel(patterns []string, channel string, isPattern bool) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return isPattern && p == channel || !isPattern && glob.Match(p, channel, false) })
}

// ReadsAnyKey reports whether the user may read any key with a command, also those
// that its arguments do not name.
func (u *User) ReadsAnyKey(cmd *command.Command, args [][]byte) bool {
	return u.Unlimited || slices.ContainsFunc(u.Rights, func(p Permissions) bool {
		what, _ := p.deny(cmd, args)
		return what == NothingDenied && (p.AnyKey || slices.Contains(p.keys, keyPattern{"*", readsKey}) || slices.Contains(p.keys, keyPattern{"*", readsKey | writesKey}))
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
	for _, k := range c.KeySpecs(args) {
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

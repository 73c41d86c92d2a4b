package script

import (
	"crypto/sha1" // #nosec G505 -- the names of scripts are Redis's
	"encoding/hex"
	"slices"
	"strings"

	"redrpc/broker/internal/resp"
)

// A Cache has the scripts of EVAL, by their SHA-1.
type Cache struct {
	machine
	scripts map[string]*Script
	size    int // bytes of their texts
}

// NewCache returns a cache without scripts.
func NewCache(h Host) *Cache {
	c := &Cache{machine: machine{host: h}}
	c.Flush()
	return c
}

// Flush forgets all scripts.
func (c *Cache) Flush() {
	c.scripts, c.size = map[string]*Script{}, 0
	c.start(c.state)
	globals := c.state.Globals()
	globals.SetString("redis", c.newTable(slices.Concat(c.forCommands(), c.forLog(), c.forReplies(), forEval())...).Value())
	globals.SetString("__redis__err__handler", c.state.NewFunction(handleError).Value())
	c.protectGlobals()
}

// Len is how many scripts there are, and Size the bytes of their texts.
func (c *Cache) Len() int  { return len(c.scripts) }
func (c *Cache) Size() int { return c.size }

// Hash is the name of a script.
func Hash(body []byte) string {
	sum := sha1.Sum(body) // #nosec G401 -- as above
	return hex.EncodeToString(sum[:])
}

// Find returns the script of a hash, in upper or lower case, or nil.
func (c *Cache) Find(hash []byte) *Script {
	if s := c.scripts[string(hash)]; s != nil {
		return s
	}
	return c.scripts[strings.ToLower(string(hash))]
}

// Load compiles a script, unless it is there already. The error is the reply to who sent it.
func (c *Cache) Load(body []byte) (*Script, *resp.Reply) {
	hash := Hash(body)
	if s := c.scripts[hash]; s != nil {
		return s, nil
	}
	flags, begin, wrong := ParseFlags(body)
	if wrong != "" {
		r := resp.Errorf("ERR %s", wrong)
		return nil, &r
	}
	f, err := c.state.Load(string(body[begin:]), "@user_script")
	if err != nil {
		r := resp.Errorf("ERR Error compiling script (new function): %s", err)
		return nil, &r
	}
	s := &Script{Name: hash, Flags: flags, machine: &c.machine, function: f}
	c.scripts[hash] = s
	c.size += len(body)
	return s, nil
}

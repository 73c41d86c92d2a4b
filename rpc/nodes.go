package rpc

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// nodes reaches the nodes of a Cluster for errands. What there is to do all the time
// has connections of its own to the master of its slot.
type nodes struct {
	rdb  *redis.ClusterClient
	link *link

	mu   sync.Mutex // guards idle
	idle map[string][]*conn
}

// An errand is what is to be done to one key: one command, or a transaction. It is
// done where its slot is: MOVED and ASK, which say that nothing was done, are
// followed, each to where it says, and nothing else is sent twice.
type errand struct {
	key      string
	commands []byte

	// read reads the replies, all of them, and returns an error reply of Redis if one
	// of them may say that the slot is elsewhere, or an error after which nothing can
	// be read.
	read func(*reader) error

	err   error // the last that read returned, or why it could not
	how   wrote // how much was written, if that could not
	asked bool  // an ASK was followed, so the slot is on its way
}

const (
	mostHops = 5 // that one errand follows
	mostIdle = 8 // connections to a node that nobody uses now
)

func newNodes(rdb *redis.ClusterClient) *nodes {
	return &nodes{rdb: rdb, link: newLink(nil, &home{rdb: rdb}), idle: map[string][]*conn{}}
}

// close cuts all connections.
func (n *nodes) close() { n.link.close() }

// run runs errands whose keys lie in one slot, in their order.
func (n *nodes) run(errands ...*errand) {
	master, err := n.rdb.MasterForKey(n.link.life, errands[0].key)
	if err != nil {
		for _, e := range errands {
			e.err, e.how = err, wroteNothing
		}
		return
	}
	n.visit(master.Options().Addr, errands, false, mostHops)
}

// visit runs errands on a node, and sends those on that it sends on. With asking it is
// the target of a slot that has not arrived.
func (n *nodes) visit(addr string, errands []*errand, asking bool, hops int) {
	c, err := n.get(addr)
	if err != nil {
		for _, e := range errands {
			e.err, e.how = err, wroteNothing
		}
		n.rdb.ReloadState(context.Background()) // does not wait
		return
	}
	if !n.exchange(c, errands, asking) {
		c.Close()
		n.forget(addr)
		n.rdb.ReloadState(context.Background())
	} else {
		n.put(addr, c)
	}
	for len(errands) > 0 && hops > 0 {
		kind, to := redirection(errands[0].err, addr)
		end := slices.IndexFunc(errands, func(e *errand) bool {
			k, t := redirection(e.err, addr)
			return k != kind || t != to
		})
		if end < 0 {
			end = len(errands)
		}
		group := errands[:end]
		errands = errands[end:]
		switch kind {
		case "MOVED":
			n.rdb.ReloadState(context.Background())
			n.visit(to, group, false, hops-1)
		case "ASK":
			for _, e := range group {
				e.asked = true
			}
			n.visit(to, group, true, hops-1)
		}
	}
}

// exchange sends errands and reads the replies, and reports whether the connection is
// of further use. One ASKING is for one command, or for a transaction.
func (n *nodes) exchange(c *conn, errands []*errand, asking bool) bool {
	var out []byte
	starts := make([]int, 0, len(errands)+1)
	for _, e := range errands {
		starts = append(starts, len(out))
		if asking {
			out = append(out, "*1\r\n$6\r\nASKING\r\n"...)
		}
		out = append(out, e.commands...)
	}
	starts = append(starts, len(out))
	c.within(maxSlice)
	written, err := c.send(out)
	for i, e := range errands {
		if err == nil && asking {
			if _, no := c.status("OK"); no != nil && !isReply(no) {
				err = no
			}
		}
		if err == nil {
			e.err = e.read(&c.reader)
			if e.err == nil || isReply(e.err) {
				continue
			}
			err = e.err
		}
		e.err = err
		switch {
		case written >= starts[i+1]:
			e.how = wroteAll
		case written > starts[i]:
			e.how = wroteSome
		default:
			e.how = wroteNothing
		}
	}
	return err == nil && c.anyTime() == nil
}

// get returns a connection to a node for the caller alone.
func (n *nodes) get(addr string) (*conn, error) {
	for {
		n.mu.Lock()
		list := n.idle[addr]
		if len(list) == 0 {
			n.mu.Unlock()
			return n.link.connectTo(addr, 2, 4<<10)
		}
		c := list[len(list)-1]
		n.idle[addr] = list[:len(list)-1]
		n.mu.Unlock()
		if !c.isDead() {
			return c, nil
		}
		c.Close()
	}
}

func (n *nodes) put(addr string, c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.idle[addr]) < mostIdle {
		n.idle[addr] = append(n.idle[addr], c)
		return
	}
	c.Close()
}

// forget closes the connections to a node that nobody uses now.
func (n *nodes) forget(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.idle[addr] {
		c.Close()
	}
	delete(n.idle, addr)
}

// redirection takes MOVED or ASK and the address apart of an error reply that came
// from a node; the kind is empty if err is none.
func redirection(err error, from string) (kind, to string) {
	var reply redis.Error
	if err == nil || !errors.As(err, &reply) {
		return "", ""
	}
	fields := strings.Fields(reply.Error()) // a word, the slot, an address
	if len(fields) != 3 || fields[0] != "MOVED" && fields[0] != "ASK" {
		return "", ""
	}
	kind, to = fields[0], fields[2]
	if strings.HasPrefix(to, ":") { // only the port differs
		if host, _, err := net.SplitHostPort(from); err == nil {
			to = net.JoinHostPort(host, to[1:])
		}
	}
	return kind, to
}

// isAsk says whether Redis refuses as the slot is on its way to another node, or as
// only some of the keys have gone there. The command did nothing.
func isAsk(err error) bool {
	return redis.HasErrorPrefix(err, "ASK") || redis.HasErrorPrefix(err, "TRYAGAIN")
}

// command is an errand of one command, whose first argument is its key.
func command(args ...string) *errand {
	return &errand{key: args[1], commands: appendCommand(nil, args...), read: (*reader).discard}
}

// pop takes up to n elements from a list. Before Redis 6.2 it is one.
func (n *nodes) pop(key string, most int, spare *buffers) (elements [][]byte, err error) {
	e := command("LPOP", key, strconv.Itoa(most))
	e.read = func(r *reader) (err error) {
		elements, err = r.elements(spare)
		return err
	}
	n.run(e)
	if isReply(e.err) && strings.HasPrefix(e.err.Error(), "ERR wrong number of arguments") {
		e = command("LPOP", key)
		e.read = func(r *reader) error {
			one, err := r.bulk(spare.get())
			if err == nil {
				elements = [][]byte{one}
			}
			return err
		}
		n.run(e)
	}
	if e.err == errNull {
		e.err = nil
	}
	return elements, e.err
}

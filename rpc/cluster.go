package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/keyslot"
	"redrpc/rpc/internal/resp"
)

// A slotAddress is where a slot of a Cluster is: at one master. MOVED says where it is now;
// if nobody can be reached there the caller's client is asked.
type slotAddress struct {
	rdb *redis.ClusterClient
	key string // one of the slot

	mu    sync.Mutex // guards what follows
	moved string     // the address that MOVED gave; empty if it gave none
	last  string     // the address that was dialled last
}

// nodeOptions are those of a client of one node, but for its address, after go-redis's
// defaults.
func nodeOptions(c *redis.ClusterOptions) *redis.Options {
	opt := &redis.Options{
		ClientName: c.ClientName, Dialer: c.Dialer, OnConnect: c.OnConnect, TLSConfig: c.TLSConfig, Network: "tcp",
		Username: c.Username, Password: c.Password, CredentialsProvider: c.CredentialsProvider,
		CredentialsProviderContext: c.CredentialsProviderContext, StreamingCredentialsProvider: c.StreamingCredentialsProvider,
		DialTimeout: c.DialTimeout, ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout,
		DisableIdentity: c.DisableIdentity, IdentitySuffix: c.IdentitySuffix,
		Addr: "127.0.0.1:0", // which nobody dials
	}
	if opt.Dialer == nil {
		opt.Dialer = redis.NewDialer(opt)
	}
	return opt
}

func (a *slotAddress) dial(ctx context.Context, dialer func(context.Context, string, string) (net.Conn, error)) (net.Conn, error) {
	a.mu.Lock()
	addr := a.moved
	a.mu.Unlock()
	if addr == "" {
		master, err := a.rdb.MasterForKey(ctx, a.key)
		if err != nil {
			return nil, err
		}
		addr = master.Options().Addr
	}
	a.mu.Lock()
	a.last = addr
	a.mu.Unlock()
	conn, err := dialer(ctx, "tcp", addr)
	if err != nil {
		a.forget()
	}
	return conn, err
}

// forget has the Cluster asked again, as what is known is out of date.
func (a *slotAddress) forget() {
	a.mu.Lock()
	a.moved = ""
	a.mu.Unlock()
	a.rdb.ReloadState(context.Background()) // does not wait
}

// follow looks whether err, which ended the use of a connection, says where the slot
// is now.
func (a *slotAddress) follow(err error) {
	a.mu.Lock()
	kind, to := redirection(err, a.last)
	if kind == "MOVED" {
		a.moved = to
	}
	a.mu.Unlock()
	if kind == "" {
		a.forget()
	}
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

// A nodePool sends commands about one slot's keys at a time, over connections that
// go-redis pools: to the one Redis, or in a Cluster to the master of the slot, whose MOVED
// and ASK, which say that nothing was done, are followed. Nothing else is sent twice.
type nodePool struct {
	dialer  *dialer
	cluster *redis.ClusterClient // nil if it is no Cluster
	size    int                  // most connections to a node
	busy    chan struct{}        // has a token for each push, and look at lists
	popsOne atomic.Bool          // LPOP takes no count, before Redis 6.2

	mu      sync.Mutex // guards what follows
	byAddr  map[string]*redis.Client
	largest int       // bytes of a message
	learned time.Time // when that was asked for
	closed  bool

	learning sync.WaitGroup // who ask for it
}

const (
	mostHops = 5 // redirections of a command that are followed
	mostBusy = 8 // pushes and looks at lists at a time
)

func newNodePool(d *dialer, cluster *redis.ClusterClient, size int) *nodePool {
	return &nodePool{dialer: d, cluster: cluster, size: size, byAddr: map[string]*redis.Client{}, busy: make(chan struct{}, mostBusy)}
}

func (p *nodePool) close() {
	p.dialer.close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.learning.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.byAddr {
		c.Close() // the connections are closed
	}
}

// node returns the client of a node; the empty address is the one Redis.
func (p *nodePool) node(addr string) *redis.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.byAddr[addr]
	if c == nil {
		c = p.dialer.pool(addr, p.size)
		p.byAddr[addr] = c
	}
	return c
}

func (p *nodePool) master(key string) (addr string, err error) {
	if p.cluster == nil {
		return "", nil
	}
	master, err := p.cluster.MasterForKey(p.dialer.life, key)
	if err != nil {
		return "", &dialError{err}
	}
	return master.Options().Addr, nil
}

// follow calls send with the node of an address, and with those that MOVED and ASK name,
// if it returns these. asking reports whether ASK was followed, so the slot is being
// migrated.
func (p *nodePool) follow(addr string, send func(pipe redis.Pipeliner, ask bool) error) (asking bool, err error) {
	for hop, ask := 0, false; ; hop++ {
		err := send(p.node(addr).Pipeline(), ask)
		kind, to := redirection(err, addr)
		if p.cluster != nil && (kind == "MOVED" || err != nil && err != redis.Nil && !resp.IsError(err)) {
			p.cluster.ReloadState(context.Background()) // does not wait
		}
		if kind == "" || hop == mostHops {
			return asking, err
		}
		addr, ask = to, kind == "ASK"
		asking = asking || ask
	}
}

// do sends cmds, whose keys lie in the slot of key, together. Each has its own error
// afterwards. asking reports whether the slot is being migrated.
func (p *nodePool) do(key string, cmds ...redis.Cmder) (asking bool) {
	addr, err := p.master(key)
	if err != nil {
		for _, c := range cmds {
			c.SetErr(err)
		}
		return false
	}
	ctx := p.dialer.life
	asking, _ = p.follow(addr, func(pipe redis.Pipeliner, ask bool) (why error) {
		for _, c := range cmds {
			c.SetErr(nil) // of the last hop, which go-redis would keep if the connection is lost
			if ask {
				pipe.Do(ctx, "asking")
			}
			pipe.Process(ctx, c)
		}
		pipe.Exec(ctx) // each command has its error
		why = cmds[0].Err()
		var elsewhere []redis.Cmder
		for _, c := range cmds {
			err := c.Err()
			if !begins(err, "MOVED", "ASK") {
				continue
			}
			if elsewhere == nil {
				why = err
			}
			if err.Error() == why.Error() {
				elsewhere = append(elsewhere, c)
			}
		}
		cmds = elsewhere
		return why
	})
	return asking
}

// push pushes a message as a mux does, but by itself, and to wherever its slot is.
func (p *nodePool) push(m queueMessage) pushResult {
	p.busy <- struct{}{}
	defer func() { <-p.busy }()
	addr, err := p.master(m.key)
	if err != nil {
		return pushResult{notWritten, err}
	}
	ctx := p.dialer.life
	_, err = p.follow(addr, func(pipe redis.Pipeliner, ask bool) error {
		if m.again && ask {
			pipe.Do(ctx, "asking")
		}
		if m.again {
			pipe.Do(ctx, "del", m.key)
		}
		if ask {
			pipe.Do(ctx, "asking")
		}
		pipe.Do(ctx, "multi")
		queued := pipe.Do(ctx, "rpush", m.key, m.message)
		pipe.Do(ctx, "expire", m.key, wholeSeconds(m.life))
		exec := pipe.Do(ctx, "exec")
		pipe.Exec(ctx) // each command has its error
		why := cmp.Or(queued.Err(), exec.Err())
		if results, ok := exec.Val().([]any); ok && why == nil && len(results) > 0 {
			why, _ = results[0].(error)
		}
		return why
	})
	switch {
	case err == nil:
		return pushResult{pushed, nil}
	case isUnsent(err):
		return pushResult{notWritten, err}
	case !resp.IsError(err):
		return pushResult{unknown, err}
	}
	return pushResult{refused, err}
}

func (p *nodePool) time(key string) *redis.TimeCmd {
	ask := redis.NewTimeCmd(p.dialer.life, "time")
	p.do(key, ask)
	return ask
}

// pop pops up to n elements from a list; before Redis 6.2 it is one.
func (p *nodePool) pop(key string, n int) ([][]byte, error) {
	pop := redis.NewStringSliceCmd(p.dialer.life, "lpop", key, n)
	if !p.popsOne.Load() {
		p.do(key, pop)
	}
	values, err := pop.Result()
	if p.popsOne.Load() || redis.HasErrorPrefix(err, "wrong number of arguments") {
		p.popsOne.Store(true)
		one := redis.NewStringCmd(p.dialer.life, "lpop", key)
		p.do(key, one)
		values, err = []string{one.Val()}, one.Err()
	}
	if err != nil {
		if err == redis.Nil {
			err = nil
		}
		return nil, err
	}
	elements := make([][]byte, len(values))
	for i, v := range values {
		elements[i] = []byte(v)
	}
	return elements, nil
}

const (
	defaultLargest = 512 << 20 // bytes that Redis takes as one string, if it does not tell
	smallestLimit  = 1 << 20   // bytes that it can be set to take
	learnEvery     = time.Minute
)

// largestMessage is how many bytes Redis takes as one message, as far as it tells before ctx
// ends.
func (p *nodePool) largestMessage(ctx context.Context, key string) int {
	learned := make(chan int, 1)
	p.mu.Lock()
	largest, known := cmp.Or(p.largest, defaultLargest), time.Since(p.learned) < learnEvery && p.largest > 0
	if !known && !p.closed {
		p.learning.Go(func() { learned <- p.learnLargest(key) })
	}
	known = known || p.closed
	p.mu.Unlock()
	if known {
		return largest
	}
	select {
	case n := <-learned:
		return n
	case <-ctx.Done():
		return largest
	}
}

func (p *nodePool) learnLargest(key string) int {
	largest := defaultLargest
	for _, name := range []string{"proto-max-bulk-len", "client-query-buffer-limit"} {
		config := redis.NewMapStringStringCmd(p.dialer.life, "config", "get", name)
		p.do(key, config)
		if err := config.Err(); err != nil && !resp.IsError(err) {
			return largest // who does not answer is asked again
		}
		if n, err := strconv.Atoi(config.Val()[name]); err == nil && n > 0 {
			largest = min(largest, n)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.largest, p.learned = largest, time.Now()
	return largest
}

// routes are the slotClients of a client, made when they are needed: one for each slot of a
// Cluster that is used, as all lists of a call lie in the slot of its function's queue, or
// one for all.
type routes struct {
	make func(*calledFunction) *slotClient

	leaving sync.WaitGroup // slotClients that made room

	mu     sync.Mutex // guards what follows
	bySlot map[int]*slotClient
	closed bool
}

// mostSlotClients is how many there are, if no more have calls at a time: the one that
// was not used for longest makes room.
const mostSlotClients = 64

// enter returns the slotClient of a function's queue, which stays until leave.
func (r *routes) enter(f *calledFunction) (*slotClient, error) {
	if f.err != nil {
		return nil, f.err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, redis.ErrClosed
	}
	s := r.bySlot[f.slot]
	if s == nil {
		r.makeRoom(mostSlotClients - 1)
		s = r.make(f)
		r.bySlot[f.slot] = s
	}
	s.users++
	return s, nil
}

// placeInCluster fills in where the function's queue is, and what IDs of its calls begin
// with so that their single-use lists are there, too.
func (f *calledFunction) placeInCluster() {
	f.slot = keyslot.Of(f.queue)
	tag, ok := tagFor(f.results, f.slot)
	if !ok {
		f.err = fmt.Errorf("expected the name of a function without {} in a Cluster, as no result of it can be put where its calls are, got %q", f.name)
	}
	f.tag = tag
}

// makeRoom takes out slotClients without calls, those first that were not used for
// longest, until there are no more than most. It is called under the lock.
func (r *routes) makeRoom(most int) {
	for len(r.bySlot) > most {
		var old *slotClient
		for _, s := range r.bySlot {
			if s.users == 0 && (old == nil || s.used.Before(old.used)) {
				old = s
			}
		}
		if old == nil {
			return
		}
		delete(r.bySlot, old.slot)
		r.leaving.Go(func() {
			old.abandon()
			old.deleteLists()
			old.close()
		})
	}
}

func (r *routes) leave(s *slotClient) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.users--; s.users == 0 {
		s.used = time.Now()
	}
	if !r.closed {
		r.makeRoom(mostSlotClients)
	}
}

func (r *routes) all() []*slotClient {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.bySlot))
}

// end lets nobody enter any more, and returns the slotClients that there are.
func (r *routes) end() []*slotClient {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	return r.all()
}

// defiesTags says whether all keys that begin with before are hashed whole: of {}
// there is nothing to hash, and a hash tag behind it does not count.
func defiesTags(before string) bool {
	_, after, found := strings.Cut(before, "{")
	return found && strings.HasPrefix(after, "}")
}

// tagFor returns what has to stand behind before in a key so that the key lies in a
// slot, whatever follows: nothing or a hash tag. There is none if before has a hash
// tag of another slot, or defies them.
func tagFor(before string, slot int) (tag string, ok bool) {
	if _, tagged := keyslot.Tag(before); tagged || defiesTags(before) {
		return "", tagged && keyslot.Of(before) == slot
	}
	start := uint16(0) // of what is hashed before the number
	if _, open, found := strings.Cut(before, "{"); found {
		start = keyslot.CRC16(0, open+"{")
	}
	var digits [8]byte
	for n := int64(0); ; n++ { // ends, as numbers of four digits are in all slots
		number := strconv.AppendInt(digits[:0], n, 36)
		if int(keyslot.CRC16(start, number)%keyslot.Count) == slot {
			return "{" + string(number) + "}", true
		}
	}
}

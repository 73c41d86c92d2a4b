package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"redrpc/internal/keyslot"
)

// A node is one Redis, or one master of a Cluster, with its connections.
type node struct {
	load  *Load
	addr  string
	conns []*conn
}

// errHandshakeDone ends go-redis's part in the set-up of a connection.
var errHandshakeDone = errors.New("handshake done")

// connect makes a stream. go-redis sets it up as the options say: it authenticates,
// selects the protocol and the database, and calls OnConnect.
func (n *node) connect(calling context.Context) (*stream, error) {
	opt := n.load.options
	opt.Addr = n.addr
	ctx, cancel := context.WithTimeout(calling, n.load.Timeout)
	defer cancel()
	failed := func(err error) error {
		switch timeout, ok := errors.AsType[net.Error](err); {
		case calling.Err() != nil:
			return calling.Err()
		case ctx.Err() != nil || ok && timeout.Timeout():
			return timeoutError(n.load.Timeout)
		}
		return lost(err)
	}
	raw, err := opt.Dialer(ctx, opt.Network, opt.Addr)
	if err != nil {
		return nil, failed(err)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	opt.Dialer = func(context.Context, string, string) (net.Conn, error) { return noClose{raw}, nil }
	done, onConnect := false, opt.OnConnect
	opt.OnConnect = func(ctx context.Context, set *redis.Conn) error {
		if onConnect != nil {
			if err := onConnect(ctx, set); err != nil {
				return err
			}
		}
		done = true
		return errHandshakeDone
	}
	set := redis.NewClient(&opt)
	err = errors.Join(set.Ping(ctx).Err(), set.Close())
	if interrupted := !stop(); !done || interrupted {
		_ = raw.Close()
		var reply redis.Error
		if errors.As(err, &reply) {
			return nil, ReplyError(reply.Error())
		}
		return nil, failed(err)
	}
	if err := raw.SetDeadline(time.Time{}); err != nil { // which go-redis has set
		return nil, errors.Join(lost(err), raw.Close())
	}
	s := newStream(raw, n.load.Pipeline, n.load.Pipeline > 1 && !n.load.Batch)
	n.load.streams.Lock()
	defer n.load.streams.Unlock()
	if n.load.closed {
		return nil, errors.Join(errClosed, raw.Close())
	}
	n.load.open[s] = struct{}{}
	if s.piped {
		n.load.running.Go(s.read)
		n.load.running.Go(s.write)
	}
	return s, nil
}

// noClose leaves a connection open when go-redis is done with it.
type noClose struct{ net.Conn }

func (noClose) Close() error { return nil }

// ofNode are the options of a connection to one node, from those of a client.
func ofNode(rdb redis.UniversalClient) (redis.Options, error) {
	var opt redis.Options
	switch c := rdb.(type) {
	case *redis.Client:
		opt = *c.Options()
	case *redis.ClusterClient:
		o := c.Options()
		opt = redis.Options{
			ClientName: o.ClientName, Dialer: o.Dialer, OnConnect: o.OnConnect, TLSConfig: o.TLSConfig, Network: "tcp",
			Username: o.Username, Password: o.Password, CredentialsProvider: o.CredentialsProvider,
			CredentialsProviderContext: o.CredentialsProviderContext, StreamingCredentialsProvider: o.StreamingCredentialsProvider,
			DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
			DisableIdentity: o.DisableIdentity, IdentitySuffix: o.IdentitySuffix, Protocol: o.Protocol,
		}
		if opt.Dialer == nil {
			opt.Dialer = redis.NewDialer(&opt)
		}
	default:
		return redis.Options{}, fmt.Errorf("expected a *redis.Client or a *redis.ClusterClient, got %T", rdb)
	}
	opt.MaxRetries, opt.DialerRetries = -1, 1
	opt.PoolSize, opt.PipelinePoolSize = 1, -1
	opt.MaxConcurrentDials, opt.MinIdleConns, opt.MaxIdleConns, opt.MaxActiveConns = 0, 0, 0, 0
	opt.ReadBufferSize, opt.WriteBufferSize = 4<<10, 4<<10
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	opt.ContextTimeoutEnabled = true
	opt.ClientSideCache, opt.ClientSideCacheConfig, opt.PushNotificationProcessor, opt.Limiter = nil, nil, nil, nil
	return opt, nil
}

// A cluster knows the nodes, and which of them has which slot. One Redis is a cluster of
// one node.
type cluster struct {
	slots [keyslot.Count]atomic.Pointer[node] // unused if there is one Redis

	mu     sync.Mutex // guards what follows
	nodes  []*node
	byAddr map[string]*node
}

// learn asks a Cluster for its masters and their slots.
func (l *Load) learn(ctx context.Context, rdb *redis.ClusterClient) error {
	//lint:ignore SA1019 a Redis older than 7 has no CLUSTER SHARDS
	ranges, err := rdb.ClusterSlots(ctx).Result()
	if err != nil {
		return err
	}
	for _, r := range ranges {
		if len(r.Nodes) == 0 {
			continue
		}
		addr := r.Nodes[0].Addr
		if strings.HasPrefix(addr, ":") { // the node does not know its own address
			addr = l.seedHost(rdb) + addr
		}
		n := l.nodeAt(addr)
		for slot := max(0, r.Start); slot <= r.End && slot < keyslot.Count; slot++ {
			l.slots[slot].Store(n)
		}
	}
	for slot := range l.slots {
		if l.slots[slot].Load() == nil {
			return fmt.Errorf("expected a Cluster that serves all slots, but nobody has slot %d", slot)
		}
	}
	return nil
}

// doubt has the Cluster asked again, soon: a master that is gone does not say by MOVED who
// has its slots.
func (l *Load) doubt() {
	select {
	case l.doubts <- struct{}{}:
	default:
	}
}

// The Cluster is asked no more often than every learnEvery, and for no longer than
// learnWithin.
const (
	learnEvery  = 100 * time.Millisecond
	learnWithin = time.Second
)

// relearn asks the Cluster again when there is a doubt, until ctx ends.
func (l *Load) relearn(ctx context.Context, rdb *redis.ClusterClient) {
	pause := time.NewTicker(learnEvery)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-l.doubts:
		}
		asking, cancel := context.WithTimeout(ctx, learnWithin)
		_ = l.learn(asking, rdb) // if nobody answers the next command that fails asks again
		cancel()
	}
}

func (l *Load) seedHost(rdb *redis.ClusterClient) string {
	for _, addr := range rdb.Options().Addrs {
		if host, _, err := net.SplitHostPort(addr); err == nil {
			return host
		}
	}
	return "127.0.0.1"
}

// nodeAt returns the node with an address, a new one if there is none.
func (l *Load) nodeAt(addr string) *node {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.byAddr[addr]; n != nil {
		return n
	}
	n := &node{load: l, addr: addr}
	for range l.Connections {
		n.conns = append(n.conns, &conn{node: n})
	}
	l.byAddr[addr] = n
	l.nodes = append(l.nodes, n)
	return n
}

// route is the node that a request belongs to. One without a key goes to any.
func (l *Load) route(r *request, number int64) *node {
	if !l.clustered {
		return l.nodes[0]
	}
	if slot, ok := r.slot(); ok {
		return l.slots[slot].Load()
	}
	return l.slots[scramble(uint64(number))%keyslot.Count].Load()
}

// mostRedirections is how often one request follows MOVED and ASK.
const mostRedirections = 5

// redirected follows MOVED, which tells for good where a slot is, and ASK, which does so
// for this request, to where the request has to be sent. It is nil if err is neither.
func (l *Load) redirected(r *request, from *node, err ReplyError) *node {
	word, rest, _ := strings.Cut(string(err), " ")
	if !l.clustered || word != "MOVED" && word != "ASK" {
		return nil
	}
	_, addr, _ := strings.Cut(rest, " ")
	if strings.HasPrefix(addr, ":") { // the same host
		host, _, _ := net.SplitHostPort(from.addr)
		addr = host + addr
	}
	if _, _, wrong := net.SplitHostPort(addr); wrong != nil {
		return nil
	}
	to := l.nodeAt(addr)
	if slot, ok := r.slot(); ok && word == "MOVED" {
		l.slots[slot].Store(to)
	}
	if word == "ASK" {
		r.ask()
	}
	return to
}

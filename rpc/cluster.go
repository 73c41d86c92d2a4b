package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// A home is where in a Cluster all keys of a prefix with a hash tag lie: in one slot,
// on one master. MOVED says where it is now; if nobody can be reached there the
// caller's client is asked.
type home struct {
	rdb    *redis.ClusterClient
	prefix string

	mu    sync.Mutex // guards what follows
	moved string     // the address that MOVED gave; empty if it gave none
	at    string     // the address that was dialled last
}

// checkClient returns what links can be derived from: the client, of one Redis or of
// Sentinel, or for a Cluster the home of the prefix.
func checkClient(rdb redis.UniversalClient, prefix string) (*redis.Client, *home, error) {
	switch c := rdb.(type) {
	case *redis.Client:
		if c != nil {
			return c, nil, nil
		}
	case *redis.ClusterClient:
		if c == nil {
			break
		}
		if !hasHashTag(prefix) {
			return nil, nil, fmt.Errorf("expected a prefix with a hash tag for a Cluster, such as {%s}, as all keys have to lie in one slot, got %q", prefix, prefix)
		}
		return nil, &home{rdb: c, prefix: prefix}, nil
	}
	return nil, nil, fmt.Errorf("expected a non-nil *redis.Client or *redis.ClusterClient (not a Ring), got %T", rdb)
}

// hasHashTag says whether all keys that start with prefix lie in one slot.
func hasHashTag(prefix string) bool {
	_, after, found := strings.Cut(prefix, "{")
	return found && strings.IndexByte(after, '}') > 0
}

// options are those of a client of one node, but for its address, after go-redis's
// defaults.
func (h *home) options() redis.Options {
	c := h.rdb.Options()
	opt := redis.Options{
		ClientName: c.ClientName, Dialer: c.Dialer, OnConnect: c.OnConnect, TLSConfig: c.TLSConfig, Network: "tcp",
		Username: c.Username, Password: c.Password, CredentialsProvider: c.CredentialsProvider,
		CredentialsProviderContext: c.CredentialsProviderContext, StreamingCredentialsProvider: c.StreamingCredentialsProvider,
		DialTimeout: c.DialTimeout, ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout,
		DisableIdentity: c.DisableIdentity, IdentitySuffix: c.IdentitySuffix,
		Addr: "127.0.0.1:0", // which nobody dials
	}
	if opt.Dialer == nil {
		opt.Dialer = redis.NewDialer(&opt)
	}
	return opt
}

// dial dials the master.
func (h *home) dial(ctx context.Context, dialer func(context.Context, string, string) (net.Conn, error)) (net.Conn, error) {
	h.mu.Lock()
	addr := h.moved
	h.mu.Unlock()
	if addr == "" {
		master, err := h.rdb.MasterForKey(ctx, h.prefix)
		if err != nil {
			return nil, err
		}
		addr = master.Options().Addr
	}
	h.mu.Lock()
	h.at = addr
	h.mu.Unlock()
	conn, err := dialer(ctx, "tcp", addr)
	if err != nil {
		h.forget()
	}
	return conn, err
}

// forget has the Cluster asked again, as what is known is of no use.
func (h *home) forget() {
	h.mu.Lock()
	h.moved = ""
	h.mu.Unlock()
	h.rdb.ReloadState(context.Background()) // does not wait
}

// follow looks whether err, which ended the use of a connection, says where the slot
// is now.
func (h *home) follow(err error) {
	var reply redis.Error
	var fields []string // MOVED, the slot, an address
	if redis.HasErrorPrefix(err, "MOVED ") && errors.As(err, &reply) {
		fields = strings.Fields(reply.Error())
	}
	if len(fields) != 3 {
		h.forget()
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.moved = fields[2]
	if strings.HasPrefix(h.moved, ":") { // only the port differs
		if host, _, err := net.SplitHostPort(h.at); err == nil {
			h.moved = net.JoinHostPort(host, h.moved[1:])
		}
	}
}

// isElsewhere says whether Redis refuses because another one is in charge, or will be
// in a moment. The command did nothing.
func isElsewhere(err error) bool {
	for _, prefix := range []string{"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

package rpc

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"
)

// A home is where a slot of a Cluster is: on one master. MOVED says where it is now;
// if nobody can be reached there the caller's client is asked.
type home struct {
	rdb *redis.ClusterClient
	key string // one of the slot

	mu    sync.Mutex // guards what follows
	moved string     // the address that MOVED gave; empty if it gave none
	at    string     // the address that was dialled last
}

// checkClient returns what links can be derived from: the client, of one Redis or of
// Sentinel, or else that of a Cluster.
func checkClient(rdb redis.UniversalClient, prefix string) (*redis.Client, *redis.ClusterClient, error) {
	if err := checkAsked(rdb); err != nil {
		return nil, nil, err
	}
	single, _ := rdb.(*redis.Client)
	cluster, _ := rdb.(*redis.ClusterClient)
	if cluster != nil && defiesTags(prefix) {
		return nil, nil, fmt.Errorf("expected a prefix without {} for a Cluster, as no key that starts with it can be put where others are, got %q", prefix)
	}
	return single, cluster, nil
}

// checkAsked refuses clients of which it is not known who is to be asked.
func checkAsked(rdb redis.UniversalClient) error {
	switch c := rdb.(type) {
	case *redis.Client:
		if c != nil {
			return nil
		}
	case *redis.ClusterClient:
		if c != nil {
			return nil
		}
	}
	return fmt.Errorf("expected a non-nil *redis.Client or *redis.ClusterClient (not a Ring), got %T", rdb)
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
		master, err := h.rdb.MasterForKey(ctx, h.key)
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
	h.mu.Lock()
	kind, to := redirection(err, h.at)
	if kind == "MOVED" {
		h.moved = to
	}
	h.mu.Unlock()
	if kind == "" {
		h.forget()
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

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// followedAddr as the address of a client says that its dialer finds the master: go-redis
// has it for its clients of Sentinel, and package rpc then follows the master.
const followedAddr = "FailoverClient"

// sentinels know which Redis is the master.
type sentinels struct {
	addrs          []string
	master         string // its name
	user, password string // of the Sentinels, which may differ from those of Redis

	answered atomic.Int32 // which of addrs answered last: it is asked first
}

const (
	defaultSentinelPort = "26379"

	// sentinelPatience is how long one Sentinel has before another is asked, too.
	sentinelPatience = 300 * time.Millisecond
)

// sentinelSchemes are those of the URLs of a master of Sentinels, and what they would be
// without: with TLS it is for Sentinels and Redis.
var sentinelSchemes = map[string]string{"redis-sentinel": "redis", "rediss-sentinel": "rediss"}

// parseSentinels parses a URL that names Sentinels. The rest of it is as in other URLs.
func parseSentinels(scheme, text string) (_ *endpoint, wrong string) {
	_, rest, _ := strings.Cut(text, "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, rest := rest[:end], rest[end:]
	at := strings.LastIndex(authority, "@") + 1
	user, hosts := authority[:at], strings.Split(authority[at:], ",")
	s := &sentinels{}
	for _, host := range hosts {
		u, err := url.Parse("//" + host)
		if err != nil || u.Hostname() == "" || u.Host != host || strings.Contains(u.Hostname(), ":") && host[0] != '[' {
			return nil, "whose hosts or ports cannot be read: expected those of Sentinels, with commas between them; a password ends with @, as in redis-sentinel://:PASSWORD@HOST"
		}
		port := u.Port()
		if port == "" {
			port = defaultSentinelPort
		} else if !isPort(port) {
			return nil, "with a port that is no number from 1 to 65535"
		}
		s.addrs = append(s.addrs, net.JoinHostPort(u.Hostname(), port))
	}
	path, query, _ := strings.Cut(rest, "?")
	query, fragment, hasFragment := strings.Cut(query, "#")
	options, err := url.ParseQuery(query)
	if err != nil {
		return nil, "whose options after the ? cannot be read"
	}
	for name, to := range map[string]*string{"master_name": &s.master, "sentinel_username": &s.user, "sentinel_password": &s.password} {
		*to = options.Get(name)
		options.Del(name)
	}
	if s.master == "" {
		return nil, "without the name of the master: ?master_name=NAME"
	}
	one := sentinelSchemes[scheme] + "://" + user + hosts[0] + path + "?" + options.Encode()
	if hasFragment {
		one += "#" + fragment
	}
	e, wrong := parseKnown(one)
	if wrong != "" {
		return nil, wrong
	}
	e.sentinels, e.Addr = s, followedAddr
	if e.TLSConfig != nil {
		e.TLSConfig.ServerName = "" // each is verified by its own name
	}
	return e, ""
}

// follow dials the master, whatever the address.
func (s *sentinels) follow(dial dialer) dialer {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		addr, err := s.find(ctx, dial)
		if err != nil {
			return nil, err
		}
		return dial(ctx, "tcp", addr)
	}
}

// A sentinelError is why the master is not known. It wraps nothing, since of an error
// that does go-redis shows only what is within.
type sentinelError string

func (e sentinelError) Error() string { return string(e) }

// find asks the Sentinels for the master, each when the one before has failed or takes
// long. The first that knows it is right.
func (s *sentinels) find(ctx context.Context, dial dialer) (string, error) {
	type answer struct {
		of   int
		addr string
		err  error
	}
	answers := make(chan answer, len(s.addrs))
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	first := int(s.answered.Load())
	var said []string
	for asked, waiting := 0, 0; ; {
		next := timer.C
		if asked == len(s.addrs) {
			next = nil
		}
		select {
		case <-next:
			of := (first + asked) % len(s.addrs)
			asked, waiting = asked+1, waiting+1
			timer.Reset(sentinelPatience)
			asking.Go(func() {
				addr, err := s.ask(ctx, dial, s.addrs[of])
				answers <- answer{of, addr, err}
			})
		case a := <-answers:
			if a.err == nil {
				s.answered.Store(int32(a.of))
				return a.addr, nil
			}
			said = append(said, fmt.Sprintf("%s: %v", s.addrs[a.of], a.err))
			if waiting--; waiting == 0 {
				timer.Reset(0)
			}
		}
		if len(said) == len(s.addrs) {
			slices.Sort(said)
			return "", sentinelError("no Sentinel names the master: " + strings.Join(said, "; "))
		}
	}
}

// ask asks one Sentinel.
func (s *sentinels) ask(ctx context.Context, dial dialer, addr string) (string, error) {
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })() // go-redis does not look at the end of ctx
	client := redis.NewSentinelClient(withoutSurprises(&redis.Options{
		Addr: addr, Username: s.user, Password: s.password, Protocol: 2, ContextTimeoutEnabled: true, DialerRetries: 1,
		Dialer: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}))
	at, err := client.GetMasterAddrByName(ctx, s.master).Result()
	err = errors.Join(err, client.Close())
	switch {
	case errors.Is(err, redis.Nil):
		return "", fmt.Errorf("it knows no master %q", s.master)
	case ctx.Err() != nil:
		return "", errors.New("no answer")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "", errors.New("it closed the connection; if it speaks TLS, use a rediss-sentinel:// URL, else redis-sentinel://")
	case isReply(err) && strings.HasPrefix(err.Error(), "ERR unknown command"):
		return "", errors.New("it is no Sentinel")
	case err != nil:
		return "", errors.New(hide(err.Error(), s.password))
	case len(at) != 2:
		return "", fmt.Errorf("expected a host and a port, got %q", at)
	}
	return net.JoinHostPort(at[0], at[1]), nil
}

package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/spf13/pflag"
)

const (
	defaultRedis = "redis://127.0.0.1:6379"
	urlExamples  = "redis://127.0.0.1:6379/0, rediss://host:6380 (TLS), unix:///run/redis.sock or redis-sentinel://host:26379,host2:26379/0?master_name=NAME"
)

func init() {
	// What goes wrong is returned as an error, and printed once.
	logging.Disable()
}

// connFlags are the flags of every command that talks to a Redis.
type connFlags struct {
	url, ca, cert, key string
	given              func(flag string) bool
	getenv             func(string) string
}

func (f *connFlags) register(flags *pflag.FlagSet, getenv func(string) string, otherwise string) {
	f.given, f.getenv = flags.Changed, getenv
	// The URL is parsed later, for an error of the flag's parser would print the password.
	flags.Var(anyText(&f.url, "URL"), "redis", "the Redis, or a node of a Cluster: redis://, rediss:// (TLS) or unix://; of Sentinels redis-sentinel://HOST:PORT,HOST:PORT/DB?master_name=NAME (default $REDIS_URL, else "+otherwise+")")
	flags.Var(anyText(&f.ca, "FILE"), "tls-ca", "with TLS: CA certificate, PEM (default the system's)")
	flags.Var(anyText(&f.cert, "FILE"), "tls-cert", "with TLS: client certificate, PEM")
	flags.Var(anyText(&f.key, "FILE"), "tls-key", "with TLS: key of --tls-cert, PEM")
}

// An endpoint is a Redis, a node of a Cluster or the master of Sentinels, and how to
// connect to it.
type endpoint struct {
	redis.Options
	sentinels *sentinels // nil if there are none
}

// names reports whether the URL names an address.
func (e *endpoint) names(addr string) bool {
	return addr == e.Addr || e.sentinels != nil && slices.Contains(e.sentinels.addrs, addr)
}

// scheme is the one of its URL with TLS or without.
func (e *endpoint) scheme(withTLS bool) string {
	scheme := "redis"
	if withTLS {
		scheme += "s"
	}
	if e.sentinels != nil {
		scheme += "-sentinel"
	}
	return scheme
}

// options returns how to connect to the Redis that --redis or REDIS_URL names, or
// that fallback does. With all three empty it returns nil.
func (f *connFlags) options(fallback string) (*endpoint, error) {
	from, text := "--redis", f.url
	if !f.given("redis") {
		from, text = "REDIS_URL", f.getenv("REDIS_URL")
	}
	text = cmp.Or(text, fallback)
	if text == "" {
		if f.given("redis") {
			return nil, usagef("--redis: expected a URL such as %s, got an empty one", urlExamples)
		}
		return nil, f.checkTLS(nil)
	}
	opt, err := parseURL(text)
	if err != nil {
		return nil, usagef("%s: %w", from, err)
	}
	opt.Dialer = dialerFor(opt)
	if opt.sentinels != nil {
		opt.Dialer = opt.sentinels.follow(opt.Dialer)
	}
	withoutSurprises(&opt.Options)
	return opt, f.checkTLS(opt.TLSConfig)
}

// withoutSurprises keeps go-redis from sending anything twice, and from looking up
// names when it makes a client.
func withoutSurprises(opt *redis.Options) *redis.Options {
	opt.MaxRetries = -1
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return opt
}

// schemes are those of the URLs of a Redis.
var schemes = []string{"redis", "rediss", "unix", "redis-sentinel", "rediss-sentinel"}

// parseURL is redis.ParseURL with errors that show nothing of text but a known
// scheme: of a URL that cannot be read, any part may be the password.
func parseURL(text string) (*endpoint, error) {
	scheme, _, ok := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	if !ok || !slices.Contains(schemes, scheme) {
		return nil, fmt.Errorf("expected a URL such as %s, got text that begins otherwise (it is not shown, as it may hold a password)", urlExamples)
	}
	parse := parseKnown
	if sentinelSchemes[scheme] != "" {
		parse = func(text string) (*endpoint, string) { return parseSentinels(scheme, text) }
	}
	opt, wrong := parse(text)
	if wrong != "" {
		return nil, fmt.Errorf("expected a URL such as %s, got a %s:// URL (not shown, as it may hold a password) %s", urlExamples, scheme, wrong)
	}
	return opt, nil
}

// parseKnown parses a URL of a known scheme. wrong says what is wrong with it
// without quoting it.
func parseKnown(text string) (_ *endpoint, wrong string) {
	u, err := url.Parse(text)
	switch {
	case (err != nil || u.User == nil) && strings.Contains(text, "@"):
		// What was meant as a password is now in the path, the port or the fragment.
		return nil, "whose user or password has characters that must be percent-encoded"
	case err != nil:
		return nil, "whose host or port cannot be read; a password ends with @, as in redis://:PASSWORD@HOST"
	case u.Fragment != "":
		return nil, "with a #, which has no meaning there; in a password it must be percent-encoded"
	case u.Scheme == "unix" && u.Path == "":
		return nil, "without the path of a socket"
	}
	if u.Port() != "" && !isPort(u.Port()) {
		return nil, "whose port is no number from 1 to 65535"
	}
	opt, err := redis.ParseURL(text)
	if err == nil {
		if opt.TLSConfig != nil && net.ParseIP(opt.TLSConfig.ServerName) != nil {
			opt.TLSConfig.ServerName = "" // each node of a Cluster is verified by its own address
		}
		return &endpoint{Options: *opt}, ""
	}
	u.RawQuery = ""
	if _, err := redis.ParseURL(u.String()); err == nil {
		return nil, "whose options after the ? are unknown or wrong; a password goes before the host, as in redis://:PASSWORD@HOST"
	}
	if u.Scheme != "unix" {
		return nil, "whose database, which follows the host and a slash, is no number"
	}
	return nil, "that cannot be understood"
}

func isPort(text string) bool {
	port, err := strconv.Atoi(text)
	return err == nil && 1 <= port && port <= 65535
}

// shown is text of the command line as an error quotes it.
func shown(text string) string {
	if !quotable(text) {
		return "text that looks like a URL (it is not shown, as it may hold a password)"
	}
	return strconv.Quote(text)
}

// quotable says whether text of the command line may be shown: what could be the URL of
// a Redis, and so hold a password, may not.
func quotable(text string) bool {
	lower := strings.ToLower(text)
	return !strings.Contains(text, "@") && !strings.Contains(text, "//") &&
		!slices.ContainsFunc(schemes, func(scheme string) bool { return strings.HasPrefix(lower, scheme+":") })
}

// checkTLS reads the TLS files into config, which is nil for a connection without TLS.
func (f *connFlags) checkTLS(config *tls.Config) error {
	for _, flag := range []string{"tls-ca", "tls-cert", "tls-key"} {
		if f.given(flag) && config == nil {
			return usagef("--%s: expected together with a rediss:// or rediss-sentinel:// URL in --redis or REDIS_URL", flag)
		}
	}
	if f.given("tls-ca") {
		pool, err := readPool(f.ca)
		if err != nil {
			return err
		}
		config.RootCAs = pool
	}
	if f.given("tls-cert") != f.given("tls-key") {
		return usagef("--tls-cert and --tls-key: expected both or neither")
	}
	if f.given("tls-cert") {
		pair, err := readPair(f.cert, f.key)
		if err != nil {
			return err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// where names a Redis for people: no user, no password.
func where(opt *endpoint) string {
	u := url.URL{Scheme: opt.scheme(opt.TLSConfig != nil), Host: opt.Addr}
	if s := opt.sentinels; s != nil {
		u.Host, u.RawQuery = strings.Join(s.addrs, ","), "master_name="+url.QueryEscape(s.master)
	}
	if opt.Network == "unix" {
		u = url.URL{Scheme: "unix", Path: opt.Addr}
		if opt.DB != 0 {
			u.RawQuery = fmt.Sprintf("db=%d", opt.DB)
		}
		return u.String()
	}
	if opt.DB != 0 {
		u.Path = fmt.Sprintf("/%d", opt.DB)
	}
	return u.String()
}

// reachWithin is how long reach tries, mostly.
const reachWithin = 2 * time.Second

// reach connects to a Redis with a client that gives up soon, for what is not a
// call, and returns it with the version of the Redis. If that is a node of a Cluster
// the client is one of the whole Cluster. It tries for within.
func reach(ctx context.Context, opt *endpoint, within time.Duration) (_ redis.UniversalClient, version string, err error) {
	one := *opt
	one.DialerRetries = 1
	one.DialTimeout = reachWithin
	one.ReadTimeout = reachWithin
	one.ContextTimeoutEnabled = true
	rdb := redis.NewClient(&one.Options)
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := rdb.Ping(ctx).Err(); err != nil {
		return nil, "", errors.Join(unreachable(opt, err, within), rdb.Close())
	}
	info, err := rdb.InfoMap(ctx, "server").Result()
	if err != nil && !isReply(err) { // a Redis may well forbid INFO
		return nil, "", errors.Join(unreachable(opt, err, within), rdb.Close())
	}
	version = cmp.Or(info["Server"]["redis_version"], "unknown")
	switch info["Server"]["redis_mode"] {
	case "sentinel":
		return nil, "", errors.Join(fmt.Errorf("%s is a Sentinel: expected the URL of a Redis, or %s-sentinel://%s?master_name=NAME", where(opt), opt.scheme(opt.TLSConfig != nil), opt.Addr), rdb.Close())
	case "cluster":
	default:
		return rdb, version, nil
	}
	if err := rdb.Close(); err != nil {
		return nil, "", err
	}
	if opt.Network == "unix" {
		return nil, "", fmt.Errorf("%s is a node of a Cluster: expected a URL of one by TCP, such as redis://127.0.0.1:6379, as the others are reached by TCP", where(opt))
	}
	one = *opt
	one.DialTimeout, one.ReadTimeout, one.DialerRetries, one.ContextTimeoutEnabled = reachWithin, reachWithin, 1, true
	cluster := newClient(&one, true)
	if err := cluster.Ping(ctx).Err(); err != nil {
		return nil, "", errors.Join(unreachable(opt, err, within), cluster.Close())
	}
	return cluster, version, nil
}

// isCluster says whether a client is one of a Cluster.
func isCluster(rdb redis.UniversalClient) bool {
	_, ok := rdb.(*redis.ClusterClient)
	return ok
}

func isReply(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// unreachable says why a Redis did not do what it was asked within so long, and what
// may help.
func unreachable(opt *endpoint, err error, within time.Duration) error {
	var timeout net.Error
	switch {
	case isReply(err), errors.As(err, new(refusal)):
		return fmt.Errorf("refused by Redis at %s: %s", where(opt), withoutPassword(opt, err.Error()))
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		hint := ""
		if opt.TLSConfig != nil {
			hint = fmt.Sprintf("; a port that does not speak TLS does not answer a %s:// URL either: try %s://", opt.scheme(true), opt.scheme(false))
		}
		return fmt.Errorf("cannot reach Redis at %s: no answer within %v%s", where(opt), within, hint)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		hint := fmt.Sprintf("if it speaks TLS, use a %s:// URL", opt.scheme(true))
		if opt.TLSConfig != nil {
			hint = "before TLS is set up Redis gives no reason, which may be that maxclients is reached"
		}
		return fmt.Errorf("cannot reach Redis at %s: it closed the connection; %s", where(opt), hint)
	}
	return fmt.Errorf("cannot reach Redis at %s: %w", where(opt), err)
}

// withoutPassword takes the password out of what Redis said. A server that does not
// know a command quotes its arguments, and those of HELLO and AUTH are secret.
func withoutPassword(opt *endpoint, reply string) string {
	if opt.sentinels != nil {
		reply = hide(reply, opt.sentinels.password)
	}
	return hide(reply, opt.Password)
}

// hide takes a secret, if there is one, out of text.
func hide(text, secret string) string {
	if secret == "" {
		return text
	}
	return strings.ReplaceAll(text, secret, "***")
}

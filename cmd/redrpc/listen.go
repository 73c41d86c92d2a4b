package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"

	"redrpc/broker"
)

const defaultAddr = "127.0.0.1:6379"

// listenFlags are the flags that say where a broker listens.
type listenFlags struct {
	addrs         []string
	unix          string
	mode          fs.FileMode
	cert, key, ca string
	given         func(flag string) bool
	config        *tls.Config // nil: no TLS
}

func (f *listenFlags) register(flags *pflag.FlagSet) {
	f.given = flags.Changed
	f.mode = socketMode
	flags.Var(addresses(&f.addrs), "addr", "where to listen; port 0 is any free one, no host is this machine; can be repeated (default "+defaultAddr+", unless there is --unix)")
	flags.Var(name(&f.unix, "PATH"), "unix", "Unix socket to listen on; one that nobody serves is replaced")
	flags.Var(permissions(&f.mode), "unix-mode", "permissions of the file of --unix")
	flags.Var(name(&f.cert, "FILE"), "tls-cert", "certificate of the broker, PEM; every --addr then speaks TLS")
	flags.Var(name(&f.key, "FILE"), "tls-key", "key of --tls-cert, PEM")
	flags.Var(name(&f.ca, "FILE"), "tls-ca", "CA certificate, PEM; clients must then have a certificate signed by it")
}

// check completes what the flags say.
func (f *listenFlags) check() error {
	if len(f.addrs) == 0 && f.unix == "" {
		f.addrs = []string{defaultAddr}
	}
	if f.given("unix-mode") && f.unix == "" {
		return usagef("--unix-mode: expected together with --unix")
	}
	if f.given("tls-cert") != f.given("tls-key") {
		return usagef("--tls-cert and --tls-key: expected both or neither")
	}
	if !f.given("tls-cert") {
		if f.given("tls-ca") {
			return usagef("--tls-ca: expected together with --tls-cert and --tls-key")
		}
		return nil
	}
	if len(f.addrs) == 0 {
		return usagef("--tls-cert: expected together with --addr, as a Unix socket does not speak TLS")
	}
	pair, err := readPair(f.cert, f.key)
	if err != nil {
		return err
	}
	f.config = &tls.Config{Certificates: []tls.Certificate{pair}}
	if f.given("tls-ca") {
		f.config.ClientAuth = tls.RequireAndVerifyClientCert
		f.config.ClientCAs, err = readPool(f.ca)
	}
	return err
}

// listen makes the broker listen, and returns a URL for each address.
func (f *listenFlags) listen(b *broker.Broker) (urls []string, err error) {
	for i, addr := range f.addrs {
		scheme := "redis"
		var at net.Addr
		if f.config == nil {
			at, err = b.Listen("tcp", addr)
		} else {
			scheme = "rediss"
			at, err = b.ListenTLS("tcp", addr, f.config)
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("%s is taken, perhaps by a Redis: choose another --addr, or port 0 for any: %w", addr, err)
		}
		if err != nil {
			return nil, err
		}
		f.addrs[i] = at.String()
		urls = append(urls, (&url.URL{Scheme: scheme, Host: dialable(at.String())}).String())
	}
	if f.unix == "" {
		return urls, nil
	}
	path, err := filepath.Abs(f.unix)
	if err != nil {
		return nil, err
	}
	if _, err := b.ListenUnix(path, f.mode); err != nil {
		return nil, err
	}
	return append(urls, (&url.URL{Scheme: "unix", Path: path}).String()), nil
}

// dialable is an address to connect to that reaches a listener from this machine:
// one on all addresses is on that of the loopback interface.
func dialable(listening string) string {
	at, err := netip.ParseAddrPort(listening)
	if err != nil || !at.Addr().IsUnspecified() {
		return listening
	}
	host := "127.0.0.1"
	if at.Addr().Is6() {
		host = "::1"
	}
	return net.JoinHostPort(host, fmt.Sprint(at.Port()))
}

// reachable reports whether other machines may reach an address that is listened on.
func (f *listenFlags) reachable() bool {
	for _, addr := range f.addrs {
		if at, err := netip.ParseAddrPort(addr); err != nil || !at.Addr().IsLoopback() {
			return true
		}
	}
	return false
}

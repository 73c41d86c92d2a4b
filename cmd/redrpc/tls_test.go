package main

import (
	"fmt"
	"strings"
	"testing"

	"redrpc/internal/redistest"
)

// tlsPorts are options of a redis-server, or lines of a Sentinel's configuration, for TLS
// with a certificate.
func tlsPorts(authority *authority, port int, cert, key string) []string {
	return []string{
		"tls-port " + fmt.Sprint(port), "tls-ca-cert-file " + authority.file, "tls-cert-file " + cert, "tls-key-file " + key,
		"tls-auth-clients no", "tls-replication yes",
	}
}

// asOptions makes options of lines of a configuration.
func asOptions(lines []string) []string {
	var options []string
	for _, line := range lines {
		name, value, _ := strings.Cut(line, " ")
		options = append(options, "--"+name, value)
	}
	return options
}

// Sentinels and their master are reached by TLS, each verified by its own address. Whose
// certificate is wrong is told.
func TestSentinelTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority := newAuthority(t, dir)
	cert, key := authority.issue(t, dir, "right")
	otherCert, otherKey := authority.issue(t, dir, "other", "other.example")
	good, bad, right, wrong := freePort(t), freePort(t), freePort(t), freePort(t)
	redistest.Start(t, asOptions(tlsPorts(authority, good, cert, key))...)
	redistest.Start(t, asOptions(tlsPorts(authority, bad, otherCert, otherKey))...)
	masters := []string{
		fmt.Sprintf("sentinel monitor good 127.0.0.1 %d 1", good),
		fmt.Sprintf("sentinel monitor bad 127.0.0.1 %d 1", bad),
	}
	withTLS := redistest.StartSentinel(t, strings.Join(append(tlsPorts(authority, right, cert, key), masters...), "\n")+"\n")
	redistest.StartSentinel(t, strings.Join(append(tlsPorts(authority, wrong, otherCert, otherKey), masters...), "\n")+"\n")
	url := func(port int, master string) string {
		return fmt.Sprintf("rediss-sentinel://127.0.0.1:%d?master_name=%s", port, master)
	}
	with := func(url string, args ...string) result {
		return redrpc(t, append(args, "--redis", url, "--tls-ca", authority.file)...)
	}
	both := strings.Replace(url(wrong, "good"), "?", fmt.Sprintf(",127.0.0.1:%d?", right), 1) // the other one is asked then
	server := start(t, nil, "serve", "--redis", both, "--tls-ca", authority.file)
	server.await(t, &server.stderr, "serving ")
	r := with(both, "call", "add", "a:=1", "b:=2", "--timeout", "1m")
	r.want(t, exitOK)
	if r.stdout != "3\n" {
		t.Errorf("got %s", r.stdout)
	}
	with(url(right, "good"), "bench", "--calls", "50", "-c", "2", "--warmup", "0s").wantMeasured(t)
	with(url(right, "good"), "bench", "--command", "PING", "--calls", "50", "-c", "2", "--warmup", "0s").wantMeasured(t)

	const noIP = "cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs"
	for _, args := range [][]string{{"call", "f"}, {"bench", "--calls", "50"}, {"bench", "--command", "PING", "--calls", "50"}} {
		with(url(wrong, "good"), args...).want(t, exitFailed, fmt.Sprintf("no Sentinel names the master: 127.0.0.1:%d: tls: failed to verify certificate: x509: %s", wrong, noIP))
		with(url(right, "bad"), args...).want(t, exitFailed, fmt.Sprintf("cannot reach Redis at %s: 127.0.0.1:%d: tls: failed to verify certificate: x509: %s", url(right, "bad"), bad, noIP))
	}
	redrpc(t, "call", "f", "--redis", url(right, "good")).want(t, exitFailed, fmt.Sprintf("127.0.0.1:%d: tls: failed to verify certificate: x509: ", right))
	with(fmt.Sprintf("rediss://127.0.0.1:%d", right), "call", "f").want(t, exitFailed, fmt.Sprintf("is a Sentinel: expected the URL of a Redis, or rediss-sentinel://127.0.0.1:%d?master_name=NAME", right))
	redrpc(t, "call", "f", "--redis", strings.Replace(url(right, "good"), "rediss", "redis", 1)).want(t, exitFailed, "if it speaks TLS, use a rediss-sentinel:// URL")
	with("rediss-sentinel://"+withTLS.Addr+"?master_name=good", "call", "f", "--timeout", "100ms").
		want(t, exitFailed, "a port that does not speak TLS does not answer a rediss-sentinel:// URL either: try redis-sentinel://")
}

// The nodes of a Cluster are verified by the host name of the URL, by which no node is
// announced, and by their own addresses if the URL has an address.
func TestClusterTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority := newAuthority(t, dir)
	for name, hosts := range map[string][]string{"localhost": {"localhost"}, "127.0.0.1": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cert, key := authority.issue(t, dir, name, hosts...)
			port := freePort(t)
			redistest.StartCluster(t, 1, append(asOptions(tlsPorts(authority, port, cert, key)), "--tls-cluster", "yes", "--cluster-announce-ip", "127.0.0.1")...)
			with := func(host string, args ...string) result {
				return redrpc(t, append(args, "--redis", fmt.Sprintf("rediss://%s:%d", host, port), "--tls-ca", authority.file)...)
			}
			with(name, "call", "--async", "f", "--timeout", "1m").want(t, exitOK)
			with(name, "bench", "--calls", "50", "-c", "2", "--warmup", "0s").wantMeasured(t)
			with(name, "bench", "--command", "SET k:__key__ x", "--calls", "50", "-c", "2", "--warmup", "0s").wantMeasured(t)
			other := map[string]string{"localhost": "127.0.0.1", "127.0.0.1": "localhost"}[name]
			with(other, "call", "f").want(t, exitFailed, "tls: failed to verify certificate: x509: ")
		})
	}
	for text, want := range map[string]string{"rediss://h": "h", "rediss://127.0.0.1:1": "", "rediss://[::1]:1": ""} {
		e, err := parseURL(text)
		if err != nil || e.TLSConfig.ServerName != want {
			t.Errorf("%s: %v, verified by %q, expected %q", text, err, e.TLSConfig.ServerName, want)
		}
	}
}

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"redrpc/internal/redistest"
)

func TestWhere(t *testing.T) {
	for url, want := range map[string]string{
		"redis://":                          "redis://localhost:6379",
		"redis://u:secret@h:1/2":            "redis://h:1/2",
		"redis://secret@h":                  "redis://h:6379",
		"rediss://:secret@[::1]:7/0":        "rediss://[::1]:7",
		"unix://u:secret@/run/r.sock?db=3":  "unix:///run/r.sock?db=3",
		"unix:///run/r.sock":                "unix:///run/r.sock",
		"redis://h:1?client_name=c&db=4":    "redis://h:1/4",
		"redis://u:se%2Fcret%40secret@h:55": "redis://h:55",
	} {
		opt, err := parseURL(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if got := where(opt); got != want {
			t.Errorf("%s is shown as %s, expected %s", url, got, want)
		}
	}
}

// Of a URL that cannot be used nothing is printed, however the password got lost
// in it. (That no output holds the word secret is checked by redrpcIn.)
func TestPasswordsAreNotPrinted(t *testing.T) {
	for _, url := range []string{
		"redis://:my secret@h", ":secret@h:1", "redis:secret@h", "redis:/:secret@h", "redis//:secret@h",
		"redis://h?password=secret", "redis://h?db=secret", "redis://:secret", "redis://u:secret", "redis://u:secret/1",
		"redis://:sec/secret@h", "redis://:6379#secret@h", "redis://h#secret", "redis://:%zzsecret@h", "redis://h/secret",
		"redis://u:secret@h:99999999", "redis://u:p/secret@x@h", "redis://:p?secret@h", "redis://[secret@h", "redis://:a\tsecret@h",
		"http://:secret@h", "REDIS:secret@h", "//:secret@h", "unix:secret", "unix://?secret", "unix:///:secret@/run/r.sock",
	} {
		for _, args := range [][]string{{"bench"}, {"serve"}, {"call", "f"}} {
			redrpc(t, append(args, "--redis", url)...).want(t, exitUsage, "--redis: expected a URL such as")
			redrpcIn(t, t.Context(), map[string]string{"REDIS_URL": url}, args...).want(t, exitUsage, "REDIS_URL: expected a URL such as")
		}
		if strings.HasPrefix(url, "redis://h") {
			continue // as a word by itself it is not recognised everywhere
		}
		for _, args := range [][]string{
			{url}, {"bench", url}, {"broker", url}, {"version", url}, {"help", url}, {"help", "bench", url}, {"completion", url}, {"completion", "bash", url},
			{"bench", "-c", url}, {"bench", "--func", url}, {"call", "f", url}, {"call", "f", "a:=" + url},
			{"bench", "--" + url}, {"bench", "-" + url}, {"--" + url},
		} {
			if strings.Contains(url, "@") || strings.Contains(url, "//") {
				if r := redrpc(t, args...); r.code != exitUsage {
					t.Errorf("%q: exit code %d, expected %d", args, r.code, exitUsage)
				}
			}
		}
	}
}

// A server that does not know a command quotes what came with it.
func TestPasswordsInRepliesAreNotPrinted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			for n := 0; n < 10; n++ { // far more than it is sent
				if _, err := fmt.Fprintf(conn, "-ERR unknown command, with args beginning with: 'secret'\r\n"); err != nil {
					break
				}
			}
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Log(err)
			}
			conn.Close()
		}
	}()
	r := redrpc(t, "call", "f", "--redis", "redis://u:secret@"+l.Addr().String())
	r.want(t, exitFailed, "Redis at redis://"+l.Addr().String())
	l.Close()
	<-ended
}

// A server that cannot be reached is an error within the timeout, with exit code 1.
func TestUnreachable(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() }) // after the parallel subtests
	for _, c := range []struct{ url, want string }{
		{"redis://:secret@" + closed.Addr().String(), "connection refused"},
		{"unix:///nonexistent/redis.sock", "no such file"},
		{"redis://:secret@" + silent.Addr().String(), "no answer within 2s"},
		{"rediss://:secret@" + silent.Addr().String(), "no answer within 2s; a port that does not speak TLS does not answer a rediss:// URL either"},
	} {
		for _, args := range [][]string{{"bench"}, {"call", "echo", "x=1"}, {"serve"}} {
			t.Run(args[0]+" "+c.url[:8], func(t *testing.T) {
				t.Parallel()
				r := redrpc(t, append(args, "--redis", c.url)...)
				r.want(t, exitFailed, "cannot reach Redis at ", c.want)
				if r.stdout != "" {
					t.Errorf("stdout: %s", r.stdout)
				}
			})
		}
	}
}

// Connecting takes no longer than a call may.
func TestUnreachableWithinTheTimeout(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	redrpc(t, "call", "f", "--timeout", "50ms", "--redis", "redis://"+silent.Addr().String()).want(t, exitFailed, "no answer within 50ms")
}

// The same short run works however the Redis is reached.
func TestWaysToConnect(t *testing.T) {
	dir := t.TempDir()
	authority := newAuthority(t, dir)
	serverCert, serverKey := authority.issue(t, dir, "server")
	clientCert, clientKey := authority.issue(t, dir, "client")
	port := freePort(t)
	server := redistest.Start(t, "--requirepass", "secret", "--tls-port", fmt.Sprint(port),
		"--tls-ca-cert-file", authority.file, "--tls-cert-file", serverCert, "--tls-key-file", serverKey)
	short := []string{"--calls", "50", "--concurrency", "5", "--warmup", "0s"}
	tlsURL := fmt.Sprintf("rediss://:secret@127.0.0.1:%d/1", port)

	for _, c := range []struct {
		name string
		env  string
		args []string
		want string
	}{
		{"tcp", "", []string{"bench", "--redis", "redis://:secret@" + server.Addr}, ""},
		{"user and database", "", []string{"bench", "--redis", "redis://default:secret@" + server.Addr + "/3"}, ""},
		{"environment", "redis://:secret@" + server.Addr, []string{"bench"}, ""},
		{"the flag has precedence", "redis://127.0.0.1:1", []string{"bench", "--redis", "redis://:secret@" + server.Addr}, ""},
		{"unix", "", []string{"bench", "--redis", "unix://:secret@" + server.Socket}, ""},
		{"tls", "", []string{"bench", "--redis", tlsURL, "--tls-ca", authority.file, "--tls-cert", clientCert, "--tls-key", clientKey}, ""},
		{"tls without a certificate", "", []string{"bench", "--redis", tlsURL, "--tls-ca", authority.file}, "cannot reach Redis at "},
		{"tls of an unknown authority", "", []string{"bench", "--redis", tlsURL}, "certificate"},
		{"no password", "", []string{"bench", "--redis", "redis://" + server.Addr}, ": NOAUTH"},
		{"wrong password", "", []string{"bench", "--redis", "redis://:secret2@" + server.Addr}, "refused by Redis at "},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := redrpcIn(t, t.Context(), map[string]string{"REDIS_URL": c.env}, append(c.args, short...)...)
			if c.want == "" {
				r.want(t, exitOK)
			} else {
				r.want(t, exitFailed, c.want)
			}
		})
	}
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// An authority signs certificates.
type authority struct {
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, dir string) *authority {
	a := &authority{}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	var der []byte
	der, a.key = a.sign(t, a.cert)
	a.file = writePEM(t, dir, "ca.pem", "CERTIFICATE", der)
	return a
}

// issue makes a certificate for host names, or for 127.0.0.1 if there are none.
func (a *authority) issue(t *testing.T, dir, name string, hosts ...string) (certFile, keyFile string) {
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), DNSNames: hosts,
	}
	if len(hosts) == 0 {
		cert.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, key := a.sign(t, cert)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, dir, name+".pem", "CERTIFICATE", der), writePEM(t, dir, name+".key", "PRIVATE KEY", keyDER)
}

// sign signs with the authority's key, or with the new one if it has none yet.
func (a *authority) sign(t *testing.T, cert *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	by := a.key
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func writePEM(t *testing.T, dir, name, kind string, der []byte) string {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"redrpc/internal/redistest"
)

// Every command says why Redis does not take its connection.
func TestRefusedByMaxClients(t *testing.T) {
	dir := t.TempDir()
	authority := newAuthority(t, dir)
	cert, key := authority.issue(t, dir, "server")
	port := freePort(t)
	server := redistest.Start(t, "--tls-port", fmt.Sprint(port), "--tls-ca-cert-file", authority.file, "--tls-cert-file", cert, "--tls-key-file", key)
	rdb := connectTo(t, "redis://"+server.Addr)
	if err := rdb.ConfigSet(t.Context(), "maxclients", "1").Err(); err != nil { // which it is
		t.Fatal(err)
	}
	const reason = "ERR max number of clients reached"
	for _, url := range []string{"redis://" + server.Addr, "redis://:secret@" + server.Addr, "redis://" + server.Addr + "/1", "unix://" + server.Socket} {
		for _, args := range [][]string{{"call", "echo", "x=1"}, {"call", "--async", "echo", "x=1"}, {"serve"}, {"servers"}, {"queues"}, {"top"}, {"bench"}} {
			r := redrpc(t, append(args, "--redis", url)...)
			r.want(t, exitFailed, "refused by Redis at ", reason)
			if strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("%q: %s", args, r.stderr)
			}
		}
	}
	redrpc(t, "servers", "--redis", fmt.Sprintf("rediss://127.0.0.1:%d", port), "--tls-ca", authority.file).
		want(t, exitFailed, "it closed the connection; before TLS is set up Redis gives no reason, which may be that maxclients is reached")
	// Whoever connects first is taken, but not who calls.
	if err := rdb.ConfigSet(t.Context(), "maxclients", "2").Err(); err != nil {
		t.Fatal(err)
	}
	redrpc(t, "call", "echo", "x=1", "--redis", "redis://"+server.Addr).want(t, exitFailed, "not sent: ", reason)
}

// Only an error that Redis sends first, and last, is why it closed a connection.
func TestRefusals(t *testing.T) {
	reset := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	for _, c := range []struct {
		name  string
		reads []string
		end   error
		want  string
	}{
		{"maxclients", []string{"-ERR max number of clients reached\r\n"}, io.EOF, "ERR max number of clients reached"},
		{"in pieces", []string{"-", "DENIED Redis is running in protected mode\r", "\n"}, reset, "DENIED Redis is running in protected mode"},
		{"with the password", []string{"-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'u' 'secret'\r\n"}, io.EOF, "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'u' '***'"},
		{"nothing", nil, io.EOF, "EOF"},
		{"half a line", []string{"-ERR max"}, reset, reset.Error()},
		{"no error", []string{"+PONG\r\n"}, io.EOF, "EOF"},
		{"a reply after it", []string{"-ERR unknown command 'HELLO'\r\n", "+OK\r\n"}, io.EOF, "EOF"},
		{"two errors", []string{"-ERR unknown command 'HELLO'\r\n-ERR unknown command 'CLIENT'\r\n"}, io.EOF, "EOF"},
		{"a late error", []string{"+OK\r\n", "-ERR max number of clients reached\r\n"}, io.EOF, "EOF"},
		{"endless", []string{"-" + strings.Repeat("x", mostRefusal), "x\r\n"}, io.EOF, "EOF"},
		{"still open", []string{"-ERR unknown command 'HELLO'\r\n"}, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded.Error()},
		{"closed here", []string{"-ERR unknown command 'HELLO'\r\n"}, net.ErrClosed, net.ErrClosed.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := greeted(c.reads, c.end)
			for range c.reads {
				if _, err := conn.Read(make([]byte, 8<<10)); err != nil {
					t.Fatal(err)
				}
			}
			_, err := conn.Write([]byte("PING\r\n"))
			if err == nil || err.Error() != c.want {
				t.Errorf("a write after it: got %v, expected %s", err, c.want)
			}
			_, err = conn.Read(make([]byte, 100))
			if err == nil || err.Error() != c.want || errors.As(err, new(refusal)) != (c.want != c.end.Error()) {
				t.Errorf("a read after it: got %v, expected %s", err, c.want)
			}
			if c.end == io.EOF || c.end == reset { // closed before anything was read
				conn := greeted(c.reads, c.end)
				if _, err := conn.Write([]byte("PING\r\n")); err == nil || err.Error() != c.want {
					t.Errorf("a write before it: got %v, expected %s", err, c.want)
				}
			}
		})
	}
}

func greeted(reads []string, end error) *greetedConn {
	return &greetedConn{Conn: &scripted{reads: reads, end: end}, clean: func(reply string) string { return strings.ReplaceAll(reply, "secret", "***") }}
}

// A scripted connection gives what it is told to, and then an error.
type scripted struct {
	net.Conn
	reads []string
	end   error
}

func (s *scripted) Read(p []byte) (int, error) {
	if len(s.reads) == 0 {
		return 0, s.end
	}
	n := copy(p, s.reads[0])
	s.reads = s.reads[1:]
	return n, nil
}

func (s *scripted) Write([]byte) (int, error)       { return 0, s.end }
func (s *scripted) SetReadDeadline(time.Time) error { return nil }

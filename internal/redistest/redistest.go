// Package redistest starts real redis-server processes for tests.
//
// A test that needs a program which this machine lacks is skipped, and says
// which one. Where REDRPC_REQUIRE names the program (or is "all"), its absence
// is a failure instead: CI sets it, so that no suite goes missing unnoticed.
package redistest

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is the limit for what has to happen, however busy the machine is.
const patience = time.Minute

// Server is a running redis-server. It keeps nothing on disk, unless its options say so.
type Server struct {
	Addr   string // 127.0.0.1:PORT
	Socket string // path of its Unix socket
	path   string // of the program
	args   []string
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start runs a redis-server on a free port of 127.0.0.1 and on a Unix socket
// until the test ends. args are further redis-server options, such as
// "--requirepass", "secret".
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	path := Program(t, "redis-server")
	var log strings.Builder
	for range 5 { // the port may be taken between choosing and binding it
		s, err := prepare(path, t.TempDir(), args)
		if err == nil {
			err = s.start(t, &log)
		}
		if err == nil {
			t.Cleanup(s.Stop)
			return s
		}
		fmt.Fprintf(&log, "%v\n", err)
	}
	t.Fatalf("redis-server did not start:\n%s", log.String())
	return nil
}

// TCPAddr is Addr for package net.
func (s *Server) TCPAddr() net.Addr {
	addr, err := net.ResolveTCPAddr("tcp", s.Addr)
	if err != nil {
		panic(err) // Addr is an IP address and a port
	}
	return addr
}

// prepare chooses a port.
func prepare(path, dir string, args []string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{
		Addr:   fmt.Sprintf("127.0.0.1:%d", port),
		Socket: filepath.Join(dir, "redis.sock"),
		path:   path,
	}
	s.args = append([]string{
		"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--unixsocket", s.Socket,
		"--save", "", "--appendonly", "no", "--dir", dir,
	}, args...)
	return s, nil
}

// start starts the process and waits until it is ready.
func (s *Server) start(t testing.TB, log *strings.Builder) error {
	s.cmd, s.exited = exec.Command(s.path, s.args...), make(chan struct{})
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	s.cmd.Stderr = s.cmd.Stdout
	if err := StartProgram(t, s.cmd); err != nil {
		return err
	}
	ready, exited := make(chan bool, 1), s.exited
	go func() {
		defer close(exited)
		told := false
		lines := bufio.NewScanner(out)
		for lines.Scan() { // to the end, so that the server never blocks on a full pipe
			if told {
				continue
			}
			fmt.Fprintln(log, lines.Text())
			if strings.Contains(lines.Text(), "Ready to accept connections") || strings.Contains(lines.Text(), "+monitor master") {
				told = true
				ready <- true
			}
		}
		if !told {
			ready <- false
		}
		_ = s.cmd.Wait() // the exit status of a server that was killed says nothing
	}()
	select {
	case ok := <-ready:
		if ok {
			return nil
		}
		<-s.exited
		return fmt.Errorf("redis-server on %s exited", s.Addr)
	case <-time.After(patience):
		s.Stop()
		return fmt.Errorf("redis-server on %s was not ready within %v", s.Addr, patience)
	}
}

// Restart starts the server again at its place, with its arguments and what it has on disk. It
// has to be stopped. If somebody has taken its port meanwhile it waits a while.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		var log strings.Builder
		err := s.start(t, &log)
		if err == nil {
			return
		}
		if !strings.Contains(log.String(), "Address already in use") || time.Since(begun) > patience {
			t.Fatalf("%v:\n%s", err, log.String())
		}
	}
}

// Stop kills the server and waits until it is gone. What it has not on disk is lost.
func (s *Server) Stop() {
	_ = s.cmd.Process.Kill() // fails only if it is gone already
	<-s.exited
}

// freePort returns a port that nobody has now. It is below those that systems give to
// connections, of which tests make many: a server that is restarted finds it free.
func freePort() (port int, err error) {
	for range 50 {
		port = 20_000 + rand.N(12_000)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

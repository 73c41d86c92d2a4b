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
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// RequireEnv names the environment variable that lists, separated by commas,
// the programs whose absence fails a test.
const RequireEnv = "REDRPC_REQUIRE"

// Server is a running redis-server that keeps nothing on disk.
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
			err = s.start(&log)
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
func (s *Server) start(log *strings.Builder) error {
	s.cmd, s.exited = exec.Command(s.path, s.args...), make(chan struct{})
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	s.cmd.Stderr = s.cmd.Stdout
	if err := s.cmd.Start(); err != nil {
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
	case <-time.After(10 * time.Second):
		s.Stop()
		return fmt.Errorf("redis-server on %s was not ready within 10 s", s.Addr)
	}
}

// Restart starts the server again at its place, with its arguments and no data. It
// has to be stopped.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	var log strings.Builder
	if err := s.start(&log); err != nil {
		t.Fatalf("%v:\n%s", err, log.String())
	}
}

// Stop kills the server and waits until it is gone. Its data is lost.
func (s *Server) Stop() {
	_ = s.cmd.Process.Kill() // fails only if it is gone already
	<-s.exited
}

// Program returns the path of a program that the test needs, or ends the test:
// skipped, or failed where RequireEnv asks for it.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name)
	}
	return path
}

// Python returns a python3 that can import a module, or ends the test like Program. What
// is missing is Debian's package of the module, such as python3-redis.
func Python(t testing.TB, module string) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if path, err := exec.LookPath(name); err == nil && exec.Command(path, "-c", "import "+module).Run() == nil {
			return path
		}
	}
	Missing(t, "python3-"+strings.ReplaceAll(module, "_", "-"))
	return ""
}

// Missing ends a test that needs what this machine lacks.
func Missing(t testing.TB, name string) {
	t.Helper()
	required := strings.Split(os.Getenv(RequireEnv), ",")
	if slices.Contains(required, name) || slices.Contains(required, "all") {
		t.Fatalf("%s is not installed, and %s=%s says that it must be", name, RequireEnv, os.Getenv(RequireEnv))
	}
	t.Skipf("LEFT OUT: %s is not installed", name)
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

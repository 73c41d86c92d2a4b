package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	natsserver "github.com/nats-io/nats-server/v2/server"
)

// The servers, in the order of the page's columns.
const (
	brokerServer = "broker"
	redisServer  = "redis-server"
	miniServer   = "miniredis"
	natsServer   = "nats-server" // of the other page
)

var servers = []string{brokerServer, redisServer, miniServer}

// A server is a process that listens on a loopback port.
type server struct {
	name string
	addr string
	cmd  *exec.Cmd
}

// startServer starts a server on serverCPU. command is the path of redrpc, dir a
// directory for what redis-server may want to write.
func startServer(name, command, dir string) (*server, error) {
	return startServerOn(serverCPU, name, command, dir)
}

// startServerOn starts a server on the processors of a list, all if it is empty.
func startServerOn(cpus, name, command, dir string) (*server, error) {
	var args []string
	port := 0
	switch name {
	case brokerServer:
		args = []string{command, "broker", "--addr", "127.0.0.1:0", "--maxclients", "20000"}
	case miniServer, natsServer:
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		args = []string{self, map[string]string{miniServer: "-miniredis", natsServer: "-nats"}[name]}
	case redisServer:
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		port = l.Addr().(*net.TCPAddr).Port
		l.Close()
		args = []string{"redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1",
			"--save", "", "--appendonly", "no", "--daemonize", "no", "--maxclients", "20000", "--dir", dir}
	}
	if cpus != "" {
		args = append([]string{"taskset", "-c", cpus}, args...)
	}
	s := &server{name: name, cmd: exec.Command(args[0], args[1:]...)}
	s.cmd.Stderr = os.Stderr
	if port != 0 {
		s.addr = "127.0.0.1:" + strconv.Itoa(port)
		if err := s.cmd.Start(); err != nil {
			return nil, err
		}
	} else {
		stdout, err := s.cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := s.cmd.Start(); err != nil {
			return nil, err
		}
		line, err := bufio.NewReader(stdout).ReadString('\n')
		if err != nil {
			s.stop()
			return nil, fmt.Errorf("%s did not say where it listens: %w", name, err)
		}
		s.addr = strings.TrimPrefix(strings.TrimSpace(line), "redis://")
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			conn.Close()
			return s, nil
		}
		if time.Now().After(deadline) {
			s.stop()
			return nil, fmt.Errorf("%s does not answer: %w", name, err)
		}
	}
}

// stop ends the process, and waits for it.
func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended
	kill := time.AfterFunc(5*time.Second, func() { s.cmd.Process.Kill() })
	defer kill.Stop()
	s.cmd.Wait() // a server that was ended by a signal has failed, and is not to be blamed
}

// cpu is the processor time that the server has used.
func (s *server) cpu() (time.Duration, error) { return cpuOf(s.cmd.Process.Pid) }

// cpuOf is the processor time that a process has used.
func cpuOf(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The fields behind the name, which may hold spaces; 14 and 15 are user and system
	// time in hundredths of a second, see proc(5).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

// serveNATS is a nats-server, which is a library, too.
func serveNATS() error {
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(5 * time.Second) {
		return errors.New("nats-server did not start")
	}
	fmt.Println(s.Addr())
	waitForEnd()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// serveMiniredis is the peer that is a library, as a program.
func serveMiniredis() error {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return err
	}
	defer m.Close()
	fmt.Println(m.Addr())
	waitForEnd()
	return nil
}

func waitForEnd() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, os.Interrupt)
	<-end
}

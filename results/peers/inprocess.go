package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"golang.org/x/sys/unix"

	"redrpc/broker"
)

// memory is what a server keeps for one of a thing. For the servers in this
// process it is the growth of heap and stacks, each after a garbage collection;
// for redis-server that of used_memory.
type memory struct {
	Server string  `json:"server"`
	What   string  `json:"what"`
	N      int     `json:"n"`
	Bytes  float64 `json:"bytes_each"`
}

const (
	anElement          = "100-byte list element"
	aTCPConnection     = "idle TCP connection"
	aMemoryConnection  = "idle connection in memory"
	firstPongInMemory  = "in memory"
	firstPongOverTCP   = "over TCP"
	thousandBrokers    = 1000
	elementsInOneBatch = 100
)

// starting is the time from nothing to the first PONG.
type starting struct {
	Server    string  `json:"server"`
	Transport string  `json:"transport"`
	N         int     `json:"n"`
	Median    float64 `json:"median_us"`
	P99       float64 `json:"p99_us"`
}

// thousand is the time to start 1,000 brokers, each with a client that has had its
// PONG, and to stop them.
type thousand struct {
	Transport string  `json:"transport"`
	Start     float64 `json:"start_ms"`
	Stop      float64 `json:"stop_ms"`
}

// allocations are those of a command, through a connection in memory.
type allocations struct {
	Command string  `json:"command"`
	Each    float64 `json:"allocs_each"`
}

// inProcess measures the servers that are libraries.
func (r *results) inProcess(p plan) error {
	for _, step := range []func(plan) error{r.startBroker, r.startMany, r.brokerMemory, r.miniMemory, r.countAllocations} {
		if err := step(p); err != nil {
			return err
		}
	}
	return nil
}

func (r *results) brokerMemory(p plan) error {
	b, err := broker.New(broker.Options{})
	if err != nil {
		return err
	}
	defer b.Close()
	at, err := b.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	conn, err := b.Dial(context.Background(), "", "")
	if err != nil {
		return err
	}
	defer conn.Close()
	note := func(what string, n int, grow func() (io.Closer, error)) error {
		before := inUse()
		kept, err := grow()
		if err != nil {
			return err
		}
		r.Memory = append(r.Memory, memory{brokerServer, what, n, each(before, inUse(), n)})
		return kept.Close()
	}
	if err := note(anElement, p.Elements, func() (io.Closer, error) { return conn, fill(conn, p.Elements) }); err != nil {
		return err
	}
	if err := note(aTCPConnection, p.Idle, func() (io.Closer, error) { return openIdle(at.String(), p.Idle) }); err != nil {
		return err
	}
	return note(aMemoryConnection, p.Idle, func() (io.Closer, error) {
		var conns closers
		for range p.Idle {
			conn, err := b.Dial(context.Background(), "", "")
			if err != nil {
				return nil, err
			}
			conns = append(conns, conn)
			if err := pingPong(conn); err != nil {
				return nil, err
			}
		}
		return conns, nil
	})
}

func (r *results) miniMemory(p plan) error {
	m, err := miniredis.Run()
	if err != nil {
		return err
	}
	defer m.Close()
	conn, err := net.Dial("tcp", m.Addr())
	if err != nil {
		return err
	}
	defer conn.Close()
	before := inUse()
	if err := fill(conn, p.Elements); err != nil {
		return err
	}
	after := inUse()
	r.Memory = append(r.Memory, memory{miniServer, anElement, p.Elements, each(before, after, p.Elements)})
	idle, err := openIdle(m.Addr(), p.Idle)
	if err != nil {
		return err
	}
	r.Memory = append(r.Memory, memory{miniServer, aTCPConnection, p.Idle, each(after, inUse(), p.Idle)})
	return idle.Close()
}

// redisMemory is for the server that is a process.
func (r *results) redisMemory(p plan, dir string) error {
	s, err := startServer(redisServer, "", dir)
	if err != nil {
		return err
	}
	defer s.stop()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	empty, err := usedMemory(conn)
	if err != nil {
		return err
	}
	if err := fill(conn, p.Elements); err != nil {
		return err
	}
	full, err := usedMemory(conn)
	if err != nil {
		return err
	}
	idle, err := openIdle(s.addr, p.Idle)
	if err != nil {
		return err
	}
	time.Sleep(4 * time.Second) // it takes buffers back from clients that have been idle for 2 s
	connected, err := usedMemory(conn)
	if err != nil {
		return err
	}
	r.Memory = append(r.Memory,
		memory{redisServer, anElement, p.Elements, each(empty, full, p.Elements)},
		memory{redisServer, aTCPConnection, p.Idle, each(full, connected, p.Idle)})
	return idle.Close()
}

// each is the share that one of n has in a growth.
func each(before, after int64, n int) float64 { return digits(float64(after-before)/float64(n), 1) }

// inUse is the memory of heap and stacks that is in use after a garbage
// collection; pools are emptied by the second.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// fill appends n elements of 100 bytes to a list.
func fill(conn net.Conn, n int) error {
	batch := bytes.Repeat(encode("RPUSH", "list", strings.Repeat("x", valueSize)), elementsInOneBatch)
	return exchange(conn, slices.Repeat([][]byte{batch}, n/elementsInOneBatch), elementsInOneBatch)
}

// usedMemory asks redis-server.
func usedMemory(conn net.Conn) (int64, error) {
	if _, err := conn.Write(encode("INFO", "memory")); err != nil {
		return 0, err
	}
	r := bufio.NewReader(conn)
	var size, n int64
	if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
		return 0, err
	}
	text := make([]byte, size+2)
	if _, err := io.ReadFull(r, text); err != nil {
		return 0, err
	}
	_, used, _ := strings.Cut(string(text), "\nused_memory:")
	_, err := fmt.Sscanf(used, "%d", &n)
	return n, err
}

// closers are closed together.
type closers []io.Closer

func (all closers) Close() error {
	for _, c := range all {
		c.Close() // of no interest once the memory has been measured
	}
	return nil
}

// A descriptor is a socket outside of the Go runtime, so that the memory which is
// measured is the server's alone.
type descriptor int

func (d descriptor) Close() error                { return unix.Close(int(d)) }
func (d descriptor) Read(p []byte) (int, error)  { return unix.Read(int(d), p) }
func (d descriptor) Write(p []byte) (int, error) { return unix.Write(int(d), p) }

// openIdle opens n connections which have each had a PONG.
func openIdle(addr string, n int) (closers, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	to := &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}
	all := make(closers, 0, n)
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		all = append(all, descriptor(fd))
		if err := unix.Connect(fd, to); err != nil {
			return nil, err
		}
		if err := pingPong(descriptor(fd)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

var pingRequest = encode("PING")

func pingPong(conn io.ReadWriter) error {
	if _, err := conn.Write(pingRequest); err != nil {
		return err
	}
	var buf [16]byte
	n, err := conn.Read(buf[:])
	if err == nil && string(buf[:n]) != "+PONG\r\n" {
		err = fmt.Errorf("expected a PONG, got %q", buf[:n])
	}
	return err
}

// startBroker measures how long a broker takes to answer, from nothing, and how
// long miniredis does.
func (r *results) startBroker(p plan) error {
	for _, c := range []struct {
		server, transport string
		start             func() (io.Closer, error)
	}{
		{brokerServer, firstPongInMemory, func() (io.Closer, error) { return startInMemory() }},
		{brokerServer, firstPongOverTCP, func() (io.Closer, error) { return startOverTCP() }},
		{miniServer, firstPongOverTCP, func() (io.Closer, error) { return startMini() }},
	} {
		took := make([]float64, p.Starts)
		for i := range took {
			began := time.Now()
			s, err := c.start()
			took[i] = digits(time.Since(began).Seconds()*1e6, 1)
			if err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
		}
		slices.Sort(took)
		r.Starting = append(r.Starting, starting{c.server, c.transport, p.Starts, took[len(took)/2], took[len(took)*99/100]})
	}
	return nil
}

// A started server has a client that has had its PONG.
type started struct {
	client net.Conn
	stop   func() error
}

func (s started) Close() error {
	s.client.Close()
	return s.stop()
}

func startInMemory() (started, error) {
	b, err := broker.New(broker.Options{})
	if err != nil {
		return started{}, err
	}
	conn, err := b.Dial(context.Background(), "", "")
	if err != nil {
		return started{}, err
	}
	return started{conn, b.Close}, pingPong(conn)
}

func startOverTCP() (started, error) {
	b, err := broker.New(broker.Options{})
	if err != nil {
		return started{}, err
	}
	at, err := b.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return started{}, err
	}
	conn, err := net.Dial("tcp", at.String())
	if err != nil {
		return started{}, err
	}
	return started{conn, b.Close}, pingPong(conn)
}

func startMini() (started, error) {
	m, err := miniredis.Run()
	if err != nil {
		return started{}, err
	}
	conn, err := net.Dial("tcp", m.Addr())
	if err != nil {
		return started{}, err
	}
	return started{conn, func() error { m.Close(); return nil }}, pingPong(conn)
}

// startMany starts many brokers, which are there at the same time, and stops them.
func (r *results) startMany(plan) error {
	for _, c := range []struct {
		transport string
		start     func() (started, error)
	}{{firstPongInMemory, startInMemory}, {firstPongOverTCP, startOverTCP}} {
		began := time.Now()
		all := make([]started, thousandBrokers)
		for i := range all {
			var err error
			if all[i], err = c.start(); err != nil {
				return err
			}
		}
		running := time.Now()
		for _, s := range all {
			if err := s.Close(); err != nil {
				return err
			}
		}
		r.Thousand = append(r.Thousand, thousand{c.transport,
			digits(running.Sub(began).Seconds()*1e3, 1), digits(time.Since(running).Seconds()*1e3, 1)})
	}
	return nil
}

// countAllocations counts what the commands of the hot path allocate, from the
// client's Write to its Read.
func (r *results) countAllocations(plan) error {
	s, err := startInMemory()
	if err != nil {
		return err
	}
	defer s.Close()
	value := strings.Repeat("x", valueSize)
	buf := make([]byte, 4<<10)
	for _, c := range []struct {
		name   string
		before []byte
		run    [][]byte
	}{
		{"PING", nil, [][]byte{encode("PING")}},
		{"GET", encode("SET", "key", value), [][]byte{encode("GET", "key")}},
		{"SET of an existing key", encode("SET", "key", value), [][]byte{encode("SET", "key", value)}},
		{"RPUSH and LPOP", encode("RPUSH", "list", value), [][]byte{encode("RPUSH", "list", value), encode("LPOP", "list")}},
	} {
		send := func(request []byte) {
			s.client.Write(request)
			s.client.Read(buf)
		}
		if c.before != nil {
			send(c.before)
		}
		each := testing.AllocsPerRun(10_000, func() {
			for _, request := range c.run {
				send(request)
			}
		})
		r.Allocs = append(r.Allocs, allocations{c.name, each})
	}
	return nil
}

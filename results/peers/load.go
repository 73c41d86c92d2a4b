package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What a server takes of memory under loads that are extreme: the broker as a process of its
// own, and redis-server. Each load has a server that was started for it.

// A loadCase is such a load.
type loadCase struct {
	name    string
	keys    int                    // keys that are there before
	configs []string               // settings, NAME VALUE
	run     func(*underLoad) error // returns when the most is held
	end     func(*underLoad) error // gives everything up; nil: the connections are closed, and no more

	times float64 // what it costs redis-server it may cost at most; 0: loadTimes
}

const (
	fullKeys       = 1_000_000
	keyFormat      = "key:%010d"
	longList       = 10_000_000
	longPipeline   = 1_000_000
	manyClients    = 10_000
	churned        = 50_000
	churnedAtOnce  = 100
	largeValue     = 64 << 20
	unreadBytes    = 2 << 30
	bufferLimit    = 256 << 20
	pubsubLimit    = 32 << 20 // the default of both
	givenBackAfter = 15 * time.Second

	patienceUnderLoad = 5 * time.Minute
)

var loadCases = []loadCase{
	{name: "10,000 connections, a BLPOP in flight on each", run: blockMany},
	{name: "50,000 connections come and go, 100 at a time", run: churn},
	{name: "a value of 64 MiB: SET, GET", run: setLarge, end: flush},
	{name: "a list of 10 million elements", run: fillLong, end: flush},
	{name: "the same, and LRANGE of all", run: rangeLong, end: flush},
	{name: "1,000,000 commands in one pipeline", run: pipeline},
	{name: "2 GiB of replies of 1 MiB, not read", run: func(b *underLoad) error { return b.unread(1<<20, unreadBytes) }, end: readAll},
	{name: "1 GiB of replies of 100 bytes, not read", run: func(b *underLoad) error { return b.unread(valueSize, unreadBytes/2) }, end: readAll},
	{name: "replies without end, not read, at most 256 MiB", configs: []string{"client-output-buffer-limit normal 268435456 0 0"},
		run: func(b *underLoad) error { return b.unreadUntilClosed() }},
	{name: "messages without end, not read, at most 32 MiB", run: publishUntilClosed},
	{name: "a million keys", times: 2.5, run: func(b *underLoad) error { return b.setKeys(fullKeys) }, end: flush},
	{name: "KEYS of a million keys", keys: fullKeys, run: func(b *underLoad) error { return b.listKeys(1) }},
	{name: "KEYS of a million keys, 10 times, not read", keys: fullKeys, run: func(b *underLoad) error { return b.listKeysUnread(10) }, end: readAll},
}

// An underLoad is a server under load, and its clients.
type underLoad struct {
	*server
	conns []net.Conn
	slow  net.Conn // reads nothing until the end
	owed  int64    // how many bytes it will be sent
}

// borne is what a server took, in bytes of resident memory.
type borne struct {
	Server string  `json:"server"`
	Case   string  `json:"case"`
	Before int64   `json:"before"`
	Peak   int64   `json:"peak"`
	After  int64   `json:"after"` // some time after all was given up
	Took   float64 `json:"took_s"`
}

// bear starts a server and gives it a load.
func bear(name, command, dir string, c loadCase) (m borne, err error) {
	s, err := startServerOn("", name, command, dir)
	if err != nil {
		return borne{}, err
	}
	defer s.stop()
	b := &underLoad{server: s}
	defer b.disconnect()
	for _, config := range c.configs {
		name, value, _ := strings.Cut(config, " ")
		if err := b.do("CONFIG", "SET", name, value); err != nil {
			return borne{}, err
		}
	}
	if err := b.setKeys(c.keys); err != nil {
		return borne{}, err
	}
	b.disconnect()
	if c.keys > 0 {
		time.Sleep(givenBackAfter)
	}
	began := time.Now()
	m = borne{Server: name, Case: c.name}
	if m.Before, err = s.resident("VmRSS"); err != nil {
		return m, err
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), []byte("5"), 0); err != nil { // the peak is the size of now
		return m, err
	}
	if err := c.run(b); err != nil {
		return m, err
	}
	if c.end != nil {
		if err := c.end(b); err != nil {
			return m, err
		}
	}
	b.disconnect()
	if m.Peak, err = s.resident("VmHWM"); err != nil {
		return m, err
	}
	m.Took = digits(time.Since(began).Seconds(), 1)
	time.Sleep(givenBackAfter)
	m.After, err = s.resident("VmRSS")
	return m, err
}

// resident is a size of /proc/PID/status.
func (s *server) resident(name string) (int64, error) { return resident(s.cmd.Process.Pid, name) }

// dial opens one more connection.
func (b *underLoad) dial() (net.Conn, error) {
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patienceUnderLoad)) // fails only if it is closed
	b.conns = append(b.conns, conn)
	return conn, nil
}

func (b *underLoad) disconnect() {
	for _, conn := range b.conns {
		conn.Close()
	}
	b.conns = nil
}

// do sends a command and reads its reply.
func (b *underLoad) do(args ...string) error {
	conn, err := b.dial()
	if err != nil {
		return err
	}
	return exchange(conn, [][]byte{encode(args...)}, 1)
}

func flush(b *underLoad) error { return b.do("FLUSHALL") }

// setKeys makes so many keys with small values.
func (b *underLoad) setKeys(n int) error {
	return b.batches(n, func(i int) []byte { return encode("SET", fmt.Sprintf(keyFormat, i), "value") })
}

// batches sends so many commands, and reads their replies, 1,000 at a time.
func (b *underLoad) batches(n int, request func(i int) []byte) error {
	conn, err := b.dial()
	if err != nil {
		return err
	}
	const each = 1000
	for i := 0; i < n; i += each {
		var batch []byte
		for j := range each {
			batch = append(batch, request(i+j)...)
		}
		if err := exchange(conn, [][]byte{batch}, each); err != nil {
			return err
		}
	}
	return nil
}

// blockMany has a client wait on each of many connections, and then serves all.
func blockMany(b *underLoad) error {
	for i := range manyClients {
		conn, err := b.dial()
		if err != nil {
			return err
		}
		if _, err := conn.Write(encode("BLPOP", fmt.Sprint("list:", i), "0")); err != nil {
			return err
		}
	}
	waiting := b.conns
	for deadline := time.Now().Add(patienceUnderLoad); ; time.Sleep(10 * time.Millisecond) {
		info, err := b.info("clients")
		if err != nil {
			return err
		}
		if strings.Contains(info, fmt.Sprintf("\nblocked_clients:%d\r", manyClients)) {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not all clients are blocked: %s", info)
		}
	}
	if err := b.batches(manyClients, func(i int) []byte { return encode("RPUSH", fmt.Sprint("list:", i), "x") }); err != nil {
		return err
	}
	for _, conn := range waiting {
		if err := readReply(bufio.NewReaderSize(conn, 16)); err != nil {
			return err
		}
	}
	return nil
}

func (b *underLoad) info(section string) (string, error) {
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write(encode("INFO", section)); err != nil {
		return "", err
	}
	r := bufio.NewReader(conn)
	var size int
	if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
		return "", err
	}
	text := make([]byte, size)
	_, err = io.ReadFull(r, text)
	return string(text), err
}

// churn opens connections, and closes them when they have been answered: half of them with QUIT.
func churn(b *underLoad) error {
	var all sync.WaitGroup
	errs := make([]error, churnedAtOnce)
	for c := range errs {
		all.Go(func() {
			for i := range churned / churnedAtOnce {
				if errs[c] = b.visit(i%2 == 0); errs[c] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (b *underLoad) visit(quit bool) error {
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if quit {
		return exchange(conn, [][]byte{encode("PING"), encode("QUIT")}, 1)
	}
	return exchange(conn, [][]byte{encode("PING")}, 1)
}

func setLarge(b *underLoad) error {
	conn, err := b.dial()
	if err != nil {
		return err
	}
	return exchange(conn, [][]byte{encode("SET", "key", strings.Repeat("x", largeValue)), encode("GET", "key")}, 1)
}

func fillLong(b *underLoad) error {
	const each = 10
	return b.batches(longList/each, func(i int) []byte {
		args := []string{"RPUSH", "list"}
		for j := range each {
			args = append(args, fmt.Sprintf("element:%08d", i*each+j))
		}
		return encode(args...)
	})
}

func rangeLong(b *underLoad) error {
	if err := fillLong(b); err != nil {
		return err
	}
	return b.do("LRANGE", "list", "0", "-1")
}

// pipeline sends many commands before it reads a reply.
func pipeline(b *underLoad) error {
	conn, err := b.dial()
	if err != nil {
		return err
	}
	return exchange(conn, [][]byte{bytes.Repeat(encode("INCR", "counter"), longPipeline)}, longPipeline)
}

// unread asks for so many bytes of replies of a size, and reads none.
func (b *underLoad) unread(size, total int) error {
	if err := b.do("SET", "key", strings.Repeat("x", size)); err != nil {
		return err
	}
	return b.sendOnly(encode("GET", "key"), total/size, int64(size+len("$\r\n\r\n")+len(strconv.Itoa(size))))
}

// sendOnly sends a command so many times, each with a reply of so many bytes, and returns when
// the server has run all. No reply is read.
func (b *underLoad) sendOnly(command []byte, n int, size int64) (err error) {
	if b.slow, err = b.dial(); err != nil {
		return err
	}
	for each := 0; n > 0; n -= each {
		each = min(n, 10_000)
		b.owed += int64(each) * size
		if _, err := b.slow.Write(bytes.Repeat(command, each)); err != nil {
			return err
		}
	}
	if _, err := b.slow.Write(encode("RPUSH", "done", "x")); err != nil {
		return err
	}
	b.owed += int64(len(":1\r\n"))
	return b.do("BLPOP", "done", "0")
}

// readAll reads what the slow connection is owed.
func readAll(b *underLoad) error {
	_, err := io.CopyN(io.Discard, b.slow, b.owed)
	return err
}

// unreadUntilClosed asks for replies until the server closes the connection.
func (b *underLoad) unreadUntilClosed() error {
	if err := b.do("SET", "key", strings.Repeat("x", 1<<20)); err != nil {
		return err
	}
	conn, err := b.dial()
	if err != nil {
		return err
	}
	request := bytes.Repeat(encode("GET", "key"), unreadBytes>>20)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, err := conn.Write(request); err != nil {
			return nil // as it should be
		}
		request = pingRequest
	}
	return fmt.Errorf("%s has not closed a client that has %d bytes unread, with a limit of %d", b.name, unreadBytes, bufferLimit)
}

// publishUntilClosed sends to a subscriber that does not read until it is closed.
func publishUntilClosed(b *underLoad) error {
	slow, err := b.dial()
	if err != nil {
		return err
	}
	if _, err := slow.Write(encode("SUBSCRIBE", "news")); err != nil {
		return err
	}
	publisher, err := b.dial()
	if err != nil {
		return err
	}
	r := bufio.NewReader(publisher)
	message := encode("PUBLISH", "news", strings.Repeat("x", 64<<10))
	subscribed := false
	for range unreadBytes >> 16 {
		if _, err := publisher.Write(message); err != nil {
			return err
		}
		reply, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		switch {
		case reply == ":1\r\n":
			subscribed = true
		case subscribed:
			return nil // the subscriber is gone
		}
	}
	return fmt.Errorf("%s has not closed a subscriber that has %d bytes unread, with a limit of %d", b.name, unreadBytes, pubsubLimit)
}

// listKeys asks for all keys so many times, and reads the replies.
func (b *underLoad) listKeys(n int) error {
	conn, err := b.dial()
	if err != nil {
		return err
	}
	for range n {
		if err := exchange(conn, [][]byte{encode("KEYS", "*")}, 1); err != nil {
			return err
		}
	}
	return nil
}

// listKeysUnread reads none of them.
func (b *underLoad) listKeysUnread(n int) error {
	key := len(fmt.Sprintf(keyFormat, 0))
	return b.sendOnly(encode("KEYS", "*"), n, int64(len("*1000000\r\n")+fullKeys*(len("$14\r\n\r\n")+key)))
}

func loadFile(dir string) string { return filepath.Join(dir, "load.json") }

// loadResults are all that was measured, as it stands in load.json.
type loadResults struct {
	Machine machine `json:"machine"`
	Borne   []borne `json:"borne"`
	Held    []held  `json:"held"`
}

// measureLoad measures the loads whose names contain a text. What there is of others is kept.
func measureLoad(out, only string) error {
	var r loadResults
	if only != "" {
		var err error
		if r, err = readLoad(out); err != nil {
			return err
		}
	}
	if err := observed(&r.Machine, func() error { return r.measure(only) }); err != nil {
		return err
	}
	if err := writeData(loadFile(out), r); err != nil {
		return err
	}
	return writeLoadPage(out)
}

// callsCase is the one with calls of package rpc.
const callsCase = "10,000 calls of package rpc in flight"

func (r *loadResults) measure(only string) error {
	bin, err := os.MkdirTemp("", "peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	command, err := buildCommand(bin)
	if err != nil {
		return err
	}
	both := []string{redisServer, brokerServer}
	for _, c := range loadCases {
		if !strings.Contains(c.name, only) {
			continue
		}
		for _, name := range both {
			m, err := bear(name, command, bin, c)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c.name, name, err)
			}
			progress("%-46s %-12s before %4d MiB, peak +%4d, after %+5d, %.1f s", c.name, name, m.Before>>20, (m.Peak-m.Before)>>20, (m.After-m.Before)>>20, m.Took)
			r.Borne = append(slices.DeleteFunc(r.Borne, func(old borne) bool { return old.Case == m.Case && old.Server == m.Server }), m)
		}
	}
	if !strings.Contains(callsCase, only) {
		return nil
	}
	r.Held = nil
	for _, name := range both {
		all, err := holdCalls(name, command, bin)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", callsCase, name, err)
		}
		for _, h := range all {
			progress("%-46s %-12s %s: %.0f bytes a call, goroutines %d, %d, %d", callsCase, name, h.Process, h.BytesEach(), h.Before.Goroutines, h.During.Goroutines, h.After.Goroutines)
		}
		r.Held = append(r.Held, all...)
	}
	return nil
}

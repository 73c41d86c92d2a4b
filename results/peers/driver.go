package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fields are how many different ones of a hash are set and read.
const fields = 100_000

// script is what EVAL runs: two commands.
const script = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])"

// drive is a load generator of our own: a goroutine a connection, which writes a
// batch of commands and then reads their replies.
func drive(t tool, addr string, l load, n int) (map[string]float64, error) {
	conns := make([]net.Conn, l.Connections)
	for i := range conns {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience)) // fails only if it is closed
		conns[i] = conn
	}
	value := strings.Repeat("x", valueSize)
	rates := map[string]float64{}
	for _, c := range t.commands {
		var request func(i int) []byte // the command of that number
		field := func(i int) string { return fmt.Sprintf("field:%07d", i%fields) }
		switch c {
		case "SET":
			request = func(int) []byte { return encode(c, "driver:key", value) }
		case "RPUSH":
			request = func(int) []byte { return encode(c, "driver:list", value) }
		case "LPOP":
			request = func(int) []byte { return encode(c, "driver:list") }
		case "HSET":
			request = func(i int) []byte { return encode(c, "driver:hash", field(i), value) }
		case "HGET":
			request = func(i int) []byte { return encode(c, "driver:hash", field(i)) }
		case "SADD":
			request = func(i int) []byte { return encode(c, "driver:set", fmt.Sprintf("member:%07d", i)) }
		case "SPOP":
			request = func(int) []byte { return encode(c, "driver:set") }
		case "ZADD":
			request = func(i int) []byte {
				return encode(c, "driver:zset", strconv.Itoa(i*7919%1_000_003), fmt.Sprintf("member:%07d", i))
			}
		case "ZRANGE":
			request = func(i int) []byte { return encode(c, "driver:zset", strconv.Itoa(i), strconv.Itoa(i+9)) }
		case "EVAL":
			request = func(int) []byte { return encode(c, script, "1", "driver:key", value) }
		case "ZPOPMIN":
			request = func(int) []byte { return encode(c, "driver:zset") }
		case "XADD":
			if err := exchange(conns[0], [][]byte{encode("DEL", "driver:stream"), encode("XGROUP", "CREATE", "driver:stream", "group", "0", "MKSTREAM")}, 1); err != nil {
				return nil, err
			}
			request = func(int) []byte { return encode(c, "driver:stream", "0-*", "field", value) }
		case "XREADGROUP":
			request = func(int) []byte {
				return encode(c, "GROUP", "group", "consumer", "COUNT", "1", "STREAMS", "driver:stream", ">")
			}
		case "XACK":
			request = func(i int) []byte { return encode(c, "driver:stream", "group", fmt.Sprintf("0-%d", i+1)) }
		}
		requests := make([][]byte, n/l.Pipeline) // each has as many commands as are in flight
		for i := range n {
			requests[i/l.Pipeline] = append(requests[i/l.Pipeline], request(i)...)
		}
		each := len(requests) / len(conns)
		var wg sync.WaitGroup
		errs := make([]error, len(conns))
		begin := make(chan struct{})
		for i, conn := range conns {
			wg.Go(func() {
				all := requests[i*each : (i+1)*each]
				<-begin
				errs[i] = exchange(conn, all, l.Pipeline)
			})
		}
		began := time.Now()
		close(begin)
		wg.Wait()
		rates[c] = float64(n) / time.Since(began).Seconds()
		if err := errors.Join(errs...); err != nil {
			return nil, fmt.Errorf("%s: %w", c, err)
		}
	}
	return rates, nil
}

// exchange sends batches of so many commands, each after the replies to the last.
func exchange(conn net.Conn, batches [][]byte, commands int) error {
	r := bufio.NewReaderSize(conn, 8<<10)
	for _, batch := range batches {
		if _, err := conn.Write(batch); err != nil {
			return err
		}
		for range commands {
			if err := readReply(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// readReply reads a status, an integer, a bulk string or an array of them. An error or a null is an
// error: the loads have no use for them.
func readReply(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	switch line[0] {
	case '+', ':':
		return nil
	case '$':
		size, err := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
		if err == nil && size >= 0 {
			_, err = r.Discard(size + 2)
			return err
		}
	case '*':
		n, err := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
		if err == nil && n >= 0 {
			for ; n > 0 && err == nil; n-- {
				err = readReply(r)
			}
			return err
		}
	}
	return fmt.Errorf("expected a value, got %q", line)
}

// encode is a command as clients send it.
func encode(args ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

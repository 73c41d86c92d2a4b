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

// drive is a load generator of our own: a goroutine a connection, which writes a
// batch of commands and then reads their replies.
func drive(addr string, l load, n int) (map[string]float64, error) {
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
	for _, c := range commands {
		var request []byte
		switch c {
		case "SET":
			request = encode(c, "driver:key", value)
		case "RPUSH":
			request = encode(c, "driver:list", value)
		case "LPOP":
			request = encode(c, "driver:list")
		}
		batch := bytes.Repeat(request, l.Pipeline)
		var wg sync.WaitGroup
		errs := make([]error, len(conns))
		begin := make(chan struct{})
		for i, conn := range conns {
			wg.Go(func() {
				<-begin
				errs[i] = exchange(conn, batch, l.Pipeline, n/l.Connections/l.Pipeline)
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

// exchange sends a batch of commands again and again, each time after the replies
// to the last.
func exchange(conn net.Conn, batch []byte, commands, times int) error {
	r := bufio.NewReaderSize(conn, 8<<10)
	for range times {
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

// readReply reads a status, an integer or a bulk string. An error or a null is an
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

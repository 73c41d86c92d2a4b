//go:build unix

package broker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"redrpc/broker/internal/transport"
)

// How the differential test waits: for redis-server to have done what it was asked for,
// and for what time brings about.

// await waits until redis-server has done all that it was asked for and has sent
// every reply, and returns the lines of its list of clients.
//
// It does its work in rounds: it reads what has come in from all clients and
// runs it, and then writes to all of them. So a question that was sent after a
// command is answered in the same round as the command or later, and a second
// question in a round after that. Of much input it reads 16 KiB in a round.
func (b *round) await() []string {
	for ; b.unread >= 0; b.unread -= 16 << 10 {
		b.list(b.redis)
	}
	b.unread = 0
	for {
		list := b.list(b.redis)
		unsent := false
		for field := range strings.FieldsSeq(list) {
			name, n, _ := strings.Cut(field, "=")
			unsent = unsent || (name == "obl" || name == "oll") && n != "0"
		}
		if !unsent {
			return strings.Split(list, "\n")
		}
		for _, c := range b.clients { // a long reply has to be read for the rest to come
			c.redis.drain()
		}
	}
}

func (b *round) list(control *wire) string {
	question := []string{"CLIENT", "LIST", "ID"}
	for _, c := range b.clients {
		if c != nil {
			question = append(question, fmt.Sprint(c.id))
		}
	}
	if len(question) == 3 {
		return ""
	}
	control.send(b, question...)
	var size int
	if _, err := fmt.Fscanf(control.in, "$%d\r\n", &size); err != nil {
		b.Fatalf("%q: %v", question, err)
	}
	list := make([]byte, size+2)
	if _, err := io.ReadFull(control.in, list); err != nil {
		b.Fatalf("%q: %v", question, err)
	}
	return string(list[:size])
}

// soon is the time within which nothing is due but what the test waits for.
const soon = time.Second

// outlast lets time go on until all that was to happen soon has happened: timeouts,
// and the end of keys, which redis-server deletes for certain only when it comes
// across them.
func (b *round) outlast() {
	wait := b.subject.dueSoon()
	if n := b.subject.Stats().Expired; wait < 0 && n == b.ended {
		return
	}
	b.await()
	for ; wait >= 0; wait = b.subject.dueSoon() {
		time.Sleep(wait)
		b.list(b.broker)
	}
	time.Sleep(5 * time.Millisecond) // redis-server may have been late, and nothing is sooner than in 3 ms
	b.lists()
	for _, db := range append(databases, "0") {
		for _, w := range []*wire{b.redis, b.broker} {
			w.do(b, "SELECT", db)
			w.do(b, "SCAN", "0", "COUNT", "1000")
		}
	}
	b.ended = b.subject.Stats().Expired
}

// dueSoon is how long it is until something is due, if that is soon, else negative.
func (b *Broker) dueSoon() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.keys.Alarms.First(); a != nil && a.At < b.clock.read()+int64(soon) {
		return time.Duration(max(0, a.At-b.clock.read()))
	}
	return -1
}

// lists returns the lines of CLIENT LIST of both servers, when all blocked clients
// have timed out that are to do so soon. One that is blocked again by what it had
// sent behind has to be so in redis-server, too, and one that is closed has to be gone.
func (b *round) lists() (redis, broker []string) {
	for range 100 {
		redis, broker = b.await(), strings.Split(b.list(b.broker), "\n")
		in, ahead := waiting(redis), waiting(broker)
		behind := len(in) > len(ahead) || len(slices.DeleteFunc(slices.Clone(redis), isClosing)) > len(broker)
		for id, command := range in {
			behind = behind || ahead[id] != "" && ahead[id] != command
		}
		if !behind {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return redis, broker
}

// waiting returns in what the clients in a list are blocked, by their ids.
func waiting(lines []string) map[string]string {
	blocked := make(map[string]string)
	for _, line := range lines {
		if strings.Contains(flagsOf(line), "b") {
			id, _, _ := strings.Cut(line, " ")
			_, command, _ := strings.Cut(line, " cmd=")
			blocked[id], _, _ = strings.Cut(command, " ")
		}
	}
	return blocked
}

// flagsOf returns the flags in a line of CLIENT LIST.
func flagsOf(line string) string {
	_, flags, _ := strings.Cut(line, " flags=")
	flags, _, _ = strings.Cut(flags, " ")
	return flags
}

// isClosing reports whether a line of CLIENT LIST is about a client that is closed
// once it has been sent its answer.
func isClosing(line string) bool { return strings.Contains(flagsOf(line), "c") }

// A socketEnd is a client's end of a connection to redis-server.
type socketEnd struct {
	*net.UnixConn
	raw    syscall.RawConn
	in     []byte // what has been read and not been taken
	chunk  [16 << 10]byte
	closed bool
}

// drain reads what has arrived, without waiting.
func (s *socketEnd) drain() {
	chunk := s.chunk[:]
	for !s.closed {
		var n int
		var err error
		failed := s.raw.Read(func(fd uintptr) bool {
			n, err = syscall.Read(int(fd), chunk)
			return true
		})
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return
		case errors.Is(err, syscall.EINTR):
		case failed != nil || err != nil || n == 0:
			s.closed = true
		default:
			s.in = append(s.in, chunk[:n]...)
		}
	}
}

// take returns what has arrived, and whether the server has closed the
// connection.
func (s *socketEnd) take() (p []byte, closed bool) {
	s.drain()
	p, s.in = s.in, nil
	return p, s.closed
}

// takeFrom does the same as take of socketEnd.
func takeFrom(c *transport.MemoryClient) (p []byte, closed bool) {
	n, _, closed := c.Unread()
	p = make([]byte, n)
	if n > 0 {
		if _, err := io.ReadFull(c, p); err != nil && !errors.Is(err, os.ErrClosed) {
			panic(err) // it has been told that there is something to read
		}
	}
	return p, closed
}

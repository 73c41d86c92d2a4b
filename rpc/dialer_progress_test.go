package rpc

import (
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestProgressOfOldBytes: where no reply comes any more, what is written meanwhile and arrives
// does not put off the end of the connection. It did, for as long as calls were made.
func TestProgressOfOldBytes(t *testing.T) {
	begun := time.Now()
	at := func(seconds int) time.Time { return begun.Add(time.Duration(seconds) * time.Second) }
	for _, c := range []struct {
		name    string
		arrived []int64 // second by second
		want    int     // second of the last progress towards byte 1000
	}{
		{"all has arrived, and more", []int64{1000, 1500, 2000, 2500}, 0},
		{"a long message arrives slowly", []int64{100, 400, 700, 900}, 3},
		{"it arrives, and then what is behind it", []int64{100, 900, 1100, 1500, 2000}, 2},
		{"nothing arrives any more", []int64{100, 900, 900, 900}, 1},
	} {
		var conn conn
		for second, arrived := range c.arrived {
			conn.noteArrived(arrived, 1000, at(second))
		}
		if want := at(c.want); !conn.drained.Equal(want) {
			t.Errorf("%s: got the last progress after %v, want %v", c.name, conn.drained.Sub(begun), want.Sub(begun))
		}
	}
}

// An overdueConn times out once before it reads or writes, although it can.
type overdueConn struct {
	net.Conn
	readOverdue, writeOverdue bool
}

func (c *overdueConn) Read(p []byte) (int, error) {
	if c.readOverdue = !c.readOverdue; c.readOverdue {
		return 0, os.ErrDeadlineExceeded
	}
	return c.Conn.Read(p)
}

func (c *overdueConn) Write(p []byte) (int, error) {
	if c.writeOverdue = !c.writeOverdue; c.writeOverdue {
		return 0, os.ErrDeadlineExceeded
	}
	return c.Conn.Write(p)
}

// TestDeadlineOfAStoppedProcess: a deadline that passed while the process was stopped does not end
// a read for which something has come, nor a write for which there is room.
func TestDeadlineOfAStoppedProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // on a busy machine the echo might come too late
		ours, theirs := net.Pipe()
		var echoing sync.WaitGroup
		defer echoing.Wait()
		defer ours.Close()
		echoing.Go(func() { _, _ = io.Copy(theirs, theirs) }) // until it is closed
		c := &conn{Conn: &overdueConn{Conn: ours}, dialer: &dialer{writeTimeout: time.Minute}, patience: time.Minute}
		const text = "what comes back"
		if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
		b := make([]byte, len(text))
		if n, err := io.ReadFull(c, b); err != nil || string(b) != text {
			t.Errorf("read %q, %v", b[:n], err)
		}
	})
}

// TestDeadlineOfASocket: what has come on a socket is read although the deadline has passed, after
// which Go by itself does not look.
func TestDeadlineOfASocket(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	const text = "what has come"
	if _, err := io.WriteString(theirs, text+text); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(text))
	if _, err := io.ReadFull(ours, b); err != nil { // both have come
		t.Fatal(err)
	}
	c := &conn{Conn: ours, patience: time.Nanosecond} // which is over at once
	n, err := c.Read(b)
	for tries := 1; isTimeout(err) && tries < 10; tries++ { // a busy machine may be too late for the last look, too
		n, err = c.Read(b)
	}
	if err != nil || string(b) != text {
		t.Errorf("read %q, %v", b[:n], err)
	}
}

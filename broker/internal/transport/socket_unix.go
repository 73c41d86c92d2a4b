//go:build unix

package transport

import (
	"io"
	"sync"
	"syscall"
)

// readBuffers are shared by the connections, so that one which is idle has none.
var readBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// read passes on what the client sends, until the connection ends.
func (s *socket) read(receive func([]byte)) {
	if !s.direct {
		s.readPlainly(receive)
		return
	}
	var buf *[64 << 10]byte
	var n int
	var err error
	attempt := func(fd uintptr) (done bool) {
		buf = readBuffers.Get().(*[64 << 10]byte)
		n, err = retry(func() (int, error) { return syscall.Read(int(fd), buf[:]) })
		if n <= 0 {
			readBuffers.Put(buf)
		}
		return err != syscall.EAGAIN
	}
	for {
		if s.raw.Read(attempt) != nil || err != nil || n == 0 {
			return // EOF, or a connection that is of no more use
		}
		receive(buf[:n])
		readBuffers.Put(buf)
	}
}

// tryWrite writes as much as the client takes at once.
func (s *socket) tryWrite(p []byte) (n int, err error) {
	if !s.direct {
		return 0, nil
	}
	controlErr := s.raw.Write(func(fd uintptr) (done bool) {
		n, err = retry(func() (int, error) { return syscall.Write(int(fd), p) })
		return true
	})
	switch {
	case controlErr != nil:
		return 0, controlErr
	case err == syscall.EAGAIN:
		return 0, nil
	case err == nil && n == 0 && len(p) > 0:
		return 0, io.ErrNoProgress
	}
	return n, err
}

// retry repeats a system call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != syscall.EINTR {
			return n, err
		}
	}
}

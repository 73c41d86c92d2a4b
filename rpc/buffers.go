package rpc

import "sync"

// buffers are memory for messages, to be used again: what it saves is garbage
// collection, which is the dearer the more goroutines wait for results.
type buffers struct {
	mu    sync.Mutex // guards spare
	spare [][]byte
}

const (
	mostBuffers   = 1024
	biggestBuffer = 4 << 10
)

// get returns memory, or nil.
func (b *buffers) get() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := len(b.spare) - 1
	if last < 0 {
		return nil
	}
	m := b.spare[last]
	b.spare = b.spare[:last]
	return m
}

// put takes memory that nobody uses any more.
func (b *buffers) put(m []byte) {
	if cap(m) == 0 || cap(m) > biggestBuffer {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.spare) < mostBuffers {
		b.spare = append(b.spare, m)
	}
}

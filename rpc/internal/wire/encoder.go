package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"
)

// encoders are spare Encoders.
type Encoders struct{ spare sync.Pool }

// An Encoder encodes values like json.Marshal, but leaves <, > and & as they are:
// nobody reads a message as HTML.
type Encoder struct {
	out  bytes.Buffer
	json *json.Encoder
}

func NewEncoder() *Encoder {
	e := new(Encoder)
	e.json = json.NewEncoder(&e.out)
	e.json.SetEscapeHTML(false)
	return e
}

func (es *Encoders) Get() *Encoder {
	if e, ok := es.spare.Get().(*Encoder); ok {
		return e
	}
	return NewEncoder()
}

func (es *Encoders) Put(e *Encoder) {
	if e.out.Cap() <= 64<<10 {
		es.spare.Put(e)
	}
}

// Encode returns the JSON of v, which is valid until the next use of e.
func (e *Encoder) Encode(v any) ([]byte, error) {
	e.out.Reset()
	if err := e.json.Encode(v); err != nil {
		return nil, err
	}
	value := bytes.TrimSuffix(e.out.Bytes(), []byte("\n"))
	return value, CheckSendable(value)
}

// CheckSendable refuses what encoding/json writes, but would not be read on the other
// side: a json.RawMessage or MarshalJSON may have bytes that are not UTF-8, and values
// may be nested too deep. What is short cannot be.
func CheckSendable(value []byte) error {
	if !utf8.Valid(value) {
		return errors.New("expected JSON in UTF-8, got bytes that are not UTF-8")
	}
	const within = 1 // the message
	if len(value) > 2*(maxDepth-within) && scanValue(value, 0, within) < 0 {
		return fmt.Errorf("expected arrays and objects that are nested no deeper than %d", maxDepth-within)
	}
	return nil
}

// Buffers are memory for messages, to be used again: what it saves is garbage
// collection, which is the dearer the more goroutines wait for results.
type Buffers struct {
	mu    sync.Mutex // guards spare
	spare [][]byte
}

const (
	mostBuffers   = 1024
	biggestBuffer = 4 << 10
)

// Get returns memory, or nil.
func (b *Buffers) Get() []byte {
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

// Put takes memory that nobody uses any more.
func (b *Buffers) Put(m []byte) {
	if cap(m) == 0 || cap(m) > biggestBuffer {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.spare) < mostBuffers {
		b.spare = append(b.spare, m)
	}
}

package rpc

import (
	"bytes"
	"encoding/json"
	"sync"
)

// encoders are spare encoders.
type encoders struct{ spare sync.Pool }

// An encoder encodes values like json.Marshal, but leaves <, > and & as they are:
// nobody reads a message as HTML.
type encoder struct {
	out  bytes.Buffer
	json *json.Encoder
}

func newEncoder() *encoder {
	e := new(encoder)
	e.json = json.NewEncoder(&e.out)
	e.json.SetEscapeHTML(false)
	return e
}

func (es *encoders) get() *encoder {
	if e, ok := es.spare.Get().(*encoder); ok {
		return e
	}
	return newEncoder()
}

func (es *encoders) put(e *encoder) {
	if e.out.Cap() <= 64<<10 {
		es.spare.Put(e)
	}
}

// encode returns the JSON of v, which is valid until the next use of e.
func (e *encoder) encode(v any) ([]byte, error) {
	e.out.Reset()
	if err := e.json.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(e.out.Bytes(), []byte("\n")), nil
}

package broker

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// The commands that queues are made of allocate nothing, in a batch as alone, but
// for what is stored.
func TestHotPathAllocatesNothing(t *testing.T) {
	value := strings.Repeat("x", 100)
	for _, c := range []struct {
		name  string
		batch []byte
	}{
		{"PING", request("PING")},
		{"GET", request("GET", "k")},
		{"SET", request("SET", "k", value)},
		{"RPUSH and LPOP", slices.Concat(request("RPUSH", "q", value), request("LPOP", "q"))},
	} {
		b := newBroker(t, Options{})
		l := &fakeTransport{mute: true}
		b.enter()
		if err := b.open(l); err != nil {
			t.Fatal(err)
		}
		b.leave()
		b.receive(l.session, request("SET", "k", value))
		b.receive(l.session, request("RPUSH", "q", value))
		for _, n := range []int{1, 16} {
			batch := bytes.Repeat(c.batch, n)
			if got := testing.AllocsPerRun(100, func() { b.receive(l.session, batch) }); got >= 1 {
				t.Errorf("%s, %d in a batch: %v allocations", c.name, n, got)
			}
		}
	}
}

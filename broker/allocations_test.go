package broker

import "testing"

// The commands that are sent most take no memory but for what they keep.
func TestCommandsAllocateNothing(t *testing.T) {
	b := newBroker(t, Options{})
	l := &fakeTransport{mute: true}
	b.enter()
	if err := b.open(l); err != nil {
		t.Fatal(err)
	}
	b.leave()
	b.receive(l.session, request("RPUSH", "q", "so that the list does not come and go"))
	for _, command := range [][][]byte{
		{request("PING")},
		{request("SET", "k", "value"), request("GET", "k")},
		{request("RPUSH", "q", "a value of some length"), request("LPOP", "q")},
		{request("HSET", "h", "f", "v"), request("HGET", "h", "f")},
	} {
		run := func() {
			for _, p := range command {
				b.receive(l.session, p)
			}
		}
		for range 100 {
			run() // what is kept for reuse
		}
		if n := testing.AllocsPerRun(1000, run); n >= 1 {
			t.Errorf("%q: %v allocations", command[0], n)
		}
	}
}

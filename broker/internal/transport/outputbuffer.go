package transport

import (
	"sync"
	"time"

	"redrpc/broker/internal/resp"
)

// While a client sends what nobody reads any more, to close the connection would take
// from it what it has not read yet. So at the end it is given some time to read that and
// to close its side, and meanwhile may send so many bytes.
const (
	PatienceAtEnd = time.Second
	inputAtEnd    = 16 << 20
)

// PatienceForOutput is for how long a connection that is to be closed is kept open while
// its client takes nothing of what is still to be sent.
const PatienceForOutput = time.Minute

// An outputBuffer holds replies until they are written to a socket. The goroutine that
// processed the commands writes them, after it has released the broker's lock, as far as
// the kernel takes them without blocking; the socketWriter writes the rest.
type outputBuffer struct {
	mu      sync.Mutex  // guards what follows; taken under the broker's lock, never around it
	pending resp.Output // delivered, and not yet being written
	rest    int         // bytes being written
	writing bool        // somebody writes, or waits until the kernel takes more
	last    bool        // nothing follows: take leave when all is written
	waning  *time.Timer // aborts it once last and nothing has been taken for some time; nil before
	closed  bool        // the connection takes no more
	parted  bool        // the socketWriter has taken leave
	shut    bool        // the socketWriter has been shut
}

// A socketWriter is the socket of an outputBuffer.
type socketWriter interface {
	// tryWrite writes as much as the kernel takes without waiting.
	tryWrite(p []byte) (n int, err error)

	// stall is given what the kernel did not take. When it has been written, or
	// cannot be, the socketWriter calls resume.
	stall(rest []byte)

	// fail shuts the connection down, so that its reader ends.
	fail()

	// part tells the client that nothing follows, and sees to it that abort is called
	// when the client has closed its side, or patience ends. It is called once.
	part()

	// shut closes the connection. It is called once.
	shut()
}

// Deliver takes over output; see Conn.
func (o *outputBuffer) Deliver(out *resp.Output) (flush bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		out.Truncate(0)
		return false
	}
	o.pending.Take(out)
	flush = !o.writing
	o.writing = true
	return flush
}

// Backlog is the number of bytes that the kernel has not taken yet.
func (o *outputBuffer) Backlog() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pending.Len() + o.rest
}

// write writes what is pending, until nothing is or the kernel takes no more.
func (o *outputBuffer) write(to socketWriter) {
	for {
		o.mu.Lock()
		if o.pending.Len() == 0 || o.closed {
			o.writing = false
			o.unlockAndPart(to)
			return
		}
		p := o.pending.Pop()
		o.rest = len(p)
		o.mu.Unlock()

		n, err := to.tryWrite(p)
		if err == nil && n < len(p) {
			o.left(len(p) - n)
			to.stall(p[n:])
			return
		}
		o.wrote(to, p, err)
	}
}

// left notes how much of a write the kernel has not taken yet.
func (o *outputBuffer) left(rest int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest = rest
	o.progress()
}

// progress notes that the client has taken something. It is called with mu held.
func (o *outputBuffer) progress() {
	if o.waning != nil && !o.closed {
		o.waning.Reset(PatienceForOutput)
	}
}

// resume goes on after a stall. The error is that of writing the rest.
func (o *outputBuffer) resume(to socketWriter, err error) {
	o.wrote(to, nil, err)
	o.write(to)
}

// wrote notes the end of a write, and takes its memory back.
func (o *outputBuffer) wrote(to socketWriter, p []byte, err error) {
	o.mu.Lock()
	o.rest = 0
	o.progress()
	o.pending.Reuse(p)
	failed := err != nil && !o.closed
	if failed {
		o.closed = true
		o.pending = resp.Output{}
	}
	o.mu.Unlock()
	if failed {
		to.fail()
	}
}

// finish closes the connection once everything has been written.
func (o *outputBuffer) finish(to socketWriter) {
	o.mu.Lock()
	o.last = true
	if o.writing && o.waning == nil && !o.closed {
		o.waning = time.AfterFunc(PatienceForOutput, func() { o.abort(to) })
	}
	o.unlockAndPart(to)
}

// unlockAndPart takes leave if all has been written that there was to be.
func (o *outputBuffer) unlockAndPart(to socketWriter) {
	part, failed := o.last && !o.writing && !o.parted, o.closed
	if part {
		o.parted, o.closed = true, true
		o.stopWaning()
	}
	o.mu.Unlock()
	switch {
	case part && failed:
		o.abort(to)
	case part:
		to.part()
	}
}

// stopWaning ends the wait for the client to take something. It is called with mu held.
func (o *outputBuffer) stopWaning() {
	if o.waning != nil {
		o.waning.Stop()
	}
}

// parting reports whether leave has been taken, and no more.
func (o *outputBuffer) parting() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.parted && !o.shut
}

// abort closes the connection at once.
func (o *outputBuffer) abort(to socketWriter) {
	o.mu.Lock()
	o.pending = resp.Output{}
	shut := !o.shut
	o.closed, o.shut = true, true
	o.stopWaning()
	o.mu.Unlock()
	if shut {
		to.shut()
	}
}

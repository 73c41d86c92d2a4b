package resp

import (
	"iter"

	"github.com/tidwall/redcon"
)

// PieceSize is how long the pieces of an output get, but for those of one long string.
const PieceSize = 64 << 10

// longString is from how many bytes on a string gets a piece made to measure, if there
// is no room for it in the last one; and to how many bytes the first piece grows, as many
// outputs are short.
const longString = PieceSize / 4

// frameSize is what the encoding of a string adds to it, at most.
const frameSize = 32

// An Output is an output buffer, in pieces. Only the last piece grows, so the others are
// not copied when more follows, and are freed when they are taken. The zero value is empty.
type Output struct {
	pieces [][]byte // complete; nil where they have been taken
	taken  int      // how many of them have been
	size   int      // bytes of the others
	last   []byte   // if it is empty, memory for what comes next
}

func (o *Output) Len() int { return o.size + len(o.last) }

// Memory is how many bytes the output takes.
func (o *Output) Memory() int { return o.size + cap(o.last) }

// room makes room for n more bytes behind the last ones.
func (o *Output) room(n int) {
	if len(o.last)+n > max(cap(o.last), longString) {
		o.renew(n)
	}
}

// renew begins a piece for n bytes or more.
func (o *Output) renew(n int) {
	o.cut()
	if n < longString {
		n = PieceSize
	}
	o.last = make([]byte, 0, n)
}

// cut makes the last piece complete.
func (o *Output) cut() {
	if len(o.last) > 0 {
		o.pieces = append(o.pieces, o.last)
		o.size += len(o.last)
		o.last = nil
	}
}

// Write appends bytes, which are copied.
func (o *Output) Write(p []byte) {
	o.room(len(p))
	o.last = append(o.last, p...)
}

// Add encodes a reply in the given version of the protocol, 2 or 3. Lists may be nested
// in it as deep as depth says; of a reply that is deeper a part is added, and add
// reports false.
func (o *Output) Add(r *Reply, protocol, depth int) (fits bool) {
	o.room(len(r.Bytes) + len(r.Text) + frameSize)
	o.last = r.encode(o.last, protocol)
	switch {
	case len(r.Items) == 0 && (r.Each == nil && r.Lazy == nil || r.N == 0):
		return true
	case depth == 0, depth == 1 && (protocol == 3 && r.inPairs() || protocol == 2 && r.Kind == KindKeyed):
		return false
	case r.Lazy != nil:
		return o.addLazy(r.Lazy, protocol, depth-1)
	}
	inPairs := protocol == 2 && r.Kind == KindKeyed
	if inPairs {
		depth--
	}
	for i := range r.Items {
		item := &r.Items[i]
		if inPairs && i%2 == 0 {
			o.room(frameSize)
			o.last = redcon.AppendArray(o.last, 2)
		}
		if !o.Add(item, protocol, depth-1) {
			return false
		}
	}
	switch {
	case r.Each == nil:
	case r.inPairs() && protocol == 3:
		o.addPairs(r.Each, r.Kind == KindScored)
	default:
		for s := range r.Each {
			o.room(len(s) + frameSize)
			o.last = redcon.AppendBulk(o.last, s)
		}
	}
	return true
}

// addLazy adds the elements that an iterator passes on.
func (o *Output) addLazy(each iter.Seq[Reply], protocol, depth int) (fits bool) {
	for item := range each {
		if !o.Add(&item, protocol, depth) {
			return false
		}
	}
	return true
}

// addPairs adds arrays of two strings, or of a string and a double.
func (o *Output) addPairs(each iter.Seq[[]byte], scored bool) {
	isSecond := false
	for s := range each {
		o.room(len(s) + frameSize)
		if !isSecond {
			o.last = redcon.AppendArray(o.last, 2)
		}
		if isSecond && scored {
			o.last = append(append(append(o.last, ','), s...), '\r', '\n')
		} else {
			o.last = redcon.AppendBulk(o.last, s)
		}
		isSecond = !isSecond
	}
}

// Take moves all of another output behind the last byte. The other one gets memory for
// more, if there is some to spare. Bytes are copied where to take over their memory would
// be to keep much more than they need.
func (o *Output) Take(from *Output) {
	if len(from.pieces) > 0 {
		o.cut()
		o.pieces = append(o.pieces, from.pieces[from.taken:]...)
		o.size += from.size
		from.pieces, from.taken, from.size = nil, 0, 0
	}
	used, half := len(from.last), cap(from.last)/2
	switch {
	case len(o.last) == 0 && (used >= half || cap(o.last) >= half):
		o.last, from.last = from.last, o.last
	case used < max(longString, half):
		o.Write(from.last)
		from.last = from.last[:0]
	default:
		o.cut()
		o.last, from.last = from.last, nil
	}
}

// First is the piece that Pop takes. There must be one.
func (o *Output) First() []byte {
	if o.taken < len(o.pieces) {
		return o.pieces[o.taken]
	}
	return o.last
}

// Pop takes the first piece off.
func (o *Output) Pop() []byte {
	p := o.First()
	if o.taken == len(o.pieces) {
		o.last = nil
		return p
	}
	o.pieces[o.taken] = nil
	o.taken++
	o.size -= len(p)
	switch n := len(o.pieces); {
	case o.taken == n:
		o.pieces, o.taken = nil, 0
	case o.taken > n/2 && n >= 16:
		o.pieces = append([][]byte(nil), o.pieces[o.taken:]...)
		o.taken = 0
	}
	return p
}

// Reuse gives the memory of a piece back, for what comes next.
func (o *Output) Reuse(p []byte) {
	if len(o.last) == 0 && cap(o.last) < cap(p) && cap(p) <= PieceSize {
		o.last = p[:0]
	}
}

// Shrink gives up memory for what comes next, if it is much: a large reply should not
// weigh on an idle client.
func (o *Output) Shrink() {
	if cap(o.last) > PieceSize && len(o.last) == 0 {
		o.last = nil
	}
}

// Truncate drops all but the first n bytes.
func (o *Output) Truncate(n int) {
	if n >= o.size { // as nearly always
		o.last = o.last[:n-o.size]
		return
	}
	o.pieces = o.pieces[:o.split(n)]
	o.size = n
}

// Swap exchanges what stands from one offset to another with what follows it.
func (o *Output) Swap(from, to int) {
	i, j := o.split(from), o.split(to)
	moved := append([][]byte(nil), o.pieces[i:j]...)
	n := copy(o.pieces[i:], o.pieces[j:])
	copy(o.pieces[i+n:], moved)
}

// split makes a piece begin at an offset, and returns its index. All pieces are
// complete then.
func (o *Output) split(at int) int {
	o.cut()
	i := o.taken
	for ; i < len(o.pieces) && at >= len(o.pieces[i]); i++ {
		at -= len(o.pieces[i])
	}
	if at == 0 {
		return i
	}
	p := o.pieces[i]
	o.pieces = append(o.pieces, nil)
	copy(o.pieces[i+2:], o.pieces[i+1:])
	o.pieces[i], o.pieces[i+1] = p[:at:at], p[at:]
	return i + 1
}

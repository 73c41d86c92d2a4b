package command

import (
	"context"
	"slices"
	"strconv"

	"redrpc/internal/keyslot"
)

// A request is one command on its way. It belongs to a seat, which uses it again.
type request struct {
	encoded []byte // in the protocol of Redis
	first   int    // where its first key begins in encoded
	last    int    // and where that ends; both are 0 if it has none
	command int    // which one of the mix
	replies int    // that Redis answers with: the last one counts

	all []byte // of a batch, in place of encoded

	conn  int             // which one of a node it is sent on
	ctx   context.Context // of who waits for it
	began int64           // at which tick of the watch
	left  int             // replies that are still to come
	null  bool            // the reply says that there is nothing
	err   error           // that the reply is, or why there is none
	done  chan struct{}   // told when it has ended, on a stream with a pipeline

	parts [][]byte // of an argument
	digit []byte   // of numbers in parts
}

// A mix is commands of which some come more often than others.
type mix struct {
	templates []*template
	until     []int64 // sums of weights
	seed      uint64
	*chooser
}

// encode makes r command number n of it.
func (m *mix) encode(r *request, n int64) {
	d := newDraw(m.seed, n)
	t := m.templates[0]
	r.command = 0
	if last := len(m.until) - 1; last > 0 {
		at := d.below(m.until[last])
		i := 0
		for at >= m.until[i] {
			i++
		}
		t, r.command = m.templates[i], i
	}
	m.fill(r, t, &d, n)
}

// fill makes r the command of t with number n.
func (m *mix) fill(r *request, t *template, d *draw, n int64) {
	r.first, r.last, r.replies = 0, 0, 1
	out := append(r.encoded[:0], '*')
	out = strconv.AppendInt(out, int64(len(t.args)), 10)
	out = append(out, "\r\n"...)
	placed := 0
	for i, arg := range t.args {
		length := 0
		parts, digits := r.parts[:0], r.digit[:0]
		for _, p := range arg {
			var b []byte
			switch p.place {
			case keyNumber:
				from := len(digits)
				digits = strconv.AppendInt(digits, m.key(d, n, placed, t.keys), 10)
				b = digits[from:]
				placed++
			case dataBytes:
				b = m.data(d)
			default:
				b = p.text
			}
			length += len(b)
			parts = append(parts, b)
		}
		out = append(out, '$')
		out = strconv.AppendInt(out, int64(length), 10)
		out = append(out, "\r\n"...)
		if i == t.key && i > 0 {
			r.first, r.last = len(out), len(out)+length
		}
		for _, b := range parts {
			out = append(out, b...)
		}
		out = append(out, "\r\n"...)
		r.parts, r.digit = parts, digits
	}
	r.encoded = out
}

// slot is that of its first key, and not ok if it has none.
func (r *request) slot() (slot int, ok bool) {
	if r.last == 0 {
		return 0, false
	}
	return keyslot.Of(r.encoded[r.first:r.last]), true
}

// ask puts ASKING before it, which lets a node that is about to get its slot take it.
func (r *request) ask() {
	const asking = "*1\r\n$6\r\nASKING\r\n"
	if r.replies == 1 {
		r.encoded = slices.Insert(r.encoded, 0, []byte(asking)...)
		r.first, r.last, r.replies = r.first+len(asking), r.last+len(asking), 2
	}
}

package rdb

// MaxExpansion is by how much LZF makes its input longer at most: three bytes stand
// for a run of up to 264.
const MaxExpansion = 264 / 3

// lzf undoes the compression of Redis. It reports false if p is not in order, or does
// not make size bytes, or would make more than most.
//
// A byte below 32 says how many bytes follow as they are, less one. Any other begins
// a run that is repeated from further back in the result: its upper three bits are
// its length less two, its lower five the upper part of the distance less one. A
// length of 9 is continued in the next byte, and the rest of the distance follows.
func lzf(p []byte, size uint64, most int) (out []byte, valid bool) {
	if size > uint64(max(most, 0)) || size > MaxExpansion*uint64(len(p)) {
		return nil, false
	}
	out = make([]byte, 0, size)
	for len(p) > 0 {
		control := int(p[0])
		p = p[1:]
		if control < 1<<5 {
			n := control + 1
			if n > len(p) {
				return nil, false
			}
			out = append(out, p[:n]...)
			p = p[n:]
		} else {
			n := control>>5 + 2
			if n == 7+2 {
				if len(p) == 0 {
					return nil, false
				}
				n += int(p[0])
				p = p[1:]
			}
			if len(p) == 0 {
				return nil, false
			}
			from := len(out) - (control&0x1F<<8 | int(p[0])) - 1
			p = p[1:]
			if from < 0 || uint64(len(out)+n) > size {
				return nil, false
			}
			for range n { // the run may overlap what it makes
				out = append(out, out[from])
				from++
			}
		}
		if uint64(len(out)) > size {
			return nil, false
		}
	}
	return out, uint64(len(out)) == size
}

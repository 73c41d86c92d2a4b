package stream

import (
	"fmt"
	"iter"
)

// typeNumber is Redis's number of the type.
const typeNumber = 6

// Digest is what DEBUG DIGEST looks at: the entries, but not the groups.
func (s *stream) Digest() (number int, parts iter.Seq[[]byte]) {
	return typeNumber, func(yield func([]byte) bool) {
		for e := range s.walk(whole, false) {
			if !yield(fmt.Appendf(nil, "%d.%d", e.id.ms, e.id.seq)) {
				return
			}
			for part := range e.pairs {
				if !yield(part) {
					return
				}
			}
		}
	}
}

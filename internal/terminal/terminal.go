// Package terminal takes from text that others wrote its power over a terminal.
package terminal

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// JSON escapes what has power over a terminal in a JSON text, where it can only be
// within strings: control characters beyond those that JSON has escaped, and those that
// change the direction of text.
func JSON(text []byte) []byte {
	isControl := func(r rune) bool {
		return r >= 0x7f && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r))
	}
	var safe []byte
	for text = bytes.ToValidUTF8(text, []byte("\uFFFD")); ; {
		i := bytes.IndexFunc(text, isControl)
		if i < 0 {
			return append(safe, text...)
		}
		r, size := utf8.DecodeRune(text[i:])
		safe = fmt.Appendf(append(safe, text[:i]...), `\u%04x`, r)
		text = text[i+size:]
	}
}

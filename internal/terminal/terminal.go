// Package terminal takes from text that others wrote its power over a terminal, and over
// who reads it: control characters, those that change the direction of text, and those
// that nobody sees.
package terminal

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// IsSafe reports whether a terminal shows r as itself: in one place, visibly. Of blanks
// that is the space alone.
func IsSafe(r rune) bool {
	if r < 0x7f {
		return r >= ' '
	}
	// Some letters and marks are invisible, too.
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Text is s with a question mark for what is not safe, but for line breaks and tabs.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || IsSafe(r) {
			return r
		}
		return '?'
	}, s)
}

// Writer writes the Text of what it is given to w, for what writes whole lines.
func Writer(w io.Writer) io.Writer { return writer{w} }

type writer struct{ w io.Writer }

func (w writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.w, Text(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Line is s with a question mark for all that is not safe.
func Line(s string) string {
	return strings.Map(func(r rune) rune {
		if IsSafe(r) {
			return r
		}
		return '?'
	}, s)
}

// Quoted is s as it is, or if not all of it is safe in quotes, as in Go.
func Quoted(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, isUnsafe) {
		return s
	}
	return string(escaped([]byte(strconv.Quote(s)), isUnsafe)) // what Quote takes for visible
}

func isUnsafe(r rune) bool { return !IsSafe(r) }

// JSON escapes what is not safe in a JSON text, where it can only be within strings;
// blanks and line breaks between its parts stay, and so do wide spaces.
func JSON(text []byte) []byte {
	return escaped(bytes.ToValidUTF8(text, []byte("\uFFFD")), func(r rune) bool {
		return r >= 0x7f && !IsSafe(r) && !unicode.Is(unicode.Zs, r)
	})
}

// escaped is valid UTF-8 with the characters that have to be as in JSON: \u and four
// digits, twice for those beyond U+FFFF.
func escaped(text []byte, hasToBe func(rune) bool) []byte {
	var out []byte
	for {
		i := bytes.IndexFunc(text, hasToBe)
		if i < 0 {
			return append(out, text...)
		}
		r, size := utf8.DecodeRune(text[i:])
		out = append(out, text[:i]...)
		if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
			out, r = fmt.Appendf(out, `\u%04x`, high), low
		}
		out = fmt.Appendf(out, `\u%04x`, r)
		text = text[i+size:]
	}
}

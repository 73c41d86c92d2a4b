// Package quote writes and reads words as redis-cli does: quoted, where they have
// blanks or what cannot be printed.
package quote

import (
	"bytes"
	"unicode/utf8"

	"redrpc/internal/terminal"
)

// Append appends a word as a client would type it: as it is, if all of it can be
// read, else in the quotes that change less of it.
func Append(out, word []byte) []byte {
	readable := bytes.IndexFunc(word, func(c rune) bool { return !isReadable(c) }) < 0
	switch {
	case readable && len(word) > 0 && !bytes.ContainsAny(word, ` "'\`):
		return append(out, word...)
	case readable && bytes.ContainsAny(word, `"\`) && bytes.IndexByte(word, '\'') < 0 && word[len(word)-1] != '\\':
		out = append(out, '\'')
		out = append(out, word...)
		return append(out, '\'')
	}
	out = append(out, '"')
	for len(word) > 0 {
		c, size := utf8.DecodeRune(word)
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', byte(c))
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\r':
			out = append(out, `\r`...)
		case c == '\t':
			out = append(out, `\t`...)
		case isReadable(c):
			out = append(out, word[:size]...)
		default:
			for _, b := range word[:size] {
				const hex = "0123456789abcdef"
				out = append(out, '\\', 'x', hex[b>>4], hex[b&15])
			}
		}
		word = word[size:]
	}
	return append(out, '"')
}

func isReadable(c rune) bool { return c != utf8.RuneError && terminal.IsSafe(c) }

// Split splits a line into words, which may be quoted as in C ("\x00\n") or
// literally ('it\'s'). It reports false for a quote that is not closed, or that
// is followed by something else than a space.
func Split(line []byte) ([][]byte, bool) {
	args := [][]byte{}
	for {
		line = bytes.TrimLeft(line, " \t\n\v\f\r")
		if len(line) == 0 {
			return args, true
		}
		word, rest, ok := splitWord(line)
		if !ok {
			return nil, false
		}
		args = append(args, word)
		line = rest
	}
}

// splitWord takes the first word off a line. A quote may open anywhere in it, but
// must end it.
func splitWord(line []byte) (word, rest []byte, ok bool) {
	word = []byte{}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t', '\n', '\r':
			return word, line[i+1:], true
		case '"', '\'':
			quoted, n, ok := unquote(line[i+1:], c)
			if !ok {
				return nil, nil, false
			}
			rest = line[i+1+n:]
			if len(rest) > 0 && !IsSpace(rest[0]) {
				return nil, nil, false
			}
			return append(word, quoted...), rest, true
		default:
			word = append(word, c)
		}
	}
	return word, nil, true
}

// unquote reads up to the closing quote and returns the text and how many bytes
// it took, the quote included.
func unquote(s []byte, quote byte) (text []byte, n int, ok bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == quote:
			return text, i + 1, true
		case c == '\\' && quote == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
			c = '\''
		case c == '\\' && quote == '"' && i+3 < len(s) && s[i+1] == 'x' && isHex(s[i+2]) && isHex(s[i+3]):
			c = hexDigit(s[i+2])<<4 | hexDigit(s[i+3])
			i += 3
		case c == '\\' && quote == '"' && i+1 < len(s):
			i++
			c = unescape(s[i])
		}
		text = append(text, c)
	}
	return nil, 0, false
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

// IsSpace reports whether words end at c.
func IsSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func hexDigit(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}

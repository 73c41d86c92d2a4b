package resp

import "redrpc/internal/quote"

// AppendQuoted is quote.Append.
func AppendQuoted(out, word []byte) []byte { return quote.Append(out, word) }

// SplitLine is quote.Split.
func SplitLine(line []byte) ([][]byte, bool) { return quote.Split(line) }

// IsSpace is quote.IsSpace.
func IsSpace(c byte) bool { return quote.IsSpace(c) }

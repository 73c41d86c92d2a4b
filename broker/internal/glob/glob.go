// Package glob matches patterns as Redis does.
package glob

// Match reports whether s matches a glob-style pattern as Redis reads it: *, ?,
// classes such as [a-c] and [^x], and \ to take the next byte as it is. Fold
// ignores the case of ASCII letters.
//
// On a mismatch only the last * is tried again, which is enough for globs, so
// the time is at most len(pattern) times len(s) whatever the pattern.
func Match(pattern, s string, fold bool) bool {
	if s == "" { // Redis lets only the empty pattern match the empty string
		return pattern == ""
	}
	p, i := 0, 0
	star, retry := -1, 0
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			star, retry = p, i
			p++
			continue
		}
		if width, ok := matchOne(pattern[p:], s[i], fold); ok {
			p += width
			i++
			continue
		}
		if star < 0 {
			return false
		}
		retry++
		p, i = star+1, retry
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches one byte against the element that opens the pattern, and
// returns the width of that element.
func matchOne(pattern string, c byte, fold bool) (width int, ok bool) {
	if pattern == "" {
		return 0, false
	}
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		return matchClass(pattern, c, fold)
	case '\\':
		if len(pattern) >= 2 {
			return 2, equal(pattern[1], c, fold)
		}
	}
	return 1, equal(pattern[0], c, fold)
}

// matchClass matches one byte against a class. A class without its ] ends with
// the pattern.
func matchClass(pattern string, c byte, fold bool) (width int, ok bool) {
	p := 1
	not := p < len(pattern) && pattern[p] == '^'
	if not {
		p++
	}
	found := false
	for ; p < len(pattern) && pattern[p] != ']'; p++ {
		rest := pattern[p:]
		switch {
		case rest[0] == '\\' && len(rest) >= 2:
			p++
			found = found || rest[1] == c
		case len(rest) >= 3 && rest[1] == '-':
			p += 2
			found = found || between(rest[0], rest[2], c, fold)
		default:
			found = found || equal(rest[0], c, fold)
		}
	}
	if p < len(pattern) {
		p++
	}
	return p, found != not
}

func between(from, to, c byte, fold bool) bool {
	if from > to {
		from, to = to, from
	}
	if fold {
		from, to, c = fold1(from), fold1(to), fold1(c)
	}
	return from <= c && c <= to
}

func equal(a, b byte, fold bool) bool {
	return a == b || fold && fold1(a) == fold1(b)
}

func fold1(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

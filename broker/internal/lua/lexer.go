package lua

import (
	"fmt"
	"strings"
)

// A token is a byte that stands for itself, or one of the following.
type token int

const (
	tokenAnd token = 257 + iota
	tokenBreak
	tokenDo
	tokenElse
	tokenElseif
	tokenEnd
	tokenFalse
	tokenFor
	tokenFunction
	tokenIf
	tokenIn
	tokenLocal
	tokenNil
	tokenNot
	tokenOr
	tokenRepeat
	tokenReturn
	tokenThen
	tokenTrue
	tokenUntil
	tokenWhile
	tokenConcat
	tokenDots
	tokenEq
	tokenGe
	tokenLe
	tokenNe
	tokenNumber
	tokenName
	tokenString
	tokenEOS // the end of the script
)

var tokenNames = [...]string{
	"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil", "not",
	"or", "repeat", "return", "then", "true", "until", "while", "..", "...", "==", ">=", "<=", "~=", "<number>",
	"<name>", "<string>", "<eof>",
}

// reserved are the words that are tokens.
var reserved = func() map[string]token {
	words := map[string]token{}
	for t := tokenAnd; t <= tokenWhile; t++ {
		words[tokenNames[t-tokenAnd]] = t
	}
	return words
}()

func (t token) String() string {
	switch {
	case t >= tokenAnd:
		return tokenNames[t-tokenAnd]
	case isControl(byte(t)):
		return fmt.Sprintf("char(%d)", int(t))
	}
	return string([]byte{byte(t)})
}

// A lexeme is a token with what it stands for.
type lexeme struct {
	token  token
	text   string // of a name or a string
	number float64
}

// A lexer cuts a script into tokens.
type lexer struct {
	source string
	name   string // of the script, for errors
	at     int    // of the current byte
	line   int

	current  lexeme
	ahead    lexeme
	hasAhead bool
	lastLine int    // of the token before the current one
	buffer   []byte // the token that was read last, as errors show it
	depth    int    // of the grammar's rules and of calls
}

// endOfScript is the current byte at the end of the script.
const endOfScript = -1

// A syntaxError ends the compilation.
type syntaxError struct{ text string }

func (e *syntaxError) Error() string { return e.text }

// fail raises an error with the line, and near what it is unless that is 0.
func (l *lexer) fail(message string, near token) {
	text := fmt.Sprintf("%s:%d: %s", shortSourceIn(l.name, maxSourceInSyntax), l.line, message)
	if near != 0 {
		text += " near '" + l.show(near) + "'"
	}
	panic(&syntaxError{text})
}

// failHere raises an error near the current token.
func (l *lexer) failHere(message string) { l.fail(message, l.current.token) }

func (l *lexer) show(t token) string {
	switch t {
	case tokenName, tokenString, tokenNumber:
		text, _, _ := strings.Cut(string(l.buffer), "\x00")
		return text
	}
	return t.String()
}

// next makes the following token the current one.
func (l *lexer) next() {
	l.lastLine = l.line
	if l.hasAhead {
		l.current, l.hasAhead = l.ahead, false
		return
	}
	l.current = l.read()
}

// peek reads the token after the current one.
func (l *lexer) peek() token {
	l.ahead, l.hasAhead = l.read(), true
	return l.ahead.token
}

func (l *lexer) byte() int {
	if l.at < len(l.source) {
		return int(l.source[l.at])
	}
	return endOfScript
}

func (l *lexer) save() {
	l.buffer = append(l.buffer, l.source[l.at])
	l.at++
}

// saveIf takes the current byte if it is one of set, or a zero byte, which ends any set.
func (l *lexer) saveIf(set string) bool {
	if c := l.byte(); c == endOfScript || c != 0 && strings.IndexByte(set, byte(c)) < 0 {
		return false
	}
	l.save()
	return true
}

func (l *lexer) atNewline() bool { return l.byte() == '\n' || l.byte() == '\r' }

// newline skips the end of a line, which may have two bytes.
func (l *lexer) newline() {
	first := l.byte()
	l.at++
	if l.atNewline() && l.byte() != first {
		l.at++
	}
	l.line++
}

func (l *lexer) read() lexeme {
	l.buffer = l.buffer[:0]
	for {
		switch c := l.byte(); c {
		case '\n', '\r':
			l.newline()
		case '-':
			if l.at++; l.byte() != '-' {
				return lexeme{token: '-'}
			}
			l.at++
			l.comment()
		case '[':
			switch level := l.bracket(); {
			case level >= 0:
				return lexeme{token: tokenString, text: l.longString(level, true)}
			case level == -1:
				return lexeme{token: '['}
			}
			l.fail("invalid long string delimiter", tokenString)
		case '=':
			return l.orEqual('=', tokenEq)
		case '<':
			return l.orEqual('<', tokenLe)
		case '>':
			return l.orEqual('>', tokenGe)
		case '~':
			return l.orEqual('~', tokenNe)
		case '"', '\'':
			return lexeme{token: tokenString, text: l.quoted(c)}
		case '.':
			return l.dots()
		case endOfScript:
			return lexeme{token: tokenEOS}
		default:
			switch {
			case isSpace(byte(c)):
				l.at++
			case isDigit(byte(c)):
				return l.numeral()
			case isAlpha(byte(c)) || c == '_':
				return l.word()
			default:
				l.at++
				return lexeme{token: token(c)}
			}
		}
	}
}

func (l *lexer) orEqual(alone, equal token) lexeme {
	if l.at++; l.byte() != '=' {
		return lexeme{token: alone}
	}
	l.at++
	return lexeme{token: equal}
}

func (l *lexer) dots() lexeme {
	l.save()
	switch c := l.byte(); {
	case l.saveIf("."):
		if l.saveIf(".") {
			return lexeme{token: tokenDots}
		}
		return lexeme{token: tokenConcat}
	case c == endOfScript || !isDigit(byte(c)):
		return lexeme{token: '.'}
	}
	return l.numeral()
}

func (l *lexer) word() lexeme {
	start := l.at
	for c := l.byte(); c != endOfScript && (isAlphanumeric(byte(c)) || c == '_'); c = l.byte() {
		l.at++
	}
	text := l.source[start:l.at]
	l.buffer = append(l.buffer, text...)
	if t, ok := reserved[text]; ok {
		return lexeme{token: t}
	}
	return lexeme{token: tokenName, text: text}
}

func (l *lexer) numeral() lexeme {
	for c := l.byte(); c != endOfScript && (isDigit(byte(c)) || c == '.'); c = l.byte() {
		l.save()
	}
	if l.saveIf("Ee") {
		l.saveIf("+-")
	}
	for c := l.byte(); c != endOfScript && (isAlphanumeric(byte(c)) || c == '_'); c = l.byte() {
		l.save()
	}
	f, ok := parseNumber(string(l.buffer))
	if !ok {
		l.fail("malformed number", tokenNumber)
	}
	return lexeme{token: tokenNumber, number: f}
}

// comment skips a comment, behind its two dashes.
func (l *lexer) comment() {
	if l.byte() == '[' {
		level := l.bracket()
		l.buffer = l.buffer[:0]
		if level >= 0 {
			l.longString(level, false)
			l.buffer = l.buffer[:0]
			return
		}
	}
	for !l.atNewline() && l.byte() != endOfScript {
		l.at++
	}
}

// bracket reads [ or ] with = behind it: how many there are if the same bracket follows,
// else -1 and less.
func (l *lexer) bracket() (level int) {
	first := l.byte()
	l.save()
	for l.byte() == '=' {
		l.save()
		level++
	}
	if l.byte() == first {
		return level
	}
	return -level - 1
}

func (l *lexer) longString(level int, isString bool) string {
	l.save()
	if l.atNewline() {
		l.newline()
	}
	for {
		switch c := l.byte(); c {
		case endOfScript:
			if isString {
				l.fail("unfinished long string", tokenEOS)
			}
			l.fail("unfinished long comment", tokenEOS)
		case ']':
			if l.bracket() == level {
				l.save()
				if !isString {
					return ""
				}
				return string(l.buffer[level+2 : len(l.buffer)-level-2])
			}
		case '\n', '\r':
			l.buffer = append(l.buffer, '\n')
			l.newline()
			if !isString {
				l.buffer = l.buffer[:0]
			}
		default:
			if isString {
				l.save()
			} else {
				l.at++
			}
		}
	}
}

func (l *lexer) quoted(delimiter int) string {
	l.save()
	for l.byte() != delimiter {
		switch l.byte() {
		case endOfScript:
			l.fail("unfinished string", tokenEOS)
		case '\n', '\r':
			l.fail("unfinished string", tokenString)
		case '\\':
			l.at++
			l.escape()
		default:
			l.save()
		}
	}
	l.save()
	return string(l.buffer[1 : len(l.buffer)-1])
}

func (l *lexer) escape() {
	c := l.byte()
	switch {
	case c == endOfScript: // the string is not finished
	case c == '\n' || c == '\r':
		l.buffer = append(l.buffer, '\n')
		l.newline()
	case isDigit(byte(c)):
		n := 0
		for i := 0; i < 3 && l.byte() != endOfScript && isDigit(byte(l.byte())); i++ {
			n = 10*n + l.byte() - '0'
			l.at++
		}
		if n > 255 {
			l.fail("escape sequence too large", tokenString)
		}
		l.buffer = append(l.buffer, byte(n))
	default:
		if i := strings.IndexByte("abfnrtv", byte(c)); i >= 0 {
			l.buffer = append(l.buffer, "\a\b\f\n\r\t\v"[i])
			l.at++
			return
		}
		l.save()
	}
}

package main

import (
	"errors"
	"strings"
)

// splitWords splits text at blanks as a POSIX shell does, without expanding
// anything: '...' is taken as it is, in "..." a backslash makes ordinary what the
// shell would see in ", \, $ and `, and elsewhere any next character.
func splitWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == 0 && strings.IndexByte(" \t\n", c) >= 0:
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
			continue
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'' || c != '\\':
			word.WriteByte(c)
		case i+1 == len(text):
			return nil, errors.New(`expected a character after the \ at the end`)
		case quote == '"' && strings.IndexByte("\"\\$`", text[i+1]) < 0:
			word.WriteByte(c)
		default:
			i++
			word.WriteByte(text[i])
		}
		inWord = true
	}
	if quote != 0 {
		return nil, errors.New("expected the end of what began with " + string(quote))
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

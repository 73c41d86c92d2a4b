package command

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"redrpc/internal/quote"
)

// What the arguments of a command may have in them.
const (
	placeKey  = "__key__"
	placeData = "__data__"
)

// A template is a command with places for what differs from one time that it is sent
// to the next.
type template struct {
	text string
	args []argument
	keys int   // places for keys in all arguments
	data int   // places for data
	key  int   // the first argument that is a key, whose slot the command belongs to; 0 if none is
	at   []int // all arguments that are keys

	reads  bool // it only reads
	blocks bool // it may block
}

// An argument is text around places.
type argument []part

// A part is text, or one place.
type part struct {
	text  []byte
	place place
}

type place byte

const (
	nothing place = iota
	keyNumber
	dataBytes
)

// parse reads a command as redis-cli does, with quotes, and its places.
func parse(text string) (*template, error) {
	words, closed := quote.Split([]byte(text))
	switch {
	case !closed:
		return nil, errors.New("expected every quote to be closed, and followed by a blank")
	case len(words) == 0:
		return nil, errors.New("expected a command such as 'SET k:__key__ __data__', got an empty one")
	}
	t := &template{text: text}
	for i, word := range words {
		arg, err := parseArgument(string(word))
		switch {
		case err != nil:
			return nil, err
		case i == 0 && arg.hasPlaces():
			return nil, fmt.Errorf("expected the name of a command first, got %q", word)
		case arg.count(keyNumber) > 1:
			return nil, fmt.Errorf("expected %s once in an argument, got %q", placeKey, word)
		}
		t.keys += arg.count(keyNumber)
		t.data += arg.count(dataBytes)
		t.args = append(t.args, arg)
	}
	return t, nil
}

// parseArgument takes a word apart at its places. Text between two underscores that is no
// place is refused, as it is mostly one of another tool, or misspelt.
func parseArgument(word string) (argument, error) {
	var arg argument
	for word != "" {
		before, rest, found := strings.Cut(word, "__")
		name, after, ends := strings.Cut(rest, "__")
		if !found || !ends || name == "" || strings.ContainsFunc(name, notOfName) {
			return append(arg, part{text: []byte(word)}), nil
		}
		if before != "" {
			arg = append(arg, part{text: []byte(before)})
		}
		switch "__" + name + "__" {
		case placeKey:
			arg = append(arg, part{place: keyNumber})
		case placeData:
			arg = append(arg, part{place: dataBytes})
		default:
			return nil, fmt.Errorf("expected %s or %s, got the unknown placeholder __%s__", placeKey, placeData, name)
		}
		word = after
	}
	if arg == nil {
		arg = argument{{}}
	}
	return arg, nil
}

func notOfName(r rune) bool {
	return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
}

func (a argument) count(p place) (n int) {
	for _, part := range a {
		if part.place == p {
			n++
		}
	}
	return n
}

func (a argument) hasPlaces() bool { return a.count(nothing) < len(a) }

// with is the argument with places filled in.
func (a argument) with(number int64, data string) string {
	var b strings.Builder
	for _, p := range a {
		switch p.place {
		case keyNumber:
			b.WriteString(strconv.FormatInt(number, 10))
		case dataBytes:
			b.WriteString(data)
		default:
			b.Write(p.text)
		}
	}
	return b.String()
}

// name is that of the command, in capitals.
func (t *template) name() string { return strings.ToUpper(t.args[0].with(0, "")) }

// with is the command for one key, as words.
func (t *template) with(number int64, data string) []string {
	words := make([]string, len(t.args))
	for i, arg := range t.args {
		words[i] = arg.with(number, data)
	}
	return words
}

// put makes the arguments at these places keys, and puts prefix before them.
func (t *template) put(prefix string, at []int) error {
	if t.at = at; len(at) > 0 {
		t.key = at[0]
	}
	for _, i := range at {
		if t.args[i].count(dataBytes) > 0 {
			return fmt.Errorf("expected %s in no key, whose names have to be known to delete them", placeData)
		}
		if prefix != "" {
			t.args[i] = slices.Insert(t.args[i], 0, part{text: []byte(prefix)})
		}
	}
	return nil
}

// Check says what is wrong with the text of a command, as far as that can be told without
// a Redis.
func Check(text string) error {
	_, err := parse(text)
	return err
}

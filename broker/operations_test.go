//go:build unix

package broker

import (
	"encoding/binary"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/transport"
)

// Any bytes can be read as operations. A byte says who does what; a command is the number
// of its row, and that of each of its arguments among words that are known, so that
// a byte which changes makes another command that is about as sensible.

// The words that commands are made of: those that come often, and all others of the
// differential test's grammar. What is in neither is spelled out.
var (
	frequentWords = []string{
		"l", "m", "s", "l", "m", "0", "1", "-1", "2", "10", "a", "b", "1000", "news", "*", "LEFT", "RIGHT", "COUNT",
		"EX", "PX", "GET", "ON", "OFF", "REDIRECT", "3", "100", "YES", "secret",
	}
	otherWords = grammarWords()
	durations  = []time.Duration{
		0, 1, time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second,
		5 * time.Second, 10 * time.Second, time.Minute, time.Hour, 24 * time.Hour, 365 * 24 * time.Hour,
	}
)

// commandRows returns the full names of all rows.
var commandRows = sync.OnceValue(func() (names []string) {
	for name := range testTable.All() {
		names = append(names, name)
	}
	return names
})

func grammarWords() []string {
	words := map[string]struct{}{}
	for _, pool := range pools {
		for _, word := range pool {
			words[word] = struct{}{}
		}
	}
	for _, rules := range []map[string]string{grammar, parts} {
		for _, rule := range rules {
			for word := range strings.FieldsSeq(rule) {
				if word = strings.TrimRight(word, "?*+"); strings.ToUpper(word) == word {
					words[word] = struct{}{}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(words))
}

const (
	noRow         = 0xffff // the command's name is among the arguments
	fromOthers    = 0x8000 // numbers of words from here on are of otherWords
	spelledOut    = 0xe000 // from here on: the length of a word that follows
	mostArguments = 32
)

// operationBytes are bytes that are read as operations. Behind their end there are zeros.
type operationBytes []byte

func (b *operationBytes) byte() int {
	if len(*b) == 0 {
		return 0
	}
	c := (*b)[0]
	*b = (*b)[1:]
	return int(c)
}

func (b *operationBytes) number() int { return b.byte()<<8 | b.byte() }

func (b *operationBytes) text(n int) string {
	n = min(n, len(*b))
	s := string((*b)[:n])
	*b = (*b)[n:]
	return s
}

func (b *operationBytes) word() string {
	switch n := b.number(); {
	case n < fromOthers:
		return frequentWords[n%len(frequentWords)]
	case n < spelledOut:
		return otherWords[(n-fromOthers)%len(otherWords)]
	default:
		return b.text(n - spelledOut)
	}
}

func (b *operationBytes) command() (args []string) {
	if n := b.number(); n != noRow {
		args = strings.Split(commandRows()[n%len(commandRows())], "|")
	}
	for range b.byte() % mostArguments {
		args = append(args, b.word())
	}
	return args
}

// decodeOperations reads operations.
func decodeOperations(data []byte) iter.Seq[operation] {
	return func(yield func(operation) bool) {
		for b := operationBytes(data); len(b) > 0; {
			who := b.byte()
			a := operation{kind: operationKind(who) % operationKinds, client: who / int(operationKinds) % fuzzClients}
			switch a.kind {
			case commands, moreCommands, doing:
				a.args = b.command()
			case pieces:
				a.raw = b.text(b.byte())
			case doubting:
				a.peer = transport.Peer(b.byte() % 3)
			case passings:
				if n := b.byte(); n < 0x80 {
					a.time = durations[n%len(durations)]
				} else {
					a.time = time.Duration(b.number()) * time.Millisecond
				}
			}
			if !yield(a) {
				return
			}
		}
	}
}

// encodeOperations writes operations of transcripts so that decodeOperations reads them, behind a byte
// for the options.
func encodeOperations(options byte, operations []operation) []byte {
	b := []byte{options}
	for _, a := range operations {
		b = append(b, byte(int(a.kind)+a.client*int(operationKinds)))
		switch a.kind {
		case commands:
			b = appendCommand(b, a.args)
		case passings:
			if i := slices.Index(durations, a.time); i >= 0 {
				b = append(b, byte(i))
			} else {
				b = binary.BigEndian.AppendUint16(append(b, 0x80), uint16(a.time.Milliseconds()))
			}
		}
	}
	return b
}

func appendCommand(b []byte, args []string) []byte {
	row, words := slices.Index(commandRows(), args[0]), 1
	if len(args) > 1 {
		if sub := slices.Index(commandRows(), args[0]+"|"+args[1]); sub >= 0 {
			row, words = sub, 2
		}
	}
	if row < 0 {
		row, words = noRow, 0
	}
	b = binary.BigEndian.AppendUint16(b, uint16(row))
	b = append(b, byte(len(args)-words))
	for _, arg := range args[words:] {
		if i := slices.Index(frequentWords, arg); i >= 0 {
			b = binary.BigEndian.AppendUint16(b, uint16(i))
		} else if i := slices.Index(otherWords, arg); i >= 0 {
			b = binary.BigEndian.AppendUint16(b, uint16(fromOthers+i))
		} else {
			b = append(binary.BigEndian.AppendUint16(b, uint16(spelledOut+len(arg))), arg...)
		}
	}
	return b
}

// operationsOf reads the operations in a transcript. Names of commands become those of their
// rows, and the number of a client is what a play gives it.
func operationsOf(transcript string) (operations []operation) {
	clients := map[string]int{}
	client := func(name string) int {
		if _, known := clients[name]; !known {
			clients[name] = len(clients) % fuzzClients
		}
		return clients[name]
	}
	for line := range strings.Lines(transcript) {
		who, what, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case strings.HasSuffix(who, ">"):
			a := operation{client: client(strings.TrimSuffix(who, ">"))}
			for name, number := range clients {
				what = strings.ReplaceAll(what, "{"+name+"}", strconv.Itoa(number+1))
			}
			words, _ := resp.SplitLine([]byte(what))
			for _, word := range words {
				a.args = append(a.args, string(word))
			}
			for n := min(2, len(a.args)); n > 0; n-- {
				if c := testTable.Named([]byte(strings.Join(a.args[:n], "|"))); c != nil {
					copy(a.args, strings.Split(c.FullName, "|"))
					break
				}
			}
			if 0 < len(a.args) && len(a.args) < mostArguments {
				operations = append(operations, a)
			}
		case what == "closes":
			operations = append(operations, operation{kind: closings, client: client(who)})
		case who == "wait":
			if d, err := time.ParseDuration(what); err == nil {
				operations = append(operations, operation{kind: passings, time: d})
			}
		}
	}
	return operations
}

package broker

import (
	"bytes"
	"fmt"

	"redrpc/broker/internal/resp"
)

// Seed runs the commands in a text, one per line, and adds to what there is: a
// [Broker.Snapshot], or one written by hand. Words are separated by spaces and quoted
// as redis-cli takes them. Lines that are empty or begin with # are passed over, and
// lines may be indented.
//
//	err := b.Seed(`
//		RPUSH jobs one two
//		SET greeting "hello\n" PX 1500
//	`)
//
// It begins in database 0; SELECT changes that, and other commands are those of
// [Broker.Do]. Nobody sees the text half run, as with a transaction. If a line is not
// a command nothing is run; if one fails, those before it have been run. The error
// says which, and is an [Error] if it is that of a command.
//
// To go back to a snapshot, put FLUSHALL before it, and FUNCTION FLUSH if there are functions.
func (b *Broker) Seed(text string) error {
	b.enterIdle()
	defer b.leave()
	if b.closed {
		return ErrClosed
	}
	if err := b.seed([]byte(text)); err != nil {
		return fmt.Errorf("broker: Seed: %w", err)
	}
	return nil
}

// seed runs the commands in a text, after it has looked at all of them.
func (b *Broker) seed(text []byte) error {
	type line struct {
		number int
		text   []byte
		args   [][]byte
	}
	var lines []line
	number := 0
	for given := range bytes.Lines(text) {
		number++
		given = bytes.Trim(given, " \t\n\v\f\r")
		if len(given) == 0 || given[0] == '#' {
			continue
		}
		args, closed := resp.SplitLine(given)
		if !closed {
			return fmt.Errorf("line %d, %.80s: a quote is not closed, or not followed by a space", number, given)
		}
		if _, err := b.internalCommand(args); err != nil {
			return fmt.Errorf("line %d, %.80s: %w", number, given, Error(err.Text))
		}
		lines = append(lines, line{number, given, args})
	}
	s := b.newInternalClient(b.keys.DBs[0])
	for _, l := range lines {
		if r := s.runInternal(l.args); r.Kind == resp.KindError {
			return fmt.Errorf("line %d, %.80s: %w", l.number, l.text, Error(r.Text))
		}
	}
	return nil
}

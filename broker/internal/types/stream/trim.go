package stream

import (
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// A strategy says up to where a stream is trimmed.
type strategy uint8

const (
	noTrimming strategy = iota
	toLength            // MAXLEN: so many entries stay
	toID                // MINID: those of lesser IDs go
)

// trimming is what XTRIM, or XADD besides adding, is to do.
type trimming struct {
	strategy    strategy
	length      int
	least       entryID
	approximate bool // only whole nodes are removed
	limit       int  // how many entries are removed at most; 0: any number
}

// addOptions are those of XADD.
type addOptions struct {
	trimming
	keepMissing bool // a stream that does not exist is not made
	idGiven     bool
	id          entryID
	anySeq      bool // of the ID only the milliseconds are given
}

// Errors of options.
var (
	bothStrategies  = resp.ErrorReply("ERR syntax error, MAXLEN and MINID options at the same time are not compatible")
	lengthNegative  = resp.ErrorReply("ERR The MAXLEN argument must be >= 0.")
	limitNegative   = resp.ErrorReply("ERR The LIMIT argument must be >= 0.")
	limitAlone      = resp.ErrorReply("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
	noStrategy      = resp.ErrorReply("ERR syntax error, XTRIM must be called with a trimming strategy")
	limitWhereExact = resp.ErrorReply("ERR syntax error, LIMIT cannot be used without the special ~ option")
)

// trimParser reads the options that XADD and XTRIM share.
type trimParser struct {
	*trimming
	limit      int64
	limitGiven bool
}

// next reads an option that args begin with. It returns how many arguments that has, 0 if it is
// none of these options.
func (p *trimParser) next(args [][]byte) (n int, err *resp.Reply) {
	if len(args) < 2 {
		return 0, nil
	}
	switch {
	case resp.Is(args[0], "MAXLEN"):
		return p.parseStrategy(toLength, args)
	case resp.Is(args[0], "MINID"):
		return p.parseStrategy(toID, args)
	case resp.Is(args[0], "LIMIT"):
		var isInt bool
		switch p.limit, isInt = resp.ParseInt(args[1]); {
		case !isInt:
			return 0, &resp.NotAnInteger
		case p.limit < 0:
			return 0, &limitNegative
		}
		p.limitGiven = true
		return 2, nil
	}
	return 0, nil
}

// parseStrategy reads MAXLEN or MINID, with ~ or = before the value or without.
func (p *trimParser) parseStrategy(to strategy, args [][]byte) (n int, err *resp.Reply) {
	if p.strategy != noTrimming {
		return 0, &bothStrategies
	}
	p.approximate = false
	n = 2
	if value := args[1]; len(args) > 2 && len(value) == 1 && (value[0] == '~' || value[0] == '=') {
		p.approximate = value[0] == '~'
		n = 3
	}
	p.strategy = to
	if to == toID {
		p.least, err = parseID(args[n-1])
		return n, err
	}
	length, isInt := resp.ParseInt(args[n-1])
	switch {
	case !isInt:
		return 0, &resp.NotAnInteger
	case length < 0:
		return 0, &lengthNegative
	}
	p.length = int(length)
	return n, nil
}

// The limits of how many entries are removed approximately, where none is given.
const (
	nodesTrimmed       = 100
	leastDefaultLimit  = 10_000
	greatestTrimLimit  = 1_000_000
	greatestNodeOfThat = greatestTrimLimit / nodesTrimmed
)

// end checks the options together.
func (p *trimParser) end(c *keyspace.Call, isTrim bool) *resp.Reply {
	switch {
	case p.limit > 0 && p.strategy == noTrimming:
		return &limitAlone
	case isTrim && p.strategy == noTrimming:
		return &noStrategy
	case p.limitGiven && !p.approximate:
		return &limitWhereExact
	case p.limitGiven:
		p.trimming.limit = int(p.limit)
	case p.approximate:
		p.trimming.limit = nodesTrimmed * min(c.StreamEntries, greatestNodeOfThat)
		if p.trimming.limit == 0 {
			p.trimming.limit = leastDefaultLimit
		}
	}
	return nil
}

// parse reads the options of XTRIM.
func (o *trimming) parse(c *keyspace.Call, args [][]byte) *resp.Reply {
	p := trimParser{trimming: o}
	for len(args) > 0 {
		n, err := p.next(args)
		switch {
		case err != nil:
			return err
		case n == 0:
			return &resp.SyntaxError
		}
		args = args[n:]
	}
	return p.end(c, true)
}

// parse reads the options of XADD and the ID, and returns the fields and values behind them.
func (o *addOptions) parse(c *keyspace.Call, args [][]byte) (pairs [][]byte, err *resp.Reply) {
	p := trimParser{trimming: &o.trimming}
	for len(args) > 0 {
		if len(args[0]) == 1 && args[0][0] == '*' {
			return args[1:], p.end(c, false)
		}
		n, err := p.next(args)
		switch {
		case err != nil:
			return nil, err
		case n > 0:
			args = args[n:]
		case resp.Is(args[0], "NOMKSTREAM"):
			o.keepMissing = true
			args = args[1:]
		default:
			o.idGiven = true
			if o.id, o.anySeq, err = (idForm{anySeq: true}).parse(args[0]); err != nil {
				return nil, err
			}
			return args[1:], p.end(c, false)
		}
	}
	return nil, p.end(c, false)
}

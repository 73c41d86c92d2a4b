package broker

// A replyMode is which replies a client has asked not to be sent, by CLIENT REPLY.
type replyMode uint8

const (
	skipping replyMode = 1 << iota // that to the running command
	skipNext                       // that to the next one
	silent                         // all
)

// suppresses reports whether a reply is not sent. What comes out of band is, and so are
// answers to SUBSCRIBE and the like.
func (q replyMode) suppresses(r *Reply) bool {
	return q&(skipping|silent) != 0 && r.Kind != KindPush && r.Kind != KindSequence
}

// nextCommand goes on to the next command.
func (q *replyMode) nextCommand() {
	if *q != 0 {
		*q = *q&silent | *q&skipNext>>1
	}
}

func clientReply(c *call, args [][]byte) Reply {
	q := &c.session.replyMode
	switch {
	case Is(args[2], "ON"):
		*q &^= skipping | silent
		return OK
	case Is(args[2], "OFF"):
		*q |= silent
	case Is(args[2], "SKIP"):
		if *q&silent == 0 { // else RESET, which ends the silence, would be skipped
			*q |= skipNext
		}
	default:
		return SyntaxError
	}
	return Nothing
}

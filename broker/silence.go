package broker

// A silence is which replies a client has asked not to be sent, by CLIENT REPLY.
type silence uint8

const (
	skipping silence = 1 << iota // that to the running command
	skipNext                     // that to the next one
	silent                       // all
)

// covers reports whether a reply is not sent. What comes out of band is, and so are
// answers to SUBSCRIBE and the like.
func (q silence) covers(r *reply) bool {
	return q&(skipping|silent) != 0 && r.kind != kindPush && r.kind != kindSequence
}

// pass goes on to the next command.
func (q *silence) pass() {
	if *q != 0 {
		*q = *q&silent | *q&skipNext>>1
	}
}

func clientReply(c *call, args [][]byte) reply {
	q := &c.session.silence
	switch {
	case is(args[2], "ON"):
		*q &^= skipping | silent
		return ok
	case is(args[2], "OFF"):
		*q |= silent
	case is(args[2], "SKIP"):
		if *q&silent == 0 { // else RESET, which ends the silence, would be skipped
			*q |= skipNext
		}
	default:
		return syntaxError
	}
	return nothing
}

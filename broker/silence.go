package broker

import "redrpc/broker/internal/resp"

// A replyMode is which replies a client has asked not to be sent, by CLIENT REPLY.
type replyMode uint8

const (
	skipping replyMode = 1 << iota // that to the running command
	skipNext                       // that to the next one
	silent                         // all
)

// suppresses reports whether a reply is not sent. What comes out of band is, and so are
// answers to SUBSCRIBE and the like.
func (q replyMode) suppresses(r *resp.Reply) bool {
	return q&(skipping|silent) != 0 && r.Kind != resp.KindPush && r.Kind != resp.KindSequence
}

// nextCommand goes on to the next command.
func (q *replyMode) nextCommand() {
	if *q != 0 {
		*q = *q&silent | *q&skipNext>>1
	}
}

func clientReply(c *call, args [][]byte) resp.Reply {
	q := &c.session.replyMode
	switch {
	case resp.Is(args[2], "ON"):
		*q &^= skipping | silent
		return resp.OK
	case resp.Is(args[2], "OFF"):
		*q |= silent
	case resp.Is(args[2], "SKIP"):
		if *q&silent == 0 { // else RESET, which ends the silence, would be skipped
			*q |= skipNext
		}
	default:
		return resp.SyntaxError
	}
	return resp.Nothing
}

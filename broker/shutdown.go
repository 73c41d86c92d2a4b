package broker

import "log/slog"

// shutdown closes the broker, without an answer to anybody. Nothing can be saved, so
// it is refused where that is asked for, unless by force.
func shutdown(c *call, args [][]byte) Reply {
	var save, noSave, now, force, abort bool
	for _, arg := range args[1:] {
		switch {
		case Is(arg, "SAVE"):
			save = true
		case Is(arg, "NOSAVE"):
			noSave = true
		case Is(arg, "NOW"): // not waiting for replicas, which there are none of
			now = true
		case Is(arg, "FORCE"):
			force = true
		case Is(arg, "ABORT"):
			abort = true
		default:
			return SyntaxError
		}
	}
	switch {
	case save && noSave, abort && (save || noSave || now || force):
		return SyntaxError
	case abort:
		return ErrorReply("ERR No shutdown in progress.")
	case save && !force:
		return ErrorReply("ERR Errors trying to SHUTDOWN. Check logs.")
	}
	c.log(slog.LevelInfo, "closed by SHUTDOWN", "client", c.session.String())
	c.shut()
	return Nothing
}

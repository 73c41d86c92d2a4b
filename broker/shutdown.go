package broker

import "log/slog"

// shutdown closes the broker, without an answer to anybody. Nothing can be saved, so
// it is refused where that is asked for, unless by force.
func shutdown(c *call, args [][]byte) reply {
	var save, noSave, now, force, abort bool
	for _, arg := range args[1:] {
		switch {
		case is(arg, "SAVE"):
			save = true
		case is(arg, "NOSAVE"):
			noSave = true
		case is(arg, "NOW"): // not waiting for replicas, which there are none of
			now = true
		case is(arg, "FORCE"):
			force = true
		case is(arg, "ABORT"):
			abort = true
		default:
			return syntaxError
		}
	}
	switch {
	case save && noSave, abort && (save || noSave || now || force):
		return syntaxError
	case abort:
		return failure("ERR No shutdown in progress.")
	case save && !force:
		return failure("ERR Errors trying to SHUTDOWN. Check logs.")
	}
	c.log(slog.LevelInfo, "closed by SHUTDOWN", "client", c.session.String())
	c.shut()
	return nothing
}

package broker

import (
	"log/slog"

	"redrpc/broker/internal/resp"
)

// shutdown closes the broker, without an answer to anybody. Nothing can be saved, so
// it is refused where that is asked for, unless by force.
func shutdown(c *call, args [][]byte) resp.Reply {
	var save, noSave, now, force, abort bool
	for _, arg := range args[1:] {
		switch {
		case resp.Is(arg, "SAVE"):
			save = true
		case resp.Is(arg, "NOSAVE"):
			noSave = true
		case resp.Is(arg, "NOW"): // not waiting for replicas, which there are none of
			now = true
		case resp.Is(arg, "FORCE"):
			force = true
		case resp.Is(arg, "ABORT"):
			abort = true
		default:
			return resp.SyntaxError
		}
	}
	switch {
	case save && noSave, abort && (save || noSave || now || force):
		return resp.SyntaxError
	case abort:
		return resp.ErrorReply("ERR No shutdown in progress.")
	case save && !force:
		return resp.ErrorReply("ERR Errors trying to SHUTDOWN. Check logs.")
	}
	c.log(slog.LevelInfo, "closed by SHUTDOWN", "client", c.session.String())
	c.shut()
	return resp.Nothing
}

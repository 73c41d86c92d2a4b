package broker

import (
	"log/slog"

	"redrpc/broker/internal/resp"
)

// A web page can make a browser send requests over HTTP to any port of the machine it
// runs on, with commands in their text. As in Redis, the line that such a request has to
// begin with, or the header that it has to have, ends the connection before they are read.

// isHTTP reports whether what would be an unknown command is a line of HTTP.
func isHTTP(args [][]byte) bool {
	return resp.Is(args[0], "POST") || resp.Is(args[0], "HOST:")
}

// refuseHTTP ends the connection of a client that speaks HTTP.
func (s *session) refuseHTTP(args [][]byte) {
	b := s.broker
	b.log(slog.LevelWarn, "client closed: it sent a line of HTTP, perhaps for a web page that wants to send commands", "client", s.String())
	if b.observed {
		if l := s.note(nil, Dropped, "", 0); l != nil {
			l.args = appendArguments(l.args, nil, args)
		}
	}
	s.abort()
}

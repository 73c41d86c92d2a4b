package broker

import (
	"slices"
	"strconv"
	"strings"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// What the logs keep of a command's arguments: as much as Redis's slow log, and no
// secrets.

const (
	keptArguments = 32  // of a command
	keptBytes     = 128 // of an argument
	redacted      = "(redacted)"
)

// appendArguments appends to b what is kept of arguments, each behind a byte that is
// its length. The command is nil if the broker does not know it.
func appendArguments(b []byte, cmd *command.Command, args [][]byte) []byte {
	for i, arg := range args {
		at := len(b)
		b = append(b, 0)
		left := len(args) - i
		switch {
		case i == keptArguments-1 && left > 1:
			b = append(strconv.AppendInt(append(b, "... ("...), int64(left), 10), " more arguments)"...)
			b[at] = byte(len(b) - at - 1)
			return b
		case isSecret(cmd, args, i):
			b = append(b, redacted...)
		case len(arg) > keptBytes:
			b = append(append(b, arg[:keptBytes]...), "... ("...)
			b = append(strconv.AppendInt(b, int64(len(arg)-keptBytes), 10), " more bytes)"...)
		default:
			b = append(b, arg...)
		}
		b[at] = byte(len(b) - at - 1)
	}
	return b
}

// keptArgumentsOf reads what appendArguments has written.
func keptArgumentsOf(b []byte) []string {
	var args []string
	for len(b) > 0 {
		end := 1 + int(b[0])
		args = append(args, string(b[1:end]))
		b = b[end:]
	}
	return args
}

// secretSettings are those that Redis does not show either.
var secretSettings = []string{"requirepass", "masterauth", "masteruser", "tls-key-file-pass", "tls-client-key-file-pass"}

// isSecret reports whether an argument is not to be shown: a password, or what may
// be one. The command is nil if the broker does not know it.
func isSecret(c *command.Command, args [][]byte, i int) bool {
	name := ""
	if c != nil {
		name = c.FullName
	}
	switch {
	case i == 0:
		return false
	case name == "auth":
		return true
	case name == "hello": // AUTH user password
		return i > 2 && resp.Is(args[i-1], "AUTH") || i > 3 && resp.Is(args[i-2], "AUTH")
	case name == "config|set":
		if len(args)%2 != 0 { // it is not clear what belongs to what
			return slices.ContainsFunc(args[2:max(i, 2)], isSecretSetting)
		}
		return i%2 == 1 && isSecretSetting(args[i-1])
	case name == "acl|setuser":
		return i > 1
	case c == nil: // MIGRATE or ACL, for example
		hidesAll := func(arg []byte) bool { return resp.Is(arg, "AUTH") || resp.Is(arg, "AUTH2") || resp.Is(arg, "SETUSER") }
		return slices.ContainsFunc(args[:i], hidesAll)
	}
	return false
}

func isSecretSetting(name []byte) bool {
	return slices.Contains(secretSettings, strings.ToLower(string(name)))
}

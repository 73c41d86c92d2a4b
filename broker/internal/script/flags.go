package script

import (
	"bytes"
	"fmt"
	"strings"

	"redrpc/broker/internal/resp"
)

// Flags are those of a script's first line, such as "#!lua flags=no-writes".
type Flags uint8

// The flags.
const (
	NoWrites Flags = 1 << iota
	AllowOOM
	AllowStale
	NoCluster
	AllowCrossSlot
	Declared // the script has such a line: without one it may do anything
)

var flagNames = map[string]Flags{
	"no-writes": NoWrites, "allow-oom": AllowOOM, "allow-stale": AllowStale, "no-cluster": NoCluster, "allow-cross-slot-keys": AllowCrossSlot,
}

// ParseFlags reads the first line of a script, if it begins with #!, and returns how long
// it is, or what is wrong with it.
func ParseFlags(body []byte) (f Flags, length int, wrong string) {
	if !bytes.HasPrefix(body, []byte("#!")) {
		return 0, 0, ""
	}
	length = bytes.IndexByte(body, '\n')
	if length < 0 {
		return 0, 0, "Invalid script shebang"
	}
	words, valid := resp.SplitLine(body[:length])
	switch {
	case !valid || len(words) == 0:
		return 0, 0, "Invalid engine in script shebang"
	case string(words[0]) != "#!lua":
		return 0, 0, fmt.Sprintf("Unexpected engine in script shebang: %s", words[0])
	}
	f = Declared
	for _, word := range words[1:] {
		names, isFlags := strings.CutPrefix(string(word), "flags=")
		if !isFlags {
			return 0, 0, fmt.Sprintf("Unknown lua shebang option: %s", word)
		}
		if names == "" {
			continue
		}
		for name := range strings.SplitSeq(names, ",") {
			flag, known := flagNames[name]
			if !known {
				return 0, 0, fmt.Sprintf("Unexpected flag in script shebang: %s", name)
			}
			f |= flag
		}
	}
	return f, length, ""
}

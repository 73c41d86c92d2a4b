package script

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"redrpc/broker/internal/resp"
)

// Flags are those of a function, or of the first line of a script of EVAL, such as
// "#!lua flags=no-writes".
type Flags uint8

// The flags.
const (
	NoWrites Flags = 1 << iota
	AllowOOM
	AllowStale
	NoCluster
	AllowCrossSlot
	Declared // it is a function or has such a line: a script without one may do anything
)

var flagNames = [...]string{"no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"}

// flagNamed is the flag of a name, or 0.
func flagNamed(name string) Flags {
	if i := slices.Index(flagNames[:], name); i >= 0 {
		return 1 << i
	}
	return 0
}

// Names lists the flags that are set, in Redis's order.
func (f Flags) Names() []string {
	var names []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
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
			flag := flagNamed(name)
			if flag == 0 {
				return 0, 0, fmt.Sprintf("Unexpected flag in script shebang: %s", name)
			}
			f |= flag
		}
	}
	return f, length, ""
}

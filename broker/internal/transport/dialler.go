package transport

import (
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// An origin is who opened a connection in memory, as a call stack. A pool of
// connections may dial in a goroutine of its own, which knows nothing of its user;
// so who wrote first is kept, too.
type origin struct{ dialled, written []uintptr }

func (o *origin) dial()  { o.dialled = callers() }
func (o *origin) write() { o.written = callers() }

func callers() []uintptr {
	var pcs [32]uintptr
	return slices.Clone(pcs[:runtime.Callers(4, pcs[:])])
}

// String is the file and the line of the first caller outside this module and
// go-redis, or "" if there was none.
func (o *origin) String() string {
	for _, pcs := range [][]uintptr{o.dialled, o.written} {
		if len(pcs) == 0 {
			continue
		}
		frames := runtime.CallersFrames(pcs)
		for {
			frame, more := frames.Next()
			if !isInner(frame) {
				return shortPath(frame.File) + ":" + strconv.Itoa(frame.Line)
			}
			if !more {
				break
			}
		}
	}
	return ""
}

// innerPackages begin the names of functions that a reader does not look for.
var innerPackages = []string{
	"runtime.", "testing.", "internal/", "sync.", "context.", "bufio.", "io.", "net.", "crypto/tls.",
	"github.com/redis/go-redis/",
	strings.TrimSuffix(reflect.TypeFor[MemoryClient]().PkgPath(), "broker/internal/transport"), // this module
}

func isInner(frame runtime.Frame) bool {
	isTest := strings.HasSuffix(frame.File, "_test.go")
	return slices.ContainsFunc(innerPackages, func(prefix string) bool {
		return strings.HasPrefix(frame.Function, prefix) && !isTest
	})
}

// shortPath is a path below the working directory, if it is there.
func shortPath(path string) string {
	here, err := filepath.Abs(".")
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(short) {
		return short
	}
	return path
}

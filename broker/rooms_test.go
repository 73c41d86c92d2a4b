package broker_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms are the packages of the broker, lowest first. One imports only those of lines
// above its own: those of a line do not know each other. docs/architecture.md says what
// each is for.
var rooms = [][]string{
	{"internal/resp", "internal/alarm", "internal/glob", "internal/dict", "internal/lua", "internal/hyperloglog", "internal/geohash"},
	{"internal/rdb", "internal/transport", "internal/lualib"},
	{"internal/keyspace", "internal/script"},
	{"internal/command"},
	{"internal/acl", "internal/types/keys", "internal/types/list", "internal/types/str", "internal/types/hash", "internal/types/set", "internal/types/zset", "internal/types/stream"},
	{"."}, // the engine
	{"brokertest"},
}

// joins is the one file of the engine that names types.
const joins = "table.go"

// misplaced says which imports are not as rooms and joins have them. It is given the
// imports of each file, by its path in the broker's directory.
func misplaced(imports map[string][]string) (wrong []string) {
	place := map[string]int{}
	for i, line := range rooms {
		for _, room := range line {
			place[room] = i
		}
	}
	for _, file := range slices.Sorted(maps.Keys(imports)) {
		own := path.Dir(file)
		at, known := place[own]
		if !known {
			wrong = append(wrong, fmt.Sprintf("%s: the package has no place in rooms_test.go", file))
			continue
		}
		for _, name := range imports[file] {
			room, ours := strings.CutPrefix(name, "redrpc/broker")
			if room = strings.TrimPrefix(room, "/"); room == "" {
				room = "."
			}
			switch below, known := place[room]; {
			case !ours:
			case !known:
				wrong = append(wrong, fmt.Sprintf("%s imports %s, which has no place in rooms_test.go", file, name))
			case below >= at:
				wrong = append(wrong, fmt.Sprintf("%s imports %s, which is not below it", file, name))
			case own == "." && strings.HasPrefix(room, "internal/types/") && file != joins:
				wrong = append(wrong, fmt.Sprintf("%s imports %s, which only %s may", file, name, joins))
			}
		}
	}
	return wrong
}

// Imports go down only.
func TestRooms(t *testing.T) {
	imports := map[string][]string{}
	files := token.NewFileSet()
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "testdata":
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(files, name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		imports[name] = nil
		for _, i := range parsed.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			imports[name] = append(imports[name], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(imports[joins]) == 0 {
		t.Fatalf("%s imports nothing: not all files were read", joins)
	}
	for _, w := range misplaced(imports) {
		t.Error(w)
	}
}

// The test before this one sees what it is for.
func TestMisplacedImportsAreSeen(t *testing.T) {
	for _, c := range []struct{ file, imported, want string }{
		{"table.go", "redrpc/broker/internal/types/list", ""},
		{"blocked.go", "redrpc/broker/internal/keyspace", ""},
		{"internal/types/list/list.go", "redrpc/broker/internal/keyspace", ""},
		{"internal/types/list/list.go", "slices", ""},
		{"brokertest/brokertest.go", "redrpc/broker", ""},
		{"blocked.go", "redrpc/broker/internal/types/list", "blocked.go imports redrpc/broker/internal/types/list, which only table.go may"},
		{"internal/keyspace/call.go", "redrpc/broker/internal/types/list", "internal/keyspace/call.go imports redrpc/broker/internal/types/list, which is not below it"},
		{"internal/keyspace/call.go", "redrpc/broker/internal/command", "internal/keyspace/call.go imports redrpc/broker/internal/command, which is not below it"},
		{"internal/types/list/list.go", "redrpc/broker/internal/types/str", "internal/types/list/list.go imports redrpc/broker/internal/types/str, which is not below it"},
		{"internal/resp/reply.go", "redrpc/broker", "internal/resp/reply.go imports redrpc/broker, which is not below it"},
		{"internal/resp/reply.go", "redrpc/broker/brokertest", "internal/resp/reply.go imports redrpc/broker/brokertest, which is not below it"},
		{"broker.go", "redrpc/broker/internal/attic", "broker.go imports redrpc/broker/internal/attic, which has no place in rooms_test.go"},
		{"internal/attic/attic.go", "fmt", "internal/attic/attic.go: the package has no place in rooms_test.go"},
	} {
		got := strings.Join(misplaced(map[string][]string{c.file: {"fmt", c.imported}}), "\n")
		if got != c.want {
			t.Errorf("%s imports %s: got %q, want %q", c.file, c.imported, got, c.want)
		}
	}
}

package lualib

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

// Scripts (testdata/*.txt) are lines, each with the line "= " and its reply below: what it
// returned, quoted, or its error from the - on. They run here and on a real redis-server,
// which is right where the two differ: -update writes what it answers into the files.
var update = flag.Bool("update", false, "write the replies of redis-server into the files of scripts")

// prelude stands before each script: show makes text of values, tables in the order of
// their keys, unless one is a table, as the order is by its address then; try shows what a call returns or raises, and join more of them; hex shows a
// string's bytes.
const prelude = `local function show(...) local r = {} for i = 1, select('#', ...) do local v = select(i, ...) local t = type(v) ` +
	`if t == 'number' then r[i] = string.format('%.17g', v) elseif t == 'string' then r[i] = string.format('%q', v) ` +
	`elseif t == 'table' then local x, any = {} for k, e in pairs(v) do x[#x+1] = show(k) .. '=' .. show(e) any = any or type(k) == 'table' end if any then table.sort(x) end r[i] = '{' .. table.concat(x, ' ') .. '}' ` +
	`elseif v == cjson.null then r[i] = 'null' elseif t == 'nil' or t == 'boolean' then r[i] = tostring(v) else r[i] = t end end return table.concat(r, ' ') end ` +
	`local function try(...) return show(pcall(...)) end ` +
	`local function join(...) local r = {...} for i, v in ipairs(r) do r[i] = tostring(v) end return table.concat(r, ' | ') end ` +
	`local function hex(s) return (s:gsub('.', function(c) return string.format('%02x', c:byte()) end)) end `

// A runner answers scripts.
type runner func(t testing.TB, script string) string

// newRunner makes a state with the libraries, which all scripts share.
func newRunner() runner {
	s := newState()
	return func(t testing.TB, script string) string {
		f, err := s.Load(prelude+script, "@user_script")
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		results, err := s.Call(f)
		if err != nil {
			return "-ERR " + err.Error()
		}
		if len(results) == 0 {
			return "nothing"
		}
		text, ok := results[0].AsString()
		if !ok {
			return results[0].Type().String()
		}
		return strconv.Quote(text)
	}
}

// whereScript is what Redis adds to the error of a script.
var whereScript = regexp.MustCompile(` script: [0-9a-f]{40}, on @user_script:1\.$`)

// newRedis starts a redis-server to answer scripts.
func newRedis(t testing.TB) runner {
	rdb := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr, MaxRetries: -1})
	t.Cleanup(func() { rdb.Close() })
	return func(t testing.TB, script string) string {
		reply, err := rdb.Eval(context.Background(), prelude+script, nil).Result()
		var refused redis.Error
		switch {
		case errors.As(err, &refused) && !errors.Is(err, redis.Nil):
			return "-" + whereScript.ReplaceAllString(err.Error(), "")
		case err != nil:
			t.Fatalf("%s: %v", script, err)
		}
		return strconv.Quote(fmt.Sprint(reply))
	}
}

func TestScripts(t *testing.T) {
	t.Run("state", func(t *testing.T) { runScripts(t, newRunner()) })
	t.Run("redis", func(t *testing.T) { runScripts(t, newRedis(t)) })
}

func runScripts(t *testing.T, run runner) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			write := *update && strings.Contains(t.Name(), "/redis/")
			answered := runFile(t, run, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), write)
			if write {
				if err := os.WriteFile(file, []byte(strings.Join(answered, "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// runFile runs scripts and returns them with their replies.
func runFile(t *testing.T, run runner, lines []string, write bool) (answered []string) {
	for i, line := range lines {
		if strings.HasPrefix(line, "= ") {
			continue
		}
		answered = append(answered, line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		got := "= " + run(t, line)
		answered = append(answered, got)
		switch {
		case write:
		case i+1 == len(lines) || !strings.HasPrefix(lines[i+1], "= "):
			t.Errorf("line %d: no reply stands below the script", i+1)
		case lines[i+1] != got:
			t.Errorf("line %d: %s\n got %s\nwant %s", i+1, line, got, lines[i+1])
		}
	}
	return answered
}

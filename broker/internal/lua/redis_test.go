package lua

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

var update = flag.Bool("update", false, "write the answers of redis-server into testdata")

// evalOnRedis runs a script on a redis-server and returns what eval would.
func evalOnRedis(c *redis.Client, script string) string {
	v, err := c.Eval(context.Background(), script, nil).Result()
	if err != nil && err != redis.Nil {
		return "-" + err.Error()
	}
	return redisReply(v)
}

func redisReply(v any) string {
	switch v := v.(type) {
	case int64:
		return fmt.Sprintf(":%d", v)
	case string:
		return quote(v)
	case error:
		return "-" + v.Error()
	case []any:
		var all []string
		for _, e := range v {
			all = append(all, redisReply(e))
		}
		return "[" + strings.Join(all, " ") + "]"
	}
	return "nil"
}

func startRedis(t testing.TB) *redis.Client {
	t.Helper()
	server := redistest.Start(t)
	c := redis.NewClient(&redis.Options{Addr: server.Addr, Protocol: 2})
	t.Cleanup(func() { c.Close() })
	return c
}

// The answers in testdata are those of a redis-server.
func TestSnippetsOnRedis(t *testing.T) {
	c := startRedis(t)
	for _, name := range files(t) {
		var out strings.Builder
		for _, s := range readSnippets(t, name) {
			got := evalOnRedis(c, s.script)
			if got != s.answer && !*update {
				t.Errorf("%s: %s\n redis-server answers %s\n        testdata has %s", name, s.script, got, s.answer)
			}
			fmt.Fprintf(&out, "%s\n= %s\n", s.script, got)
		}
		if *update {
			if err := os.WriteFile(name, []byte(header+out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

const header = `# Scripts, and what redis-server 7.0 answers to EVAL SCRIPT 0: strings in quotes, integers behind a colon,
# arrays in brackets, errors behind a dash. The lines with answers are written by go test -run TestSnippetsOnRedis -update.
`

package lua

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
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

var programs = flag.Int("programs", 100, "how many random programs TestProgramsOnRedis compares")

var seed = flag.Uint64("seed", 0, "of the random programs; 0 for one that differs each time")

// Random programs are compiled and answered as redis-server does.
func TestProgramsOnRedis(t *testing.T) {
	c := startRedis(t)
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d", *seed)
	g := &generator{Rand: rand.New(rand.NewPCG(*seed, 0))}
	ended := 0 // programs without an error at the end
	for n := range *programs {
		source := g.program()
		dump := "return string.dump(loadstring(" + string(appendQuoted(nil, source)) + ", '=dumped'))"
		if got, want := eval(newProtected(), dump), evalOnRedis(c, dump); got != want {
			t.Fatalf("program %d is compiled to\n%s\nnot\n%s\n%s", n, got, want, source)
		}
		if got, want := eval(newProtected(), source), evalOnRedis(c, source); got != want {
			t.Errorf("program %d is answered\n%s\nnot\n%s\n%s", n, got, want, source)
			return
		} else if !strings.HasPrefix(got, "-") {
			ended++
		}
		if n%1000 == 999 {
			c.ScriptFlush(context.Background())
		}
	}
	if ended < *programs/10 { // a third do, so that chance does not make it fail
		t.Errorf("of %d programs only %d came to their end", *programs, ended)
	}
}

package broker

import (
	"bytes"
	"context"
	"fmt"
	"net"
	program "os/exec"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

// Clients that others wrote find in the broker what they expect of a Redis.

func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	cmd := program.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out.String(), errs.String())
	}
	return out.String()
}

func hostPort(t *testing.T, b *Broker) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(listen(t, b, "tcp", "").String())
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func TestRedisCLI(t *testing.T) {
	cli := redistest.Program(t, "redis-cli")
	b := newBroker(t, Options{})
	host, port := hostPort(t, b)
	for _, protocol := range []string{"-2", "-3"} {
		got := run(t, "FLUSHALL\nSET k \"v w\"\nGET k\nRPUSH l a b\nLRANGE l 0 -1\nMULTI\nLPOP l 2\nEXEC\nBLPOP l 0.01\nCONFIG GET save\nPUBLISH c m\nNOSUCH x\n",
			cli, "-h", host, "-p", port, protocol)
		want := "OK\nOK\nv w\n2\na\nb\nOK\nQUEUED\na\nb\n\nsave\n\n0\nERR unknown command 'NOSUCH', with args beginning with: 'x' \n\n"
		if protocol == "-3" {
			want = strings.Replace(want, "save\n\n", "save \n", 1)
		}
		if got != want {
			t.Errorf("redis-cli %s: got %q, want %q", protocol, got, want)
		}
	}
}

func TestRedisBenchmark(t *testing.T) {
	benchmark := redistest.Program(t, "redis-benchmark")
	b := newBroker(t, Options{})
	host, port := hostPort(t, b)
	for _, pipeline := range []string{"1", "16"} {
		tests := "ping,set,get,incr,lpush,rpush,lpop,rpop,mset"
		out := run(t, "", benchmark, "-h", host, "-p", port, "-t", tests, "-n", "2000", "-c", "50", "-P", pipeline, "--csv")
		for name := range strings.SplitSeq(strings.ToUpper(tests), ",") {
			if !strings.Contains(out, `"`+name) {
				t.Errorf("pipeline %s: no figure for %s in %s", pipeline, name, out)
			}
		}
		t.Logf("%s", out)
	}
	if w := inMemory(t, b); w.do(t, "GET", "counter:__rand_int__") != `"4000"` {
		t.Errorf("the counter was not incremented 4,000 times: %s", w.do(t, "GET", "counter:__rand_int__"))
	}
}

func TestPythonClient(t *testing.T) {
	python := redistest.Python(t, "redis")
	b := newBroker(t, Options{Password: "secret"})
	host, port := hostPort(t, b)
	script := fmt.Sprintf(`
import redis
r = redis.Redis(host=%[1]q, port=%[2]s, password="secret", client_name="py", decode_responses=True)
assert r.ping()
assert r.set("k", "v", ex=100, nx=True) is True
assert r.set("k", "w", nx=True) is None
assert 99 <= r.ttl("k") <= 100
assert r.rpush("l", "a", "b", "c") == 3
assert r.lmpop(2, "x", "l", direction="LEFT", count=2) == ["l", ["a", "b"]]
assert r.blpop(["x", "l"], timeout=1) == ("l", "c")
assert r.blpop("l", timeout=0.05) is None
with r.pipeline(transaction=True) as p:
    p.incr("n").incr("n").lrange("l", 0, -1)
    assert p.execute() == [1, 2, []]
with r.pipeline() as p:
    p.watch("n")
    r.incr("n")
    p.multi()
    p.get("n")
    try:
        p.execute()
        raise SystemExit("a watched key changed, and EXEC did not fail")
    except redis.WatchError:
        pass
try:
    r.lpush("k", "x")
    raise SystemExit("LPUSH to a string did not fail")
except redis.ResponseError as e:
    assert str(e) == "WRONGTYPE Operation against a key holding the wrong kind of value", e
sub = r.pubsub()
sub.subscribe("news")
assert sub.get_message(timeout=5)["type"] == "subscribe"
assert r.publish("news", "hello") == 1
assert sub.get_message(timeout=5)["data"] == "hello"
sub.close()
assert sorted(r.scan_iter(match="*")) == ["k", "n"]
assert r.info()["redis_version"] == "7.0.15"
assert r.client_list()[0]["name"] == "py"
assert r.config_get("save") == {"save": ""}
assert "oll" in r.client_info()
r.acl_setuser("bob", enabled=True, nopass=True, commands=["+ping"], reset=True)
try:
    redis.Redis(host=%[1]q, port=%[2]s, username="bob", password="x").get("k")
    raise SystemExit("a user did what it may not")
except redis.exceptions.NoPermissionError:
    pass
assert r.acl_log()[0]["client-info"]["events"] in ("r", "rw")
assert r.command_count() > 60
print("fine")
`, host, port)
	if got := run(t, script, python, "-"); got != "fine\n" {
		t.Errorf("got %q", got)
	}
}

func TestGoRedis(t *testing.T) {
	transports(t, Options{Password: "secret"}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		for _, protocol := range []int{2, 3} {
			rdb := redis.NewClient(&redis.Options{
				Addr: "127.0.0.1:0", Password: "secret", Protocol: protocol, MaxRetries: -1,
				Dialer: func(context.Context, string, string) (net.Conn, error) { return dial(t), nil },
			})
			defer rdb.Close()
			ctx := t.Context()
			if err := rdb.FlushAll(ctx).Err(); err != nil {
				t.Fatal(err)
			}
			cmds, err := rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.RPush(ctx, "l", "a", "b")
				p.LRange(ctx, "l", 0, -1)
				p.ConfigGet(ctx, "save")
				return nil
			})
			if err != nil || len(cmds) != 3 || fmt.Sprint(cmds[1].(*redis.StringSliceCmd).Val()) != "[a b]" ||
				fmt.Sprint(cmds[2].(*redis.MapStringStringCmd).Val()) != "map[save:]" {
				t.Errorf("protocol %d: %v, %v", protocol, cmds, err)
			}
			info, err := rdb.ClientInfo(ctx).Result()
			if err != nil || info.LastCmd != "client|info" {
				t.Errorf("protocol %d: %+v, %v", protocol, info, err)
			}
			if commands, err := rdb.Command(ctx).Result(); err != nil || commands["blpop"] == nil || commands["blpop"].LastKeyPos != -2 {
				t.Errorf("protocol %d: COMMAND: %v", protocol, err)
			}
			sub := rdb.Subscribe(ctx, "news")
			if _, err := sub.Receive(ctx); err != nil {
				t.Fatal(err)
			}
			if n := rdb.Publish(ctx, "news", "hello").Val(); n != 1 {
				t.Errorf("protocol %d: %d subscribers", protocol, n)
			}
			if m, err := sub.ReceiveMessage(ctx); err != nil || m.Payload != "hello" {
				t.Errorf("protocol %d: %v, %v", protocol, m, err)
			}
			if err := sub.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

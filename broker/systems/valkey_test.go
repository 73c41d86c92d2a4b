package systems

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"
)

func valkeyOptions(s server) valkey.ClientOption {
	return valkey.ClientOption{
		InitAddress: []string{s.addr},
		DialCtxFn: func(ctx context.Context, addr string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return s.dial(ctx, "tcp", addr)
		},
	}
}

func TestValkeyGo(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		ctx := t.Context()
		c, err := valkey.NewClient(valkeyOptions(s))
		ok(t, err)
		defer c.Close()
		old := valkeyOptions(s)
		old.AlwaysRESP2, old.DisableCache = true, true
		resp2, err := valkey.NewClient(old)
		ok(t, err)
		defer resp2.Close()
		for n, score := range []float64{30, 10.5, 20} {
			ok(t, c.Do(ctx, c.B().Zadd().Key("board").ScoreMember().ScoreMember(score, fmt.Sprint("player", n)).Build()).Error())
		}
		best := func(c valkey.Client) valkey.Completed {
			return c.B().Zrange().Key("board").Min("+inf").Max("15").Byscore().Rev().Limit(0, 5).Withscores().Build()
		}
		want := []valkey.ZScore{{Member: "player0", Score: 30}, {Member: "player2", Score: 20}}
		for _, client := range []valkey.Client{c, resp2} { // as doubles, and as text
			scores, err := client.Do(ctx, best(client)).AsZScores()
			ok(t, err)
			equal(t, "best", scores, want)
		}
		ok(t, c.Do(ctx, c.B().Hset().Key("profile").FieldValue().FieldValue("name", "Ann").FieldValue("age", "30").Build()).Error())
		for _, client := range []valkey.Client{c, resp2} { // as a map, and as a list
			profile, err := client.Do(ctx, client.B().Hgetall().Key("profile").Build()).AsStrMap()
			ok(t, err)
			equal(t, "profile", profile, map[string]string{"name": "Ann", "age": "30"})
		}

		name := c.B().Hget().Key("profile").Field("name").Cache()
		for _, hit := range []bool{false, true} {
			r := c.DoCache(ctx, name.Pin(), time.Hour)
			ok(t, r.Error())
			equal(t, "from the cache", r.IsCacheHit(), hit)
		}
		ok(t, resp2.Do(ctx, resp2.B().Hset().Key("profile").FieldValue().FieldValue("name", "Bea").Build()).Error())
		eventually(t, "the new name", func() bool {
			text, err := c.DoCache(ctx, name.Pin(), time.Hour).ToString()
			ok(t, err)
			return text == "Bea"
		})
		ok(t, c.Do(ctx, c.B().Sadd().Key("a").Member("1", "2", "3").Build()).Error())
		ok(t, c.Do(ctx, c.B().Sadd().Key("b").Member("2", "3", "4").Build()).Error())
		n, err := c.Do(ctx, c.B().Sinterstore().Destination("both").Key("a", "b").Build()).AsInt64()
		ok(t, err)
		equal(t, "in both", n, 2)
		isMember, err := c.Do(ctx, c.B().Smismember().Key("both").Member("1", "2").Build()).AsIntSlice()
		ok(t, err)
		equal(t, "members", isMember, []int64{0, 1})
		double := valkey.NewLuaScript(`return redis.call('GET', KEYS[1]) * 2`)
		ok(t, c.Do(ctx, c.B().Set().Key("n").Value("21").Build()).Error())
		for _, client := range []valkey.Client{c, resp2} {
			n, err := double.Exec(ctx, client, []string{"n"}, nil).ToInt64()
			ok(t, err)
			equal(t, "doubled", n, 42)
		}
	})
}

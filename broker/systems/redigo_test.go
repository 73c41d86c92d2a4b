package systems

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
)

// redigoPool returns a pool that the test closes.
func redigoPool(t *testing.T, s server) *redis.Pool {
	pool := &redis.Pool{MaxIdle: 3, DialContext: func(ctx context.Context) (redis.Conn, error) {
		return redis.DialContext(ctx, "tcp", s.addr, redis.DialContextFunc(s.dial))
	}}
	t.Cleanup(func() { ok(t, pool.Close()) })
	return pool
}

func TestRedigo(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		c := redigoPool(t, s).Get()
		defer c.Close()
		do := func(command string, args ...any) any {
			t.Helper()
			reply, err := c.Do(command, args...)
			ok(t, err)
			return reply
		}
		type user struct {
			Name  string  `redis:"name"`
			Age   int     `redis:"age"`
			Score float64 `redis:"score"`
			Admin bool    `redis:"admin"`
		}
		ann := user{"Ann", 30, 1.5, true}
		do("HSET", redis.Args{}.Add("user:1").AddFlat(&ann)...)
		fields, err := redis.Values(c.Do("HGETALL", "user:1"))
		ok(t, err)
		var read user
		ok(t, redis.ScanStruct(fields, &read))
		equal(t, "user", read, ann)
		do("ZADD", "board", 1.5, "ann", 3, "bob", "-inf", "cid")
		scores, err := redis.Float64Map(c.Do("ZRANGEBYSCORE", "board", "(1.5", "+inf", "WITHSCORES"))
		ok(t, err)
		equal(t, "scores", scores, map[string]float64{"bob": 3})
		rank, err := redis.Int(c.Do("ZREVRANK", "board", "ann"))
		ok(t, err)
		equal(t, "rank", rank, 1)
		do("SADD", "tags", "x", "y", "z")
		tags, err := redis.Strings(c.Do("SORT", "tags", "ALPHA", "DESC"))
		ok(t, err)
		equal(t, "tags", tags, []string{"z", "y", "x"})

		ok(t, c.Send("MULTI"))
		ok(t, c.Send("INCR", "n"))
		ok(t, c.Send("HINCRBYFLOAT", "user:1", "score", "0.25"))
		results, err := redis.Values(c.Do("EXEC"))
		ok(t, err)
		var n int
		var score float64
		_, err = redis.Scan(results, &n, &score)
		ok(t, err)
		equal(t, "n", n, 1)
		equal(t, "score", score, 1.75)
		_, err = redis.String(c.Do("GET", "none"))
		equal(t, "no such key", errors.Is(err, redis.ErrNil), true)

		for n := range 300 {
			ok(t, c.Send("SADD", "many", n))
		}
		ok(t, c.Flush())
		for range 300 {
			_, err := c.Receive()
			ok(t, err)
		}
		var all []int
		for cursor := "0"; ; {
			page, err := redis.Values(c.Do("SSCAN", "many", cursor, "COUNT", 50))
			ok(t, err)
			var members []int
			_, err = redis.Scan(page, &cursor, &members)
			ok(t, err)
			all = append(all, members...)
			if cursor == "0" {
				break
			}
		}
		slices.Sort(all)
		all = slices.Compact(all)
		equal(t, "scanned", len(all), 300)
		equal(t, "last", all[299], 299)
		fresh := redis.NewScript(1, `
			if redis.call('SETNX', KEYS[1], ARGV[1]) == 1 then
				return redis.call('PEXPIRE', KEYS[1], ARGV[2])
			end
			return redis.status_reply('TAKEN')`)
		made, err := redis.Int(fresh.Do(c, "lock", "me", 60_000))
		ok(t, err)
		equal(t, "made", made, 1)
		taken, err := redis.String(fresh.Do(c, "lock", "other", 60_000))
		ok(t, err)
		equal(t, "taken", taken, "TAKEN")
	})
}

func TestRedigoSubscriptions(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		pool := redigoPool(t, s)
		conn := pool.Get()
		defer conn.Close()
		sub := redis.PubSubConn{Conn: conn}
		ok(t, sub.Subscribe("news", "weather"))
		ok(t, sub.PSubscribe("s*"))
		for n, channel := range []string{"news", "weather", "s*"} {
			got, is := sub.ReceiveWithTimeout(10 * time.Second).(redis.Subscription)
			equal(t, "subscribed", is, true)
			equal(t, "channel", got.Channel, channel)
			equal(t, "count", got.Count, n+1)
		}
		publisher := pool.Get()
		defer publisher.Close()
		for _, channel := range []string{"news", "sport"} {
			n, err := redis.Int(publisher.Do("PUBLISH", channel, "about "+channel))
			ok(t, err)
			equal(t, "receivers", n, 1)
		}
		equal[any](t, "news", sub.ReceiveWithTimeout(10*time.Second), redis.Message{Channel: "news", Data: []byte("about news")})
		equal[any](t, "sport", sub.ReceiveWithTimeout(10*time.Second), redis.Message{Pattern: "s*", Channel: "sport", Data: []byte("about sport")})
		ok(t, sub.Ping("still there"))
		equal[any](t, "pong", sub.ReceiveWithTimeout(10*time.Second), redis.Pong{Data: "still there"})
		ok(t, sub.Unsubscribe())
		ok(t, sub.PUnsubscribe())
		for _, count := range []int{2, 1, 0} {
			got, _ := sub.ReceiveWithTimeout(10 * time.Second).(redis.Subscription)
			if got.Count != count {
				t.Errorf("unsubscribed: got %+v, want %d left", got, count)
			}
		}
	})
}

package systems

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

func rueidisOptions(s server) rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress: []string{s.addr},
		DialCtxFn: func(ctx context.Context, addr string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return s.dial(ctx, "tcp", addr)
		},
	}
}

// rueidisClient returns a client that the test closes. A function may change its options.
func rueidisClient(t *testing.T, s server, change ...func(*rueidis.ClientOption)) rueidis.Client {
	t.Helper()
	options := rueidisOptions(s)
	for _, f := range change {
		f(&options)
	}
	c, err := rueidis.NewClient(options)
	ok(t, err)
	t.Cleanup(c.Close)
	return c
}

// Values that a client has read are in its memory until the server says that they changed.
func TestRueidisClientSideCache(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		ctx := t.Context()
		invalidated := make(chan string, 10)
		c := rueidisClient(t, s, func(o *rueidis.ClientOption) {
			o.OnInvalidations = func(keys []rueidis.RedisMessage) {
				for _, k := range keys {
					name, _ := k.ToString()
					invalidated <- name
				}
			}
		})
		writer := rueidisClient(t, s)
		get := func(key string) rueidis.RedisResult {
			return c.DoCache(ctx, c.B().Get().Key(key).Cache(), time.Hour)
		}
		ok(t, writer.Do(ctx, writer.B().Set().Key("k").Value("old").Build()).Error())
		equal(t, "first", get("k").IsCacheHit(), false)
		second := get("k")
		text, err := second.ToString()
		ok(t, err)
		equal(t, "second", second.IsCacheHit(), true)
		equal(t, "value", text, "old")
		ok(t, writer.Do(ctx, writer.B().Set().Key("k").Value("new").Build()).Error())
		equal(t, "invalidated", receive(t, "an invalidation", invalidated), "k")
		text, err = get("k").ToString()
		ok(t, err)
		equal(t, "value", text, "new")

		if _, err := get("none").ToString(); !rueidis.IsRedisNil(err) {
			t.Errorf("no such key: got %v, want nil", err)
		}
		equal(t, "nothing, from the cache", get("none").IsCacheHit(), true)
		ok(t, writer.Do(ctx, writer.B().Hset().Key("h").FieldValue().FieldValue("f", "1").FieldValue("g", "2").Build()).Error())
		ok(t, writer.Do(ctx, writer.B().Zadd().Key("z").ScoreMember().ScoreMember(1.5, "a").ScoreMember(3, "b").Build()).Error())
		for range 2 {
			replies := c.DoMultiCache(ctx,
				rueidis.CT(c.B().Hgetall().Key("h").Cache(), time.Hour),
				rueidis.CT(c.B().Zrange().Key("z").Min("0").Max("-1").Withscores().Cache(), time.Hour),
				rueidis.CT(c.B().Get().Key("k").Cache(), time.Hour))
			fields, err := replies[0].AsStrMap()
			ok(t, err)
			equal(t, "fields", fields, map[string]string{"f": "1", "g": "2"})
			scores, err := replies[1].AsZScores()
			ok(t, err)
			equal(t, "scores", scores, []rueidis.ZScore{{Member: "a", Score: 1.5}, {Member: "b", Score: 3}})
		}
		values, err := rueidis.MGetCache(c, ctx, time.Hour, []string{"k", "other"})
		ok(t, err)
		other := values["other"]
		equal(t, "a key that is none", other.IsNil(), true)

		ok(t, writer.Do(ctx, writer.B().Set().Key("short").Value("v").Px(50*time.Millisecond).Build()).Error())
		eventually(t, "a key to expire, in the cache too", func() bool { return rueidis.IsRedisNil(get("short").Error()) })
	})
}

// The server tells of all keys with a prefix, also of those that nobody has read.
func TestRueidisBroadcasts(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		ctx := t.Context()
		c := rueidisClient(t, s, func(o *rueidis.ClientOption) {
			o.ClientTrackingOptions = []string{"PREFIX", "user:", "BCAST"}
		})
		key := c.B().Get().Key("user:1").Cache()
		read := func() string {
			text, err := c.DoCache(ctx, key.Pin(), time.Hour).ToString()
			if err != nil && !rueidis.IsRedisNil(err) {
				t.Fatal(err)
			}
			return text
		}
		writer := rueidisClient(t, s)
		ok(t, writer.Do(ctx, writer.B().Set().Key("user:1").Value("one").Build()).Error())
		equal(t, "before", read(), "one")
		ok(t, writer.Do(ctx, writer.B().Set().Key("user:1").Value("two").Build()).Error())
		eventually(t, "the change", func() bool { return read() == "two" })
	})
}

func TestRueidisPipelines(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		ctx, c := t.Context(), rueidisClient(t, s)
		var all sync.WaitGroup
		for range 20 { // in a pipeline of the client's
			all.Go(func() {
				for range 50 {
					if err := c.Do(ctx, c.B().Incr().Key("n").Build()).Error(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		replies := c.DoMulti(ctx,
			c.B().Get().Key("n").Build(),
			c.B().Rpush().Key("list").Element("a", "b", "c").Build(),
			c.B().Lrange().Key("list").Start(0).Stop(-1).Build(),
			c.B().Sadd().Key("set").Member("x", "y", "x").Build(),
			c.B().Smembers().Key("set").Build(),
			c.B().Hincrby().Key("h").Field("f").Increment(5).Build(),
			c.B().Zincrby().Key("z").Increment(2.5).Member("m").Build(),
			c.B().Zpopmin().Key("z").Build(),
			c.B().Incr().Key("list").Build())
		n, err := replies[0].AsInt64()
		ok(t, err)
		equal(t, "n", n, 1000)
		list, err := replies[2].AsStrSlice()
		ok(t, err)
		equal(t, "list", strings.Join(list, " "), "a b c")
		added, err := replies[3].AsInt64()
		ok(t, err)
		equal(t, "added", added, 2)
		set, err := replies[4].AsStrSlice()
		ok(t, err)
		equal(t, "members", len(set), 2)
		popped, err := replies[7].AsZScore()
		ok(t, err)
		equal(t, "popped", popped, rueidis.ZScore{Member: "m", Score: 2.5})
		if err, is := rueidis.IsRedisErr(replies[8].Error()); !is || !strings.HasPrefix(err.Error(), "WRONGTYPE ") {
			t.Errorf("INCR of a list: got %v", err)
		}
		pairs := map[string]string{}
		for n := range 500 {
			pairs[fmt.Sprintf("key:%d", n)] = fmt.Sprint(n)
		}
		for _, err := range rueidis.MSet(c, ctx, pairs) {
			ok(t, err)
		}
		seen := 0
		scanner := rueidis.NewScanner(func(cursor uint64) (rueidis.ScanEntry, error) {
			return c.Do(ctx, c.B().Scan().Cursor(cursor).Match("key:*").Count(100).Build()).AsScanEntry()
		})
		for range scanner.Iter() {
			seen++
		}
		ok(t, scanner.Err())
		equal(t, "scanned", seen, 500)
	})
}

// A dedicated connection is one client's: it watches keys, blocks, or subscribes.
func TestRueidisDedicated(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		ctx, c := t.Context(), rueidisClient(t, s)
		ok(t, c.Dedicated(func(d rueidis.DedicatedClient) error {
			ok(t, d.Do(ctx, d.B().Watch().Key("balance").Build()).Error())
			ok(t, c.Do(ctx, c.B().Set().Key("balance").Value("10").Build()).Error())
			replies := d.DoMulti(ctx, d.B().Multi().Build(), d.B().Incr().Key("balance").Build(), d.B().Exec().Build())
			if err := replies[2].Error(); !rueidis.IsRedisNil(err) {
				t.Errorf("EXEC after a change: got %v, want nil", err)
			}
			ok(t, d.Do(ctx, d.B().Watch().Key("balance").Build()).Error())
			replies = d.DoMulti(ctx, d.B().Multi().Build(), d.B().Incr().Key("balance").Build(), d.B().Exec().Build())
			results, err := replies[2].AsIntSlice()
			equal(t, "balance", results, []int64{11})
			return err
		}))

		popped := make(chan string, 2)
		go func() {
			for range 2 {
				pair, err := c.Do(ctx, c.B().Blpop().Key("jobs").Timeout(10).Build()).AsStrSlice()
				popped <- fmt.Sprint(pair, err)
			}
		}()
		eventually(t, "the client to be blocked", func() bool {
			info, err := c.Do(ctx, c.B().Info().Section("clients").Build()).ToString()
			ok(t, err)
			return strings.Contains(info, "blocked_clients:1")
		})
		ok(t, c.Do(ctx, c.B().Rpush().Key("jobs").Element("one", "two").Build()).Error())
		equal(t, "popped", receive(t, "a job", popped), "[jobs one] <nil>")
		equal(t, "popped", receive(t, "a job", popped), "[jobs two] <nil>")

		listening, stop := context.WithCancel(ctx)
		messages, ended := make(chan rueidis.PubSubMessage, 1), make(chan error, 1)
		go func() {
			ended <- c.Receive(listening, c.B().Psubscribe().Pattern("news.*").Build(), func(m rueidis.PubSubMessage) { messages <- m })
		}()
		eventually(t, "the subscription", func() bool {
			n, err := c.Do(ctx, c.B().Publish().Channel("other").Message("").Build()).AsInt64()
			ok(t, err)
			patterns, err := c.Do(ctx, c.B().PubsubNumpat().Build()).AsInt64()
			ok(t, err)
			return n == 0 && patterns == 1
		})
		ok(t, c.Do(ctx, c.B().Publish().Channel("news.sport").Message("goal").Build()).Error())
		equal(t, "message", receive(t, "a message", messages), rueidis.PubSubMessage{Pattern: "news.*", Channel: "news.sport", Message: "goal"})
		stop()
		if err := receive(t, "the end of the subscription", ended); !errors.Is(err, context.Canceled) {
			t.Errorf("the end of the subscription: got %v", err)
		}
	})
}

func TestRueidisLua(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		ctx, c := t.Context(), rueidisClient(t, s)
		take := rueidis.NewLuaScript(`
			local stock = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
			if stock < tonumber(ARGV[2]) then
				return redis.error_reply('SHORT only ' .. stock .. ' left')
			end
			redis.call('ZINCRBY', KEYS[2], ARGV[2], ARGV[1])
			return {redis.call('HINCRBY', KEYS[1], ARGV[1], -ARGV[2]), 'of', ARGV[1], {false, 1.9}}`)
		keys := []string{"stock", "sold"}
		ok(t, c.Do(ctx, c.B().Hset().Key("stock").FieldValue().FieldValue("pears", "7").Build()).Error())
		for _, want := range []string{"4", "1"} {
			reply, err := take.Exec(ctx, c, keys, []string{"pears", "3"}).ToArray()
			ok(t, err)
			left, err := reply[0].ToInt64()
			ok(t, err)
			equal(t, "left", fmt.Sprint(left), want)
			last, err := reply[3].ToArray()
			ok(t, err)
			number, err := last[1].ToInt64()
			ok(t, err)
			equal(t, "a number without its fraction", number, 1)
			equal(t, "false", last[0].IsNil(), true)
		}
		if err := take.Exec(ctx, c, keys, []string{"pears", "3"}).Error(); err == nil || err.Error() != "SHORT only 1 left" {
			t.Errorf("the script's error: got %v", err)
		}
		sold, err := c.Do(ctx, c.B().Zscore().Key("sold").Member("pears").Build()).AsFloat64()
		ok(t, err)
		equal(t, "sold", sold, 6)
		replies := take.ExecMulti(ctx, c, rueidis.LuaExec{Keys: keys, Args: []string{"pears", "1"}}, rueidis.LuaExec{Keys: keys, Args: []string{"pears", "1"}})
		ok(t, replies[0].Error())
		if err := replies[1].Error(); err == nil || err.Error() != "SHORT only 0 left" {
			t.Errorf("the error of the second: got %v", err)
		}
		count := rueidis.NewLuaScriptReadOnly(`return redis.call('HLEN', KEYS[1])`)
		n, err := count.Exec(ctx, c, []string{"stock"}, nil).ToInt64()
		ok(t, err)
		equal(t, "fields", n, 1)
		writes := rueidis.NewLuaScriptReadOnly(`return redis.call('DEL', KEYS[1])`)
		if err := writes.Exec(ctx, c, []string{"stock"}, nil).Error(); err == nil || !strings.Contains(err.Error(), "Write commands are not allowed from read-only scripts") {
			t.Errorf("a read-only script that writes: got %v", err)
		}
	})
}

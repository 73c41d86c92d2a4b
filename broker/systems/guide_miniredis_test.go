package systems

import (
	"crypto/tls"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	miniserver "github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/broker/brokertest"
	"redrpc/internal/tlstest"
)

// A migration is a miniredis and a broker, which a test uses alike.
type migration struct {
	*testing.T
	m        *miniredis.Miniredis
	old, rdb *redis.Client
	b        *broker.Broker
}

var epoch = time.Unix(1_700_000_000, 0)

// fromMiniredis has a check for each row of "Coming from miniredis" in
// docs/testing-your-queue.md: what the row calls the same does the same.
var fromMiniredis = map[string]func(migration){
	"RunT": func(m migration) {
		equal(m.T, "PING", m.old.Ping(m.Context()).Val(), "PONG")
		equal(m.T, "PING", m.rdb.Ping(m.Context()).Val(), "PONG")
	},
	"RunTLS": func(m migration) {
		certificate, roots := tlstest.Certificate()
		serving, trusting := &tls.Config{Certificates: []tls.Certificate{certificate}}, &tls.Config{RootCAs: roots}
		old, err := miniredis.RunTLS(serving)
		ok(m.T, err)
		defer old.Close()
		addr, err := m.b.ListenTLS("tcp", "127.0.0.1:0", serving)
		ok(m.T, err)
		for _, addr := range []string{old.Addr(), addr.String()} {
			conn, err := tls.Dial("tcp", addr, trusting)
			ok(m.T, err)
			ok(m.T, conn.Close())
		}
	},
	"Addr": func(m migration) {
		addr, err := m.b.Listen("tcp", "127.0.0.1:0")
		ok(m.T, err)
		for _, addr := range []string{m.m.Addr(), addr.String()} {
			conn, err := net.Dial("tcp", addr)
			ok(m.T, err)
			ok(m.T, conn.Close())
		}
	},
	"Dial": func(m migration) {
		conn, err := m.m.Dial()
		ok(m.T, err)
		ok(m.T, conn.Close())
		conn, err = m.b.Dial(m.Context(), "", "")
		ok(m.T, err)
		ok(m.T, conn.Close())
	},
	"Set": func(m migration) {
		ok(m.T, m.m.Set("k", "v"))
		m.m.HSet("h", "f", "v")
		_, err := m.m.Push("l", "a", "b")
		ok(m.T, err)
		m.do("SET", "k", "v")
		ok(m.T, m.b.Seed("HSET h f v\nRPUSH l a b"))
		for _, rdb := range []*redis.Client{m.old, m.rdb} {
			equal(m.T, "k", rdb.Get(m.Context(), "k").Val(), "v")
			equal(m.T, "h", rdb.HGet(m.Context(), "h", "f").Val(), "v")
			equal(m.T, "l", rdb.LRange(m.Context(), "l", 0, -1).Val(), []string{"a", "b"})
		}
	},
	"Get": func(m migration) {
		ok(m.T, m.m.Set("k", "v"))
		m.do("SET", "k", "v")
		got, err := m.m.Get("k")
		ok(m.T, err)
		equal[any](m.T, "k", m.do("GET", "k"), got)
		_, err = m.m.Get("none")
		equal(m.T, "none", err, error(miniredis.ErrKeyNotFound))
		equal[any](m.T, "none", m.do("GET", "none"), nil)
	},
	"CheckGet": func(m migration) {
		ok(m.T, m.m.Set("k", "v"))
		m.m.CheckGet(m.T, "k", "v")
		m.do("SET", "k", "v")
		equal(m.T, "snapshot", m.b.Snapshot(), "SET k v\n")
	},
	"Dump": func(m migration) {
		m.m.HSet("h", "f", "v")
		m.do("HSET", "h", "f", "v")
		equal(m.T, "dump", m.m.Dump(), "- h\n   f: \"v\"\n")
		equal(m.T, "snapshot", m.b.Snapshot(), "HSET h f v\n")
	},
	"DB": func(m migration) {
		ok(m.T, m.m.DB(3).Set("k", "v"))
		_, err := m.b.DoIn(3, "SET", "k", "v")
		ok(m.T, err)
		equal(m.T, "snapshot", m.b.Snapshot(), "SELECT 3\nSET k v\n")
	},
	"FlushAll": func(m migration) {
		for _, k := range []string{"b", "a"} {
			ok(m.T, m.m.Set(k, ""))
			m.do("SET", k, "")
		}
		equal(m.T, "keys", m.m.Keys(), []string{"a", "b"})
		equal(m.T, "keys", len(m.do("KEYS", "*").([]any)), 2)
		m.m.FlushAll()
		m.do("FLUSHALL")
		equal(m.T, "dump", m.m.Dump(), "")
		equal(m.T, "snapshot", m.b.Snapshot(), "")
	},
	"FastForward": func(m migration) {
		for _, rdb := range []*redis.Client{m.old, m.rdb} {
			ok(m.T, rdb.Set(m.Context(), "k", "v", time.Minute).Err())
		}
		m.m.FastForward(time.Minute)
		m.b.Advance(time.Minute)
		for _, rdb := range []*redis.Client{m.old, m.rdb} {
			equal(m.T, "after a minute", rdb.Get(m.Context(), "k").Err(), error(redis.Nil))
		}
	},
	"SetTime": func(m migration) {
		m.m.SetTime(epoch.Add(time.Hour))
		m.b.Advance(epoch.Add(time.Hour).Sub(m.b.Now()))
		for _, rdb := range []*redis.Client{m.old, m.rdb} {
			equal(m.T, "TIME", rdb.Time(m.Context()).Val().Unix(), epoch.Add(time.Hour).Unix())
		}
	},
	"SetTTL": func(m migration) {
		ok(m.T, m.m.Set("k", "v"))
		m.do("SET", "k", "v")
		m.m.SetTTL("k", time.Minute)
		m.do("PEXPIRE", "k", time.Minute.Milliseconds())
		equal[any](m.T, "TTL", m.do("PTTL", "k"), m.m.TTL("k").Milliseconds())
	},
	"ClockTTL": func(m migration) {
		m.m.ClockTTL(true)
		_, real := brokertest.Start(m.T)
		for _, rdb := range []*redis.Client{m.old, real} {
			ok(m.T, rdb.Set(m.Context(), "k", "v", 5*time.Millisecond).Err())
			eventually(m.T, "the key to expire", func() bool { return rdb.Exists(m.Context(), "k").Val() == 0 })
		}
	},
	"SetError": func(m migration) {
		m.m.SetError("LOADING wait")
		rule, err := m.b.Inject(broker.Fault{Error: "LOADING wait"})
		ok(m.T, err)
		for _, rdb := range []*redis.Client{m.old, m.rdb} {
			equal(m.T, "the error", rdb.Get(m.Context(), "k").Err().Error(), "LOADING wait")
		}
		m.m.SetError("")
		rule.Remove()
		for _, rdb := range []*redis.Client{m.old, m.rdb} {
			equal(m.T, "after it", rdb.Get(m.Context(), "k").Err(), error(redis.Nil))
		}
	},
	"Server": func(m migration) {
		m.m.Server().SetPreHook(func(p *miniserver.Peer, cmd string, _ ...string) bool {
			if cmd != "PING" {
				return false
			}
			p.WriteInline("hello")
			return true
		})
		_, err := m.b.Inject(broker.Fault{Command: "ping", Func: func(c *broker.Command) broker.Verdict { return c.Answer("hello") }})
		ok(m.T, err)
		for _, rdb := range []*redis.Client{m.old, m.rdb} {
			equal(m.T, "PING", rdb.Ping(m.Context()).Val(), "hello")
		}
	},
	"RequireAuth": func(m migration) {
		m.m.RequireAuth("secret")
		m.do("CONFIG", "SET", "requirepass", "secret")
		addr, err := m.b.Listen("tcp", "127.0.0.1:0")
		ok(m.T, err)
		for _, addr := range []string{m.m.Addr(), addr.String()} {
			for password, want := range map[string]bool{"": false, "secret": true} {
				rdb := redis.NewClient(&redis.Options{Addr: addr, Password: password})
				equal(m.T, "PING is answered", rdb.Ping(m.Context()).Err() == nil, want)
				ok(m.T, rdb.Close())
			}
		}
	},
	"RequireUserAuth": func(m migration) {
		m.m.RequireUserAuth("ann", "secret")
		m.do("ACL", "SETUSER", "ann", "on", ">secret", "~*", "&*", "+@all")
		addr, err := m.b.Listen("tcp", "127.0.0.1:0")
		ok(m.T, err)
		for _, addr := range []string{m.m.Addr(), addr.String()} {
			rdb := redis.NewClient(&redis.Options{Addr: addr, Username: "ann", Password: "secret"})
			ok(m.T, rdb.Ping(m.Context()).Err())
			ok(m.T, rdb.Close())
		}
	},
	"Close": func(m migration) {
		ok(m.T, m.old.Close())
		m.m.Close()
		refused, err := m.b.Inject(broker.Fault{Refuse: true})
		ok(m.T, err)
		m.do("CLIENT", "KILL", "TYPE", "normal")
		if err := m.rdb.Ping(m.Context()).Err(); err == nil {
			m.Error("a broker that is gone has answered")
		}
		refused.Remove()
		ok(m.T, m.rdb.Ping(m.Context()).Err())
	},
	"Restart": func(m migration) {
		ok(m.T, m.m.Set("k", "v"))
		m.do("SET", "k", "v")
		m.m.Close()
		ok(m.T, m.m.Restart())
		m.m.CheckGet(m.T, "k", "v")
		next, _ := brokertest.Start(m.T)
		ok(m.T, next.Seed(m.b.Snapshot()))
		equal(m.T, "snapshot", next.Snapshot(), "SET k v\n")
	},
	"CommandCount": func(m migration) {
		for _, rdb := range []*redis.Client{m.old, m.rdb} {
			ok(m.T, rdb.Ping(m.Context()).Err())
		}
		equal(m.T, "connections", m.m.CurrentConnectionCount(), m.b.Stats().Clients)
		equal(m.T, "connections ever", m.m.TotalConnectionCount(), int(m.b.Stats().Connections))
		equal(m.T, "PINGs", m.b.Stats().ByCommand["ping"].Calls, 1)
		if m.m.CommandCount() < 1 || m.b.Stats().Commands < 1 {
			m.Error("no command was counted")
		}
	},
	"NewSubscriber": func(m migration) {
		sub := m.m.NewSubscriber()
		defer sub.Close()
		sub.Subscribe("news")
		// Publish returns when the subscriber has the message.
		published := make(chan int, 1)
		go func() { published <- m.m.Publish("news", "hello") }()
		equal(m.T, "message", receive(m.T, "a message", sub.Messages()), miniredis.PubsubMessage{Channel: "news", Message: "hello"})
		equal(m.T, "subscribers", receive(m.T, "the count", published), 1)

		news := m.rdb.Subscribe(m.Context(), "news")
		defer news.Close()
		_, err := news.Receive(m.Context()) // the subscription
		ok(m.T, err)
		equal(m.T, "subscribers", m.do("PUBLISH", "news", "hello"), any(int64(1)))
		message, err := news.ReceiveMessage(m.Context())
		ok(m.T, err)
		equal(m.T, "message", message.Payload, "hello")
		equal(m.T, "channels", m.do("PUBSUB", "CHANNELS"), any([]any{"news"}))
	},
	"Seed": func(m migration) {
		m.m.Seed(1)
		for _, rdb := range []*redis.Client{m.old, m.rdb} {
			ok(m.T, rdb.SAdd(m.Context(), "s", 1, 2, 3).Err())
			equal(m.T, "members", len(rdb.SRandMemberN(m.Context(), "s", 2).Val()), 2)
		}
	},
	"HExpire": func(m migration) {
		m.m.HSet("h", "f", "v")
		equal(m.T, "HExpire", m.m.HExpire("h", "f", time.Minute), true)
		_, err := m.b.Do("HEXPIRE", "h", 60, "FIELDS", 1, "f")
		equal(m.T, "HEXPIRE of Redis 7.4", strings.HasPrefix(err.Error(), "ERR unknown command 'HEXPIRE'"), true)
	},
}

func (m migration) do(args ...any) any {
	m.Helper()
	reply, err := m.b.Do(args...)
	ok(m.T, err)
	return reply
}

func TestComingFromMiniredis(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/testing-your-queue.md")
	ok(t, err)
	_, section, _ := strings.Cut(string(doc), "## Coming from miniredis\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]bool{}
	for line := range strings.Lines(section) {
		if first := regexp.MustCompile("^\\| `(?:m|miniredis)\\.(\\w+)\\(").FindStringSubmatch(line); first != nil {
			rows[first[1]] = true
			if fromMiniredis[first[1]] == nil {
				t.Errorf("the row of %s is not checked", first[1])
			}
		}
	}
	for name, check := range fromMiniredis {
		if !rows[name] {
			t.Errorf("%s is not in the page", name)
		}
		t.Run(name, func(t *testing.T) {
			m := miniredis.RunT(t)
			b, rdb := brokertest.Start(t, broker.Options{ManualTime: epoch})
			old := redis.NewClient(&redis.Options{Addr: m.Addr(), MaxRetries: -1})
			defer old.Close() // Close of some tests has done it
			check(migration{t, m, old, rdb, b})
		})
	}
}

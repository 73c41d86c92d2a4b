package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc"
)

// A soakLoad is the load of a soak test. Each thing that is done has clients of its own, or
// vanishes in the middle.
type soakLoad struct {
	addr string
	seed uint64
	rate float64 // things per second

	mu           sync.Mutex // guards what follows
	done, failed map[string]int
	calls        callOutcomes
}

// callOutcomes counts how calls of package rpc ended.
type callOutcomes struct {
	Answered int `json:"answered"`
	Failed   int `json:"failed"` // in the function, as it should
	NotSent  int `json:"not_sent"`
	NoResult int `json:"no_result"`
	Wrong    int `json:"wrong"` // answered with something else
}

// soakTasks are what clients do, by name, and how often in proportion.
var soakTasks = []struct {
	name  string
	share int
	do    func(*soakTask) error
}{
	{"commands", 40, (*soakTask).commands},
	{"any command", 10, (*soakTask).anyCommand},
	{"transaction", 10, (*soakTask).transaction},
	{"script", 10, (*soakTask).script},
	{"blocking", 10, (*soakTask).blocking},
	{"publish and subscribe", 6, (*soakTask).pubSub},
	{"client tracking", 4, (*soakTask).tracking},
	{"vanishing client", 10, (*soakTask).vanish},
	{"slow reader", 1, (*soakTask).readSlowly},
	{"large value", 1, (*soakTask).largeValue},
	{"operator", 3, (*soakTask).operate},
}

const (
	soakWorkers = 8
	keysOfAType = 40 // names of keys
)

// run does things until the context ends, and calls functions meanwhile.
func (l *soakLoad) run(ctx context.Context) {
	var all sync.WaitGroup
	var lots []int
	for i, t := range soakTasks {
		lots = append(lots, slices.Repeat([]int{i}, t.share)...)
	}
	for w := range soakWorkers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(l.seed, uint64(2+w)))
			pause := time.Duration(soakWorkers / l.rate * float64(time.Second))
			for next := time.Now(); ctx.Err() == nil; next = later(next.Add(pause)) {
				waitUntil(ctx, next)
				t := soakTasks[lots[random.IntN(len(lots))]]
				l.note(t.name, l.attempt(ctx, random, t.do))
			}
		})
	}
	all.Go(func() { l.call(ctx) })
	all.Wait()
}

// later is a time, or now if that has passed: what was missed is not made up for.
func later(t time.Time) time.Time {
	if now := time.Now(); t.Before(now) {
		return now
	}
	return t
}

func waitUntil(ctx context.Context, t time.Time) {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (l *soakLoad) note(what string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done[what]++
	if err != nil {
		l.failed[what]++
	}
}

// A soakTask is one of the things done, with a client of its own.
type soakTask struct {
	ctx    context.Context
	addr   string
	rdb    *redis.Client
	random *rand.Rand
}

// attempt does a thing. It returns the first error, of those that a Redis without faults and with
// these commands does not send.
func (l *soakLoad) attempt(ctx context.Context, random *rand.Rand, do func(*soakTask) error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	rdb := redis.NewClient(&redis.Options{Addr: l.addr, Protocol: 2 + random.IntN(2), MaxRetries: -1, DialerRetries: 1, PoolSize: 2,
		ContextTimeoutEnabled: true, DisableIdentity: random.IntN(2) == 0})
	defer rdb.Close()
	return do(&soakTask{ctx, l.addr, rdb, random})
}

// soakCommands are commands of all types of values. In them k is a key, n a small number, v a
// value, m a member, t some milliseconds.
var soakCommands = map[string][]string{
	"string": {"SET k v", "SET k v PX t", "GET k", "APPEND k v", "INCR k", "SETRANGE k n v", "GETEX k PX t", "STRLEN k", "MSET k v k v", "MGET k k k", "SETBIT k n 1", "BITCOUNT k", "BITFIELD k INCRBY u8 n 1", "GETDEL k"},
	"list":   {"RPUSH k v v v", "LPUSH k v", "LPOP k", "RPOP k n", "LRANGE k 0 -1", "LMOVE k k LEFT RIGHT", "LREM k 0 v", "LINSERT k BEFORE v v", "LTRIM k -100 -1", "LPOS k v", "SORT k ALPHA LIMIT 0 5"},
	"hash":   {"HSET k m v m v", "HGET k m", "HGETALL k", "HDEL k m", "HINCRBY k n 1", "HSCAN k 0", "HRANDFIELD k 2"},
	"set":    {"SADD k m m m", "SREM k m", "SPOP k", "SMEMBERS k", "SINTER k k", "SUNIONSTORE k k k", "SRANDMEMBER k -3", "SMOVE k k m"},
	"zset":   {"ZADD k n m n m", "ZINCRBY k n m", "ZRANGE k 0 -1 WITHSCORES", "ZPOPMIN k", "ZRANGEBYSCORE k 0 n", "ZUNIONSTORE k 2 k k", "ZREM k m", "ZREMRANGEBYRANK k 50 -1"},
	"geo":    {"GEOADD k 13.4 52.5 m 2.35 48.86 m", "GEOSEARCH k FROMLONLAT 10 50 BYRADIUS 500 km", "GEODIST k m m"},
	"hll":    {"PFADD k v v v", "PFCOUNT k", "PFMERGE k k"},
	"stream": {"XADD k MAXLEN 50 * m v", "XRANGE k - +", "XLEN k", "XTRIM k MAXLEN n", "XGROUP CREATE k g 0 MKSTREAM", "XREADGROUP GROUP g m COUNT 5 STREAMS k >", "XAUTOCLAIM k g m 0 0 COUNT 5", "XPENDING k g", "XGROUP DELCONSUMER k g m", "XGROUP DESTROY k g", "XREAD COUNT 2 STREAMS k 0"},
}

var everyKey = []string{"DEL k", "UNLINK k", "EXPIRE k 2", "PEXPIRE k t", "PERSIST k", "TYPE k", "EXISTS k", "RENAME k k", "COPY k k REPLACE", "OBJECT ENCODING k", "DUMP k", "TTL k", "SCAN 0 COUNT 20", "TOUCH k", "MEMORY USAGE k", "RANDOMKEY"}

var soakTypes = slices.Sorted(maps.Keys(soakCommands))

// command is a command on keys of a type.
func (t *soakTask) command(typ string) []any {
	commands := soakCommands[typ]
	if t.random.IntN(4) == 0 {
		commands = everyKey
	}
	return t.fill(typ, commands[t.random.IntN(len(commands))])
}

func (t *soakTask) fill(typ, text string) (args []any) {
	for word := range strings.FieldsSeq(text) {
		switch word {
		case "k":
			word = t.key(typ)
		case "n":
			word = strconv.Itoa(t.random.IntN(50))
		case "v":
			word = strings.Repeat("v", t.random.IntN(200)) + strconv.Itoa(t.random.IntN(100))
		case "m":
			word = "member:" + strconv.Itoa(t.random.IntN(100))
		case "t":
			word = strconv.Itoa(1 + t.random.IntN(2000))
		}
		args = append(args, word)
	}
	return args
}

func (t *soakTask) key(typ string) string {
	return fmt.Sprintf("{soak}:%s:%d", typ, t.random.IntN(keysOfAType))
}

func (t *soakTask) typ() string { return soakTypes[t.random.IntN(len(soakTypes))] }

// send sends a command. An error reply is no error: which one comes depends on what is there.
func (t *soakTask) send(args ...any) error { return connectionError(t.rdb.Do(t.ctx, args...).Err()) }

func connectionError(err error) error {
	if _, replied := errors.AsType[redis.Error](err); replied {
		return nil
	}
	return err
}

// commands are some, one after the other or in a pipeline.
func (t *soakTask) commands() error {
	n := 5 + t.random.IntN(20)
	if t.random.IntN(2) == 0 {
		_, err := t.rdb.Pipelined(t.ctx, func(p redis.Pipeliner) error {
			for range n {
				p.Do(t.ctx, t.command(t.typ())...)
			}
			return nil
		})
		return connectionError(err)
	}
	for range n {
		if err := t.send(t.command(t.typ())...); err != nil {
			return err
		}
	}
	return nil
}

// notSoaked are commands that end the server, stop it, empty it, or keep a client from being answered.
var notSoaked = []string{"shutdown", "debug", "client", "flushall", "flushdb", "swapdb", "config", "acl", "monitor", "subscribe", "psubscribe", "ssubscribe", "wait", "migrate", "replicaof", "slaveof", "psync", "sync", "script", "function"}

// anyCommand is any other one, with arguments that mostly make no sense.
func (t *soakTask) anyCommand() error {
	names, err := t.rdb.Do(t.ctx, "COMMAND", "LIST").StringSlice()
	if err != nil {
		return connectionError(err)
	}
	slices.Sort(names)
	for range 5 {
		name := names[t.random.IntN(len(names))]
		if slices.Contains(notSoaked, name) {
			continue
		}
		args := []any{name}
		for range t.random.IntN(6) {
			args = append(args, t.fill(t.typ(), []string{"k", "k", "n", "m", "t", "0", "-1", "1"}[t.random.IntN(8)])...)
		}
		if err := t.send(args...); err != nil {
			return err
		}
	}
	return nil
}

func (t *soakTask) transaction() error {
	typ := t.typ()
	err := t.rdb.Watch(t.ctx, func(tx *redis.Tx) error {
		if t.random.IntN(3) == 0 {
			if err := t.send(t.command(typ)...); err != nil { // perhaps on what is watched
				return err
			}
		}
		_, err := tx.TxPipelined(t.ctx, func(p redis.Pipeliner) error {
			for range 1 + t.random.IntN(10) {
				p.Do(t.ctx, t.command(typ)...)
			}
			return nil
		})
		return err
	}, t.key(typ), t.key(typ))
	return connectionError(err)
}

var soakScripts = []string{
	"redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])",
	"local n = 0 for i = 1, 2000 do n = n + i end return n",
	"local t = {} for i = 1, 200 do t[i] = string.rep('x', i) end return t",
	"return redis.pcall('LPUSH', KEYS[1], ARGV[1])",
	"return cjson.decode(cjson.encode({a = {1, 2, 3}, b = ARGV[1]})).b",
	"error('on purpose')",
	"return redis.error_reply('MY error')",
}

const soakLibrary = `#!lua name=soak
local calls = 0
redis.register_function('soaked', function(keys, args) calls = calls + 1 return redis.call('SET', keys[1], args[1], 'PX', 1000) end)`

func (t *soakTask) script() error {
	script, key := soakScripts[t.random.IntN(len(soakScripts))], t.key("string")
	switch t.random.IntN(4) {
	case 0:
		if err := t.send("FUNCTION", "LOAD", "REPLACE", soakLibrary); err != nil {
			return err
		}
		return t.send("FCALL", "soaked", "1", key, "v")
	case 1: // one that nobody has sent before
		script += fmt.Sprint(" -- ", t.random.Uint64())
		if err := t.send("EVAL", script, "1", key, "v"); err != nil || t.random.IntN(50) > 0 {
			return err
		}
		return t.send("SCRIPT", "FLUSH")
	}
	return t.send("EVAL", script, "1", key, "v")
}

// blocking waits, for what somebody may bring.
func (t *soakTask) blocking() error {
	waits := [][]any{
		{"BLPOP", t.key("blocked"), t.key("blocked"), "0.1"},
		{"BLMOVE", t.key("blocked"), t.key("blocked"), "LEFT", "RIGHT", "0.1"},
		{"BZPOPMIN", t.key("blocked zset"), "0.1"},
		{"XREAD", "BLOCK", "100", "STREAMS", t.key("stream"), "$"},
	}
	wait := waits[t.random.IntN(len(waits))]
	var waiting sync.WaitGroup
	defer waiting.Wait()
	waiting.Go(func() { t.send(wait...) }) // a lost connection is among what is tried
	for _, command := range []string{"RPUSH k v", "ZADD k n m", "XADD k MAXLEN 50 * m v"} {
		typ := map[byte]string{'R': "blocked", 'Z': "blocked zset", 'X': "stream"}[command[0]]
		if err := t.send(t.fill(typ, command)...); err != nil {
			return err
		}
		if err := t.send("PEXPIRE", t.key(typ), "500"); err != nil {
			return err
		}
	}
	return nil
}

func (t *soakTask) pubSub() error {
	channels := []string{"soak:1", "soak:2"}
	s := t.rdb.Subscribe(t.ctx, channels...)
	defer s.Close()
	if err := s.PSubscribe(t.ctx, "soak:*", "__key*__:*"); err != nil {
		return err
	}
	if _, err := s.Receive(t.ctx); err != nil {
		return err
	}
	for range 10 {
		if err := t.send("PUBLISH", channels[t.random.IntN(2)], strings.Repeat("x", t.random.IntN(1000))); err != nil {
			return err
		}
	}
	_, err := s.ReceiveTimeout(t.ctx, time.Second)
	return err
}

// tracking has the broker remember keys, and does not wait for what it says of them.
func (t *soakTask) tracking() error {
	conn, err := t.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	commands := [][]byte{encode("HELLO", "3"), encode("CLIENT", "TRACKING", "ON")}
	if t.random.IntN(3) == 0 {
		commands[1] = encode("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "{soak}:string")
	}
	for range 20 {
		commands = append(commands, encode("GET", t.key("string")))
	}
	if _, err := conn.Write(slices.Concat(commands...)); err != nil {
		return err
	}
	for range 3 {
		if err := t.send("SET", t.key("string"), "v"); err != nil {
			return err
		}
	}
	_, err = conn.Read(make([]byte, 100))
	return err
}

// connect opens a connection without a client library.
func (t *soakTask) connect() (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(t.ctx, "tcp", t.addr)
	if err == nil {
		deadline, _ := t.ctx.Deadline()
		conn.SetDeadline(deadline) // fails only if it is closed
	}
	return conn, err
}

// vanish is a client that goes away without a word, in the middle of something.
func (t *soakTask) vanish() error {
	conn, err := t.connect()
	if err != nil {
		return err
	}
	beginnings := [][]byte{
		encode("BLPOP", t.key("blocked"), "0"),
		encode("SET", t.key("string"), strings.Repeat("x", 5000))[:3000],
		append(encode("MULTI"), encode("SET", t.key("string"), "v")...),
		append(encode("WATCH", t.key("string")), encode("GET", t.key("string"))...),
		encode("SUBSCRIBE", "soak:1"),
		encode("MONITOR"),
		[]byte("*3\r\n$3\r\nSET\r\n$100000000\r\nx"),
		encode("EVAL", "for i = 1, 20000 do redis.call('GET', KEYS[1]) end", "1", t.key("string")),
		encode("CLIENT", "PAUSE", "20", "WRITE"),
		[]byte("\x00\xff nonsense *1\r\n$x\r\n"),
	}
	_, err = conn.Write(beginnings[t.random.IntN(len(beginnings))])
	if t.random.IntN(2) == 0 {
		conn.Read(make([]byte, 10)) // or the deadline
	}
	if tcp := conn.(*net.TCPConn); t.random.IntN(2) == 0 {
		tcp.SetLinger(0) // closed by a reset
	}
	return errors.Join(err, conn.Close())
}

// readSlowly leaves up to 20 MB unread for some time.
func (t *soakTask) readSlowly() error {
	key := t.key("large")
	if err := t.send("SET", key, strings.Repeat("x", 100_000), "PX", "5000"); err != nil {
		return err
	}
	conn, err := t.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(slices.Repeat(encode("GET", key), 200)); err != nil {
		return err
	}
	waitUntil(t.ctx, time.Now().Add(500*time.Millisecond))
	if t.random.IntN(2) == 0 {
		_, err = io.CopyN(io.Discard, conn, 5_000_000)
	}
	return err
}

func (t *soakTask) largeValue() error {
	key := t.key("large")
	if err := t.send("SET", key, strings.Repeat("x", 1<<20+t.random.IntN(1<<20)), "PX", "1000"); err != nil {
		return err
	}
	return t.send("GET", key)
}

// operate is what operators do.
func (t *soakTask) operate() error {
	policies := []string{"noeviction", "allkeys-lru", "allkeys-lfu", "volatile-ttl", "allkeys-random"}
	all := [][]any{
		{"CONFIG", "SET", "maxmemory", "0"},
		{"CONFIG", "SET", "maxmemory", "3mb", "maxmemory-policy", policies[t.random.IntN(len(policies))]},
		{"CONFIG", "SET", "notify-keyspace-events", []string{"", "KEA"}[t.random.IntN(2)]},
		{"CONFIG", "SET", "slowlog-log-slower-than", strconv.Itoa(t.random.IntN(10000))},
		{"CONFIG", "SET", "client-output-buffer-limit", "normal " + []string{"0", "10000000"}[t.random.IntN(2)] + " 0 0"},
		{"ACL", "SETUSER", "soak" + strconv.Itoa(t.random.IntN(5)), "on", "nopass", "~*", "+@all"},
		{"ACL", "DELUSER", "soak" + strconv.Itoa(t.random.IntN(5))},
		{"CLIENT", "KILL", "TYPE", "pubsub"},
		{"CLIENT", "LIST"},
		{"DEBUG", "RELOAD"},
		{"INFO", "everything"},
		{"SLOWLOG", "GET"},
		{"LATENCY", "RESET"},
		{"MEMORY", "STATS"},
		{"SWAPDB", "0", "1"},
		{"FLUSHALL"},
		{"KEYS", "*"},
		{"LATENCY", "HISTOGRAM"},
	}
	return t.send(all[t.random.IntN(len(all))]...)
}

// call calls functions, which servers offer that replace each other.
func (l *soakLoad) call(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	quiet := slog.New(slog.DiscardHandler)
	options := func() *redis.Options { return &redis.Options{Addr: l.addr} }
	const life, overlap = 30 * time.Second, 2 * time.Second
	for n := range 2 {
		all.Go(func() {
			waitUntil(ctx, time.Now().Add(time.Duration(n)*life/2))
			for ctx.Err() == nil {
				stop, err := serve(endpoint{addr: l.addr}, rpc.ServerOptions{Workers: 16, Logger: quiet, Expiry: 10 * time.Second}, offerSoaked)
				if err != nil {
					l.note("server", err)
					return
				}
				waitUntil(ctx, time.Now().Add(life+overlap))
				l.note("server", stop())
			}
		})
	}
	for n := range 4 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(l.seed, uint64(100+n)))
			for ctx.Err() == nil {
				rdb := redis.NewClient(options())
				client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Second, Logger: quiet})
				if err != nil {
					l.note("client", err)
					return
				}
				for range 500 {
					waitUntil(ctx, time.Now().Add(time.Duration(4/l.rate*float64(time.Second))))
					if ctx.Err() != nil {
						break
					}
					l.callOnce(ctx, client, random)
				}
				l.note("client", errors.Join(client.Close(), rdb.Close()))
			}
		})
	}
}

// offerSoaked adds the functions.
func offerSoaked(s *rpc.Server) error {
	return errors.Join(
		rpc.Handle(s, echo, func(_ context.Context, in echoArgs) (string, error) { return in.X, nil }),
		rpc.Handle(s, "fail", func(context.Context, echoArgs) (string, error) { return "", errors.New("on purpose") }),
		rpc.Handle(s, "panic", func(context.Context, echoArgs) (string, error) { panic("on purpose") }),
		rpc.Handle(s, "slow", func(ctx context.Context, in echoArgs) (string, error) {
			waitUntil(ctx, time.Now().Add(50*time.Millisecond))
			return in.X, nil
		}))
}

func (l *soakLoad) callOnce(ctx context.Context, client *rpc.Client, random *rand.Rand) {
	functions := []string{echo, echo, echo, echo, "slow", "slow", "fail", "panic"}
	f, size := functions[random.IntN(len(functions))], random.IntN(200)
	if random.IntN(50) == 0 {
		size = 100_000
	}
	args := echoArgs{strconv.Itoa(random.IntN(1000)) + strings.Repeat("x", size)}
	var opts []rpc.CallOption
	if random.IntN(10) == 0 {
		opts = append(opts, rpc.Timeout(time.Duration(random.IntN(60))*time.Millisecond+1)) // which may be too short
	}
	got, err := rpc.Call[string](ctx, client, f, args, opts...)
	_, failed := errors.AsType[*rpc.RemoteError](err)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil && got == args.X:
		l.calls.Answered++
	case failed && (f == "fail" || f == "panic"):
		l.calls.Failed++
	case errors.Is(err, rpc.ErrNotSent):
		l.calls.NotSent++
	case errors.Is(err, rpc.ErrNoResult):
		l.calls.NoResult++
	default:
		l.calls.Wrong++
		progress("a call of %s ended with %q, %v", f, got, err)
	}
}

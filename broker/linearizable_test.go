package broker

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

// Histories of concurrent clients are linearizable: each command seems to be carried out at
// one moment between its sending and its reply. A command whose connection was lost may have
// been carried out later, or never.

var histories = flag.Uint64("linearizable.histories", 2, "histories of each type of values, on each transport, with and without faults")

// A sequential is what commands on one key of a type do when one follows the other. States
// and replies are text.
type sequential struct {
	name     string
	begin    []string // commands before all others
	commands []string // with v a value, n a small number, f one of three names, i an ID that grows

	// apply returns the reply to a command. What a client saw, or unknown, is only of use where
	// the server is free to choose.
	apply func(state string, args []string, saw string) (reply, next string)
}

const compareAndSet = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) return 1 end return 0"

var sequentials = []sequential{
	{"string", nil, []string{"SET k v", "GET k", "APPEND k v", "GETDEL k", "GETSET k v", "SETNX k v", "cas k v v", "swap k v"}, func(s string, args []string, _ string) (string, string) {
		old := cmp.Or(s, "nil")
		switch args[0] {
		case "SET":
			return "OK", args[2]
		case "GET":
			return old, s
		case "APPEND":
			return strconv.Itoa(len(s + args[2])), s + args[2]
		case "GETDEL":
			return old, ""
		case "SETNX":
			if s != "" {
				return "0", s
			}
			return "1", args[2]
		case "cas":
			if s != args[2] {
				return "0", s
			}
			return "1", args[3]
		case "swap":
			return "[" + old + " OK]", args[2]
		}
		return old, args[2] // GETSET
	}},
	{"list", nil, []string{"RPUSH k v", "RPUSH k v", "LPUSH k v", "LPOP k", "RPOP k", "LLEN k", "LMOVE k k LEFT RIGHT", "LRANGE k 0 -1", "BLPOP k 0.001"}, func(s string, args []string, _ string) (string, string) {
		l := strings.Fields(s)
		switch args[0] {
		case "RPUSH":
			l = append(l, args[2])
			return strconv.Itoa(len(l)), strings.Join(l, " ")
		case "LPUSH":
			l = slices.Insert(l, 0, args[2])
			return strconv.Itoa(len(l)), strings.Join(l, " ")
		case "LLEN":
			return strconv.Itoa(len(l)), s
		case "LRANGE":
			return "[" + s + "]", s
		}
		if len(l) == 0 {
			return "nil", s
		}
		switch args[0] {
		case "RPOP":
			return l[len(l)-1], strings.Join(l[:len(l)-1], " ")
		case "LMOVE":
			return l[0], strings.Join(append(l[1:], l[0]), " ")
		case "BLPOP":
			return "[k " + l[0] + "]", strings.Join(l[1:], " ")
		}
		return l[0], strings.Join(l[1:], " ") // LPOP
	}},
	{"hash", nil, []string{"HSET k f n", "HGET k f", "HDEL k f", "HINCRBY k f n", "HLEN k", "HSETNX k f n"}, func(s string, args []string, _ string) (string, string) {
		return onPairs(s, args[2:], args[0])
	}},
	{"sorted set", nil, []string{"ZADD k n f", "ZSCORE k f", "ZREM k f", "ZINCRBY k n f", "ZCARD k", "ZPOPMIN k"}, func(s string, args []string, _ string) (string, string) {
		switch rest := slices.Clone(args[2:]); args[0] {
		case "ZPOPMIN":
			var least []string
			for _, p := range strings.Fields(s) {
				m, score, _ := strings.Cut(p, "=")
				a, _ := strconv.Atoi(score)
				if least == nil || a < atoi(least[1]) {
					least = []string{m, score} // members are in order
				}
			}
			if least == nil {
				return "[]", s
			}
			_, next := onPairs(s, least[:1], "HDEL")
			return "[" + strings.Join(least, " ") + "]", next
		case "ZADD", "ZINCRBY":
			slices.Reverse(rest)
			return onPairs(s, rest, map[string]string{"ZADD": "HSET", "ZINCRBY": "HINCRBY"}[args[0]])
		default:
			return onPairs(s, rest, map[string]string{"ZSCORE": "HGET", "ZREM": "HDEL", "ZCARD": "HLEN"}[args[0]])
		}
	}},
	{"stream", nil, []string{"XADD k i f v", "XADD k i* f v", "XADD k i f v", "XLEN k", "XRANGE k - +", "XRANGE k i +", "XREVRANGE k + - COUNT 1", "XDEL k i", "XTRIM k MAXLEN n", "XTRIM k MINID i", "XREAD COUNT 1 STREAMS k i"}, onStream},
	{"stream of automatic IDs", nil, []string{"XADD k * f v", "XADD k MAXLEN 3 * f v", "XLEN k", "XRANGE k - +", "XREVRANGE k + - COUNT 1", "XTRIM k MAXLEN n"}, onAutomaticIDs},
	{"consumer group", []string{"XGROUP CREATE k g 0 MKSTREAM"}, []string{
		"XADD k i* f v", "XADD k i* f v", "XREADGROUP GROUP g f COUNT 1 STREAMS k >", "XREADGROUP GROUP g f BLOCK 1 STREAMS k >", "XREADGROUP GROUP g f STREAMS k 0",
		"XACK k g i", "XACK k g i", "XPENDING k g", "XCLAIM k g f 0 i JUSTID", "XAUTOCLAIM k g f 0 i JUSTID", "XGROUP DELCONSUMER k g f", "XDEL k i",
	}, onStream},
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// onPairs does what a command does to a hash of numbers, such as "a=1 b=2".
func onPairs(state string, args []string, command string) (reply, next string) {
	pairs := strings.Fields(state)
	if command == "HLEN" {
		return strconv.Itoa(len(pairs)), state
	}
	at, there := slices.BinarySearchFunc(pairs, args[0], func(p, name string) int {
		n, _, _ := strings.Cut(p, "=")
		return cmp.Compare(n, name)
	})
	value := "nil"
	if there {
		_, value, _ = strings.Cut(pairs[at], "=")
	}
	set := func(v string) string {
		if there {
			pairs[at] = args[0] + "=" + v
		} else {
			pairs = slices.Insert(pairs, at, args[0]+"="+v)
		}
		return strings.Join(pairs, " ")
	}
	isNew := "1"
	if there {
		isNew = "0"
	}
	switch command {
	case "HGET":
		return value, state
	case "HDEL":
		if !there {
			return "0", state
		}
		return "1", strings.Join(slices.Delete(pairs, at, at+1), " ")
	case "HINCRBY":
		sum := strconv.Itoa(atoi(value) + atoi(args[1]))
		return sum, set(sum)
	case "HSETNX":
		if there {
			return "0", state
		}
	}
	return isNew, set(args[1])
}

const unknown = "?" // the reply was lost

func (q sequential) model() porcupine.Model {
	return porcupine.Model{
		Init: func() any {
			state := ""
			for _, command := range q.begin {
				_, state = q.apply(state, strings.Fields(command), unknown)
			}
			return state
		},
		Step: func(state, input, output any) (bool, any) {
			reply, next := q.apply(state.(string), input.([]string), output.(string))
			return output == unknown || reply == output, next
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprint(input, " -> ", output) },
	}
}

// record lets clients send random commands at the same time, and returns what they saw.
func (q sequential) record(t *testing.T, clients, commands int, seed uint64, dial func() net.Conn) []porcupine.Operation {
	connect := func() *redis.Client {
		return redis.NewClient(&redis.Options{
			Dialer:     func(context.Context, string, string) (net.Conn, error) { return dial(), nil },
			MaxRetries: -1, PoolSize: 1, DisableIdentity: true, ContextTimeoutEnabled: true,
		})
	}
	first := connect()
	defer first.Close()
	for _, command := range q.begin {
		for q.send(t, first, strings.Fields(command)) == unknown { // the model has it done once or more
		}
	}
	begun := time.Now()
	seen := make([][]porcupine.Operation, clients)
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			rdb := connect()
			defer rdb.Close()
			random := rand.New(rand.NewPCG(seed, uint64(c)))
			for n := range commands {
				args := strings.Fields(q.commands[random.IntN(len(q.commands))])
				for i, arg := range args {
					switch arg {
					case "v":
						args[i] = string(rune('a' + random.IntN(5)))
					case "n":
						args[i] = strconv.Itoa(random.IntN(4))
					case "f":
						args[i] = string(rune('x' + random.IntN(3)))
					case "i":
						args[i] = fmt.Sprintf("%d-%d", 1+n/5, random.IntN(3))
					case "i*":
						args[i] = fmt.Sprintf("%d-*", 1+n/5)
					}
				}
				op := porcupine.Operation{ClientId: c, Input: args, Call: time.Since(begun).Nanoseconds()}
				op.Output, op.Return = q.send(t, rdb, args), time.Since(begun).Nanoseconds()
				if op.Output == unknown {
					op.Return = math.MaxInt64
				}
				seen[c] = append(seen[c], op)
			}
		})
	}
	running.Wait()
	return slices.Concat(seen...)
}

// send sends a command and returns its reply as text.
func (q sequential) send(t *testing.T, rdb *redis.Client, args []string) string {
	ctx := t.Context()
	words := make([]any, len(args))
	for i, a := range args {
		words[i] = a
	}
	var reply any
	var err error
	switch args[0] {
	case "cas":
		reply, err = rdb.Eval(ctx, compareAndSet, args[1:2], words[2:]...).Result()
	case "swap":
		var replies []redis.Cmder
		replies, err = rdb.TxPipelined(ctx, func(tx redis.Pipeliner) error {
			tx.Do(ctx, "GET", args[1])
			tx.Do(ctx, "SET", args[1], args[2])
			return nil
		})
		var all []any
		for _, r := range replies {
			v, e := r.(*redis.Cmd).Result()
			if e != nil && !errors.Is(e, redis.Nil) {
				return unknown
			}
			if errors.Is(e, redis.Nil) {
				err, v = nil, "nil"
			}
			all = append(all, v)
		}
		reply = all
	default:
		reply, err = rdb.Do(ctx, words...).Result()
	}
	if errors.Is(err, redis.Nil) {
		return "nil"
	}
	if err != nil {
		if replied, ok := errors.AsType[redis.Error](err); ok {
			return replied.Error()
		}
		return unknown
	}
	if pair, ok := reply.([]any); ok && len(pair) == 1 && args[0] == "ZPOPMIN" { // with RESP3
		if inner, ok := pair[0].([]any); ok {
			reply = inner
		}
	}
	return fmt.Sprint(reply)
}

func (q sequential) check(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	model := q.model()
	result, info := porcupine.CheckOperationsVerbose(model, history, 10*time.Second) // the search is exponential in lost replies
	if result == porcupine.Unknown {
		t.Logf("a history of %d commands takes too long to check", len(history))
	}
	if result == porcupine.Illegal {
		page := t.ArtifactDir() + "/history.html"
		if err := porcupine.VisualizePath(model, info, page); err != nil {
			t.Error(err)
		}
		t.Errorf("a history of %d commands is not linearizable; it is drawn in %s with -artifacts", len(history), page)
	}
}

func TestLinearizable(t *testing.T) {
	faults := map[string][]Fault{
		"without faults":        nil,
		"with lost connections": {{Probability: 0.01, Seed: 1, Drop: DropBefore}, {Probability: 0.01, Seed: 2, Drop: DropAfter}},
	}
	for name, rules := range faults {
		t.Run(name, func(t *testing.T) {
			transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
				for _, q := range sequentials {
					t.Run(q.name, func(t *testing.T) {
						for _, f := range rules {
							rule, err := b.Inject(f)
							if err != nil {
								t.Fatal(err)
							}
							defer rule.Remove()
						}
						for seed := range *histories {
							q.check(t, q.record(t, 4, 30, seed, func() net.Conn { return dial(t) }))
							if _, err := b.Do("FLUSHALL"); err != nil {
								t.Fatal(err)
							}
						}
					})
				}
			})
		})
	}
}

// The models are right, as redis-server's histories fit them, too.
func TestLinearizableOnRedis(t *testing.T) {
	addr := redistest.Start(t).Addr
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	for _, q := range sequentials {
		q.check(t, q.record(t, 4, 30, 1, func() net.Conn {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
			}
			return conn
		}))
		if err := rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// A reply that no order explains is found: the last one of each of these.
func TestLinearizableFindsWhatIsNot(t *testing.T) {
	for _, c := range []struct{ name, history string }{
		{"string", "SET k a -> OK, GET k -> b"},
		{"string", "SET k a -> OK, SET k b -> ?, GET k -> b, GET k -> a"},
		{"string", "SET k a -> OK, cas k a b -> 1, cas k a c -> 1"},
		{"list", "RPUSH k a -> 1, LPOP k -> a, LPOP k -> a"},
		{"hash", "HINCRBY k x 1 -> 1, HINCRBY k x 1 -> 1"},
		{"sorted set", "ZADD k 1 x -> 1, ZADD k 0 y -> 1, ZPOPMIN k -> [x 1]"},
		{"stream", "XADD k 1-* x a -> 1-0, XADD k 1-* x a -> 1-0"},
		{"stream", "XADD k 1-1 x a -> 1-1, XDEL k 1-1 -> 1, XADD k 1-1 x a -> 1-1"},
		{"stream", "XADD k 1-1 x a -> ?, XLEN k -> 1, XTRIM k MAXLEN 0 -> 0"},
		{"stream", "XADD k 1-1 x a -> 1-1, XRANGE k - + -> [[1-1 [x b]]]"},
		{"stream", "XADD k 1-1 x a -> 1-1, XADD k 2-0 x b -> 2-0, XREAD COUNT 1 STREAMS k 1-0 -> map[k:[[2-0 [x b]]]]"},
		{"stream of automatic IDs", "XADD k * x a -> 7-1, XADD k * x b -> 7-0"},
		{"stream of automatic IDs", "XADD k * x a -> ?, XRANGE k - + -> [[7-1 [x a]]], XRANGE k - + -> [[7-2 [x a]]]"},
		{"stream of automatic IDs", "XADD k * x a -> ?, XREVRANGE k + - COUNT 1 -> [[7-1 [x a]]], XADD k * x b -> 6-0"},
		{"consumer group", "XADD k 1-* x a -> 1-0, XREADGROUP GROUP g x COUNT 1 STREAMS k > -> map[k:[[1-0 [x a]]]], XREADGROUP GROUP g y COUNT 1 STREAMS k > -> map[k:[[1-0 [x a]]]]"},
		{"consumer group", "XADD k 1-* x a -> 1-0, XREADGROUP GROUP g x STREAMS k > -> ?, XACK k g 1-0 -> 1, XACK k g 1-0 -> 1"},
		{"consumer group", "XADD k 1-* x a -> 1-0, XREADGROUP GROUP g x STREAMS k > -> ?, XPENDING k g -> [1 1-0 1-0 [[x 1]]], XCLAIM k g y 0 1-0 JUSTID -> [1-0], XPENDING k g -> [1 1-0 1-0 [[x 1]]]"},
	} {
		i := slices.IndexFunc(sequentials, func(q sequential) bool { return q.name == c.name })
		var history []porcupine.Operation
		for n, line := range strings.Split(c.history, ", ") {
			command, reply, _ := strings.Cut(line, " -> ")
			op := porcupine.Operation{Input: strings.Fields(command), Call: int64(2 * n), Output: reply, Return: int64(2*n + 1)}
			if reply == unknown {
				op.ClientId, op.Return = 1, math.MaxInt64
			}
			history = append(history, op)
		}
		if got := porcupine.CheckOperations(sequentials[i].model(), history); got {
			t.Errorf("%s: %s: the last reply is taken for right", c.name, c.history)
		}
		if got := porcupine.CheckOperations(sequentials[i].model(), history[:len(history)-1]); !got {
			t.Errorf("%s: %s: without the last it is taken for wrong", c.name, c.history)
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc"
)

// killed is what became of calls while the connections of their client were killed.
type killed struct {
	Made    int `json:"made"`    // calls
	Kills   int `json:"kills"`   // connections
	Lost    int `json:"lost"`    // calls that ran and whose caller got no result
	Doubles int `json:"doubles"` // calls that ran more than once
	Failed  int `json:"failed"`  // calls that did not run, and whose caller got an error
}

// patienceWithKills is how long a call may take: what comes later is lost.
const patienceWithKills = 10 * time.Second

type numberedArgs struct {
	N int64  `json:"n"`
	X string `json:"x"`
}

// killing measures a closed loop like the others, but that a connection of its own kills
// those of the client, every 100 ms for the length of the window. Calls are
// numbered, and the handler counts which of them run. Only the client's connections
// are killed, not those of the server.
func (f *callersFlags) killing(c callCase) (measured, error) {
	name := fmt.Sprintf("peers-%d", time.Now().UnixNano()) // also the prefix: no call of another run comes here
	at := endpoint{addr: f.addr}
	var calls ledger
	stop, err := serve(at, rpc.ServerOptions{Prefix: name, Workers: workers, Logger: logger}, func(s *rpc.Server) error {
		return rpc.Handle(s, echo, func(_ context.Context, in numberedArgs) (numberedArgs, error) {
			calls.runs(in.N)
			return in, nil
		})
	})
	if err != nil {
		return measured{}, err
	}
	opt := at.options()
	opt.ClientName = name
	rdb := redis.NewClient(opt)
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Prefix: name, Timeout: patienceWithKills, Logger: logger})
	if err != nil {
		return measured{}, err
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	var made, answered atomic.Int64
	var first, all sync.WaitGroup
	first.Add(c.Callers)
	for range c.Callers {
		all.Go(func() {
			for n := 0; n == 0 || ctx.Err() == nil; n++ {
				sent := numberedArgs{made.Add(1) - 1, text}
				got, err := rpc.Call[numberedArgs](context.Background(), client, echo, sent)
				if err == nil && got != sent {
					err = errWrongEcho
				}
				if err != nil {
					calls.fails(sent.N)
				} else {
					answered.Add(1)
				}
				if n == 0 {
					first.Done()
				}
			}
		})
	}
	first.Wait()
	window := time.Duration(f.seconds * float64(time.Second))
	time.AfterFunc(window, end)
	before := answered.Load()
	kills, err := killEvery(ctx, at, name, time.Duration(c.KillMS)*time.Millisecond)
	during := answered.Load() - before
	end()
	all.Wait()
	if err := errors.Join(err, client.Close(), stop(), rdb.Close()); err != nil {
		return measured{}, err
	}
	k := calls.close(int(made.Load()))
	k.Kills = kills
	return measured{PerSecond: digits(float64(during)/window.Seconds(), 0), Killed: &k}, nil
}

// killEvery kills the connections that have a client name at once and then at every
// tick, until ctx ends, and returns how many they were.
func killEvery(ctx context.Context, at endpoint, name string, tick time.Duration) (kills int, err error) {
	rdb := redis.NewClient(at.options())
	defer rdb.Close()
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for {
		list, err := rdb.ClientList(context.Background()).Result()
		if err != nil {
			return kills, err
		}
		for _, id := range clientsNamed(list, name) {
			n, err := rdb.ClientKillByFilter(context.Background(), "ID", strconv.FormatInt(id, 10)).Result()
			if err != nil {
				return kills, err
			}
			kills += int(n)
		}
		select {
		case <-ctx.Done():
			return kills, nil
		case <-ticks.C:
		}
	}
}

// clientsNamed returns the IDs of the clients with a name in what CLIENT LIST answers.
func clientsNamed(list, name string) []int64 {
	var ids []int64
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		if !slices.Contains(fields, "name="+name) {
			continue
		}
		if id, err := strconv.ParseInt(strings.TrimPrefix(fields[0], "id="), 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// A ledger has what became of numbered calls.
type ledger struct {
	mu     sync.Mutex // guards all below
	ran    []uint8    // how often, by number
	failed []int64    // those whose caller got an error
}

// runs says that a call has begun to run.
func (l *ledger) runs(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for int64(len(l.ran)) <= n {
		l.ran = append(l.ran, 0)
	}
	l.ran[n] = min(l.ran[n]+1, 100)
}

// fails says that the caller of a call got no result.
func (l *ledger) fails(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, n)
}

// close counts, when so many calls were made, all have ended, and nothing runs any more.
func (l *ledger) close(made int) killed {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := killed{Made: made}
	for _, n := range l.failed {
		if n < int64(len(l.ran)) && l.ran[n] > 0 {
			k.Lost++
		} else {
			k.Failed++
		}
	}
	for _, times := range l.ran {
		if times > 1 {
			k.Doubles++
		}
	}
	return k
}

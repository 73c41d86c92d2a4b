package torture

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// ChildEnv has the task of a process that an arena starts, as JSON. Whose environment has it
// calls Child, and nothing else.
const ChildEnv = "REDRPC_TORTURE_CHILD"

// Roles of processes. The names of processes begin with them.
const (
	roleServer = "server"
	roleClient = "client"
	roleBroker = "broker"

	// Servers and clients without the additions to the protocol, and in Python.
	roleOldServer    = "old-server"
	roleOldClient    = "old-client"
	rolePythonServer = "python-server"
	rolePythonClient = "python-client"
)

// A task is what a process is started for.
type task struct {
	Role      string
	Name      string // of the process
	Dir       string // for its journal
	Seed      uint64
	Prefix    string
	Functions []string

	Addr    string   // of Redis, or of the broker to listen on
	Master  string   // the name of the master, with Sentinel
	Nodes   []string // of a Cluster, or sentinels
	Python  string   // the interpreter, of a process in Python
	Callers int
	Pause   time.Duration // of a caller, between calls
	Patient bool          // calls have timeouts of some seconds
	Expiry  time.Duration // of what is in Redis
	Limit   int           // what Redis takes as one message, if that is to be tried
}

const (
	netTimeout = time.Second // of reads and writes
	patience   = time.Minute // for what has to happen, however busy the machine is
)

// Child is a process of an arena. It returns its exit code.
func Child() int {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err := runChild(os.Getenv(ChildEnv)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runChild(description string) error {
	var t task
	if err := json.Unmarshal([]byte(description), &t); err != nil {
		return fmt.Errorf("%s: %w", ChildEnv, err)
	}
	run := map[string]func(*child) error{
		roleClient: runClient, roleOldClient: runClient, roleServer: runServer, roleOldServer: runServer, roleBroker: runBroker,
	}[t.Role]
	if run == nil {
		return fmt.Errorf("%s: expected the role of a process, got %q", ChildEnv, t.Role)
	}
	j, err := openJournal(t.Dir, t.Name)
	if err != nil {
		return err
	}
	c := &child{task: t, journal: j, commands: make(chan string)}
	go c.listen()
	stop := j.watch()
	defer stop()
	return run(c)
}

// A child is a process as it sees itself. The arena sends it commands, one a line, and it
// says "ready", and then what the arena has to know at once.
type child struct {
	task
	journal  *journal
	commands chan string // closed when the arena is gone
}

func (c *child) listen() {
	defer close(c.commands)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		c.commands <- lines.Text()
	}
}

func say(words ...any) { fmt.Println(words...) }

// watch notes when the process does not get on, until it is stopped: it was suspended, or the
// machine is busy.
func (j *journal) watch() (stop func()) {
	const often = 10 * time.Millisecond
	stopping := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			begun := time.Now()
			select {
			case <-stopping:
				return
			case <-time.After(often):
			}
			now := time.Now()
			if over := now.Sub(begun) - often; over > leastStall {
				j.add("stall", now, micros(over))
			}
		}
	})
	return func() {
		close(stopping)
		running.Wait()
	}
}

// redis is a client of the Redis of the arena.
func (t *task) redis() redis.UniversalClient {
	switch {
	case t.Master != "":
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: t.Master, SentinelAddrs: t.Nodes, ClientName: t.Name, MaxRetries: -1,
			DialTimeout: netTimeout, ReadTimeout: netTimeout, WriteTimeout: netTimeout,
		})
	case len(t.Nodes) > 0:
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: t.Nodes, ClientName: t.Name, DialTimeout: netTimeout, ReadTimeout: netTimeout, WriteTimeout: netTimeout,
		})
	}
	return redis.NewClient(&redis.Options{
		Addr: t.Addr, ClientName: t.Name, MaxRetries: -1, DialTimeout: netTimeout, ReadTimeout: netTimeout, WriteTimeout: netTimeout,
	})
}

// settle notes what is left of the goroutines that were started since there were so many.
func (c *child) settle(before int) {
	for begun := time.Now(); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 20*time.Second {
			var stacks strings.Builder
			_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1) // a strings.Builder takes all
			c.journal.add("left", time.Now(), strconv.Quote(fmt.Sprintf("%d goroutines instead of %d: %s", runtime.NumGoroutine(), before, stacks.String())))
			return
		}
	}
}

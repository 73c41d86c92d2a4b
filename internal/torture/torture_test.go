package torture

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

var (
	duration = flag.Duration("torture.duration", 0, "how long TestTorture runs all arenas; 0 is a few of them for seconds")
	seed     = flag.Uint64("torture.seed", 0, "seed of the faults and calls; 0 draws one")
	out      = flag.String("torture.out", "", "directory for the report, and for journals and logs if a promise was broken; a temporary one if it is empty")
	redrpc   = flag.String("torture.redrpc", "", "the command redrpc, whose broker is tried; without it the broker runs in a process of the test")
	only     = flag.String("torture.arena", "", "run only arenas whose names contain this")
)

func TestMain(m *testing.M) {
	if os.Getenv(ChildEnv) != "" {
		os.Exit(Child())
	}
	goleak.VerifyTestMain(m)
}

// brief are the arenas of a test that takes seconds, and what happens in them.
var brief = map[string][]string{
	"redis":                       {"network swallows what comes from Redis", "maxmemory reached now and then", "servers replaced", "Redis stopped"},
	"redis with append-only file": {"Redis killed", "server killed", "client killed", "connections cut in the middle"},
	"broker":                      {"connections killed", "client stopped", "no server for a while", "calls cancelled"},
}

// TestTorture runs arenas at the same time, and fails if a promise was broken.
func TestTorture(t *testing.T) {
	if *duration == 0 && testing.Short() {
		t.Skip("takes 20 s")
	}
	if *seed == 0 {
		*seed = 1 + rand.Uint64N(1e9)
	}
	dir := *out
	if dir == "" {
		dir = t.TempDir()
	}
	dir, err := filepath.Abs(filepath.Join(dir, fmt.Sprint(*seed)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("seed %d\n", *seed)
	var mu sync.Mutex // guards verdicts
	verdicts := map[string]Verdict{}
	var all sync.WaitGroup // as they wait most of the time, all run at once
	for n, kind := range Arenas {
		opt := Options{Seed: *seed + uint64(n), Duration: *duration, Dir: dir, Redrpc: *redrpc}
		if *duration == 0 {
			opt.Script = brief[kind.Name]
		}
		if !strings.Contains(kind.Name, *only) || *duration == 0 && opt.Script == nil {
			continue
		}
		all.Go(func() {
			t.Run(kind.Name, func(t *testing.T) {
				v := kind.Run(t, opt).Check()
				mu.Lock()
				defer mu.Unlock()
				verdicts[kind.Name] = v
			})
		})
	}
	all.Wait()
	report := NewReport(*seed, *duration, verdicts)
	if err := report.Save(dir); err != nil {
		t.Fatal(err)
	}
	if *duration > 0 || report.Broken() > 0 {
		if err := report.Write(os.Stdout); err != nil {
			t.Fatal(err)
		}
	}
	if n := report.Broken(); n > 0 {
		t.Errorf("promises were broken %d times with seed %d; journals and logs are in %s", n, *seed, dir)
	} else if !t.Failed() {
		for kind := range verdicts {
			if err := os.RemoveAll(filepath.Join(dir, Directory(kind))); err != nil {
				t.Error(err)
			}
		}
	}
}

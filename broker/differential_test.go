//go:build unix

package broker

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// The differential test sends the same random commands to the broker and to a
// real redis-server, and compares what every client receives, byte for byte but
// for what differential_rules_test.go lists.
//
// It is made of rounds: some hundred commands of four clients on servers without
// data. A round that ends in a difference is repeated with fewer
// steps, and the fewest that still show it are printed as a transcript.
//
// It knows in what ways each row can end (differential_endings_test.go), provokes
// what it has seen least, and goes on until it has seen all of them often enough.

var (
	differentialSeed     = flag.Uint64("differential.seed", 0, "seed of the differential test; 0 chooses one")
	differentialCommands = flag.Int("differential.commands", 1_000, "how many commands the differential test sends at least; it goes on until each ending of each row was seen a thousandth as often")
	differentialServers  = flag.Int("differential.servers", 1, "how many redis-servers are compared at the same time, each with its part of the commands")
)

// maxDifferences is how many differences are looked into before the test gives up.
const maxDifferences = 5

// maxDelays is how many differences are taken for those of a machine that stopped one of the
// servers for a moment: the same steps do not lead to them again, ten times.
const maxDelays = 3

// maxUnlisted is how often a command may end in a way that is not listed: only a random script led to it,
// or the reply was another command's, which cannot always be told. Other ways to end are met more often.
const maxUnlisted = 2

func TestDifferential(t *testing.T) {
	for name, c := range table.All() {
		if _, known := grammar[name]; !known && (c.Run != nil || c.Subs != nil) {
			t.Errorf("%s has no rule in the grammar of the differential test", name)
		}
	}
	for name := range grammar {
		if table.Named([]byte(name)) == nil {
			t.Errorf("the grammar of the differential test has a rule for %s, which is no command", name)
		}
	}
	seed := *differentialSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	commands := *differentialCommands / *differentialServers
	for i := range *differentialServers {
		t.Run(fmt.Sprintf("redis-server %d", i+1), func(t *testing.T) {
			t.Parallel()
			playRounds(t, seed+uint64(i)<<32, commands, (commands+999)/1000)
		})
	}
}

// playRounds compares so many commands or more, until each ending has been seen as often as
// share says.
func playRounds(t *testing.T, seed uint64, commands, share int) {
	d := newComparison(t, share)
	began, differences, delays := time.Now(), 0, 0
	goesOn := func() bool {
		lacks := d.coverage.review()
		return d.sent < commands || lacks && d.sent < 40*commands
	}
	for round := uint64(0); goesOn() && differences < maxDifferences; round++ {
		d.password = ""
		if round%8 == 7 {
			d.password = "secret"
		}
		d.events = ""
		if round%4 == 1 {
			d.events = "g$lzxKEnm"
		}
		if steps, found := d.playRound(newGenerator(seed+round, d.coverage).next, nil); found != "" {
			text, again := d.explain(steps, found)
			if !again && delays < maxDelays {
				delays++
				t.Logf("round %d ended in a difference that the same steps do not lead to again:\n%s", round, text)
				continue
			}
			differences++
			t.Errorf("round %d ended in a difference:\n%s", round, text)
		}
	}
	for p, reply := range d.coverage.strange {
		if d.coverage.seen[p] > maxUnlisted {
			t.Errorf("%s ended in %q, which endings does not list: %v", p.row, p.ending, reply)
		}
	}
	for _, p := range d.coverage.lacking {
		t.Errorf("%s ended in %q %d times of %d", p.row, p.ending, d.coverage.seen[p], d.coverage.share)
	}
	t.Logf("seed %d: %d commands and %d whole scans in %v; %d endings of %d rows, of which %d were seen less than %d times", seed, d.sent, d.scans,
		time.Since(began).Round(time.Millisecond), len(d.coverage.paths), table.Count, len(d.coverage.lacking), d.coverage.share)
	if testing.Verbose() || *differentialCommands >= 100_000 {
		d.coverage.write(os.Stdout)
	}
}

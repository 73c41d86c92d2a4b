package rpc_test

import (
	"testing"
	"testing/synctest"
	"time"

	"redrpc/broker"
)

// TestSurvivesFaults: whatever command fails, and however, now and then or for a
// while, in fake time.
func TestSurvivesFaults(t *testing.T) {
	t.Parallel()
	var b *broker.Broker // of the trial that runs
	injectFor := func(d time.Duration, faults ...broker.Fault) func(*load) {
		return func(l *load) {
			for _, f := range faults {
				r, err := b.Inject(f)
				if err != nil {
					l.Fatal(err)
				}
				defer r.Remove()
			}
			time.Sleep(d)
		}
	}
	inject := func(faults ...broker.Fault) func(*load) { return injectFor(600*time.Millisecond, faults...) }
	sometimes := func(faults ...broker.Fault) func(*load) { return injectFor(300*time.Millisecond, faults...) }
	often := func(command string, f broker.Fault) broker.Fault {
		f.Command, f.Probability, f.Seed = command, 0.04, 7
		return f
	}
	each := func(f broker.Fault, commands ...string) (all []broker.Fault) {
		for _, command := range commands {
			all = append(all, often(command, f))
		}
		return all
	}
	var trials []trial
	for _, drop := range []broker.Drop{broker.DropBefore, broker.DropAfter, broker.DropHalf} {
		trials = append(trials,
			trial{name: "push dropped " + drop.String(), happen: sometimes(each(broker.Fault{Drop: drop}, "rpush")...), may: both},
			trial{name: "transaction dropped " + drop.String(), happen: sometimes(each(broker.Fault{Drop: drop}, "exec")...), may: both, must: drop == broker.DropBefore},
			trial{name: "pop dropped " + drop.String(), happen: sometimes(each(broker.Fault{Drop: drop}, "blpop", "blmpop", "lpop")...), may: both},
			trial{name: "read dropped " + drop.String(), happen: sometimes(each(broker.Fault{Drop: drop}, "blmove", "lrange", "ltrim", "exists", "lindex")...), may: both},
		)
	}
	for _, text := range []string{"OOM no", "NOPERM no", "READONLY no", "LOADING no", "MASTERDOWN no"} {
		trials = append(trials, trial{name: text, happen: inject(broker.Fault{Error: text, Command: "rpush"}), may: both, texts: []string{text, "timeout"}, must: true})
	}
	trials = append(trials,
		trial{name: "servers replaced", happen: (*load).relieve, may: harmless},
		trial{name: "everything LOADING", happen: inject(broker.Fault{Error: "LOADING no"}), may: both, must: true},
		trial{name: "pops UNBLOCKED", happen: sometimes(each(broker.Fault{Error: "UNBLOCKED no"}, "blpop", "blmpop")...), may: harmless},
		trial{name: "reads UNBLOCKED", happen: sometimes(each(broker.Fault{Error: "UNBLOCKED no"}, "blmove")...), may: harmless},
		trial{name: "reads READONLY", happen: sometimes(each(broker.Fault{Error: "READONLY no"}, "blmove", "ltrim")...), may: harmless},
		trial{name: "reads OOM", happen: sometimes(each(broker.Fault{Error: "OOM no"}, "blmove", "ltrim")...), may: harmless},
		trial{name: "pops READONLY", happen: sometimes(each(broker.Fault{Error: "READONLY no"}, "blpop", "blmpop", "lpop")...), may: both},
		trial{name: "pops NOPERM", happen: sometimes(each(broker.Fault{Error: "NOPERM no"}, "blpop", "blmpop", "lpop")...), may: losses},
		trial{name: "EXECABORT", happen: sometimes(each(broker.Fault{Error: "EXECABORT no"}, "exec")...), may: both},
		trial{name: "slow network", happen: inject(broker.Fault{RTT: 50 * time.Millisecond}), may: harmless},
		trial{name: "late", happen: inject(broker.Fault{Delay: broker.Uniform{Max: 50 * time.Millisecond}}), may: losses},
		trial{name: "too late", happen: inject(broker.Fault{Delay: broker.Fixed(1200 * time.Millisecond)}), may: both, must: true},
		trial{name: "refused", happen: func(l *load) {
			inject(broker.Fault{Refuse: true}, often("exec", broker.Fault{Drop: broker.DropAfter}))(l)
		}, may: both, must: true},
		trial{name: "stalled", happen: func(*load) { b.Stall(700 * time.Millisecond); time.Sleep(time.Second) }, may: harmless},
		trial{name: "stalled for long", happen: func(*load) { b.Stall(3 * time.Second); time.Sleep(4 * time.Second) }, may: both, must: true},
	)
	survive(t, trials, fleets, func(t *testing.T, f fleet, c trial) {
		synctest.Test(t, func(t *testing.T) {
			b = newBroker(t)
			opt := inMemory(b)
			opt.MaxRetries = -1
			opt.ReadTimeout = 1500 * time.Millisecond
			h := newHouse(t, opt)
			h.fleet = f
			l := newLoad(h)
			l.pause = 6 * time.Millisecond
			c.endure(l)
		})
	})
}

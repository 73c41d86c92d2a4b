package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/bench/report"
	"redrpc/internal/terminal"
)

// A measuring is a system that is assembled, and how it is measured: once, or again and
// again by the sub-commands.
type measuring struct {
	system *systemFlags
	pace   *paceFlags
	sys    *system
	live   *liveLine
	replay []recordedCall
}

// headroom is a part of the heap that is never touched, and so takes no memory. The garbage collector runs
// whenever the heap has doubled. That of a small system would do so 20 times a second at 10,000 calls/s,
// which takes a few hundredths of the time: enough to decide how late the p99 of calls is sent.
const headroom = 64 << 20

// measure assembles the system for so many calls at a time, of the functions of replay
// or else the one of the flags, and takes it down when do returns.
func measure(ctx context.Context, f *systemFlags, pace *paceFlags, open bool, atATime int, replay []recordedCall, live *liveLine, do func(*measuring) error) error {
	f.seed = pace.seed
	heap := make([]byte, headroom)
	defer runtime.KeepAlive(heap)
	sys, err := assemble(ctx, f, open, atATime, live)
	if err != nil {
		return err
	}
	functions := []string{f.fn}
	if replay != nil || f.commands.given() {
		functions = nil
	}
	for _, call := range replay {
		if !slices.Contains(functions, call.Func) {
			functions = append(functions, call.Func)
		}
	}
	sys.timeout = f.timeout
	sys.queues = queuesOf(f.prefix, functions...)
	err = do(&measuring{f, pace, sys, live, replay})
	// After the report, which nobody is to wait for longer than needed.
	if err := sys.close(live); err != nil {
		fmt.Fprintf(live, "redrpc: %s\n", terminal.Text(err.Error()))
	}
	return err
}

// config is that of a run with this model. What of it is 0 is up to the caller:
// Duration or Calls, and Callers.
func (m *measuring) config(ctx context.Context, model bench.Model, note string) bench.Config {
	told := false
	cfg := bench.Config{
		Do:           m.sys.caller(m.system, m.replay),
		Model:        model,
		Seed:         m.pace.seed,
		Warmup:       m.pace.warmup,
		Drain:        m.system.timeout + time.Second, // so that each call ends by its own timeout
		Classify:     m.sys.classifier(),
		TimeoutKinds: []string{kindTimeout, kindTimeoutUnsent},
		Gauges:       m.sys.gauges(),
		Resources:    m.sys.resources(m.system.workers),
		Counters:     m.sys.commandStats,
		Progress: func(p bench.Progress) {
			if ctx.Err() != nil && p.Draining && !told {
				told = true
				fmt.Fprintf(m.live, "interrupted: waiting up to %v for the last calls, a second signal kills\n", m.system.timeout)
			}
			m.live.show(note, p)
		},
		ProgressEvery: m.live.interval(),
		InProcess:     m.sys.inProcess || !m.system.noServer,
		ServersKnown:  m.sys.load != nil,
		RunOn:         m.pace.runOn,
		Spin:          bench.Spin(m.pace.spin),
	}
	if m.sys.load != nil {
		cfg.Labels = m.sys.load.Labels()
	}
	if m.sys.trace != nil {
		cfg.Phases = phases
	}
	if _, closed := model.(bench.ClosedLoop); !closed {
		cfg.MaxInFlight = m.pace.maxInFlight
	} else {
		m.sys.sendBatches(&cfg)
	}
	return cfg
}

// run is bench.Run.
func (m *measuring) run(ctx context.Context, cfg bench.Config) (*bench.Result, error) {
	defer m.live.end()
	return bench.Run(ctx, cfg)
}

// about is what is reported of the system.
func (m *measuring) about(more ...report.Setting) report.About {
	return report.About{
		Settings:    append(m.system.settings(m.sys), more...),
		Environment: report.Capture(os.Args, m.sys.facts()...),
	}
}

// runBench measures and reports. Whatever it made is gone when it returns.
func runBench(ctx context.Context, f *benchFlags, stdout io.Writer, live *liveLine) error {
	if err := f.out.check(stdout); err != nil {
		return err
	}
	return measure(ctx, &f.system, &f.load.pace, f.load.isOpen(), f.load.atATime(), f.load.replay, live, func(m *measuring) error {
		res, err := m.run(ctx, f.config(ctx, m, ""))
		if err != nil {
			return err
		}
		var more report.Settings
		if f.load.replay != nil {
			more = append(more, report.Setting{Name: "replay", Value: f.load.file})
		}
		if f.slo != nil {
			more = append(more, report.Setting{Name: "slo", Value: f.slo.String()})
		}
		about := m.about(more...)
		rep := report.Report{Settings: about.Settings, Environment: about.Environment, Objective: objectiveOf(f.slo, res), Result: res}
		return f.out.end(rep, stdout, live)
	})
}

// objectiveOf judges a run by an SLO if there is one.
func objectiveOf(slo capacity.SLO, res *bench.Result) *capacity.Objective {
	if slo == nil {
		return nil
	}
	o := slo.Judge(res)
	return &o
}

// config is that of a run as the flags say.
func (f *benchFlags) config(ctx context.Context, m *measuring, note string) bench.Config {
	cfg := m.config(ctx, f.load.model, note)
	cfg.Duration, cfg.Calls = f.load.duration, int64(f.load.calls)
	cfg.StartAt = f.load.pace.startAt
	cfg.Instance, cfg.Instances = f.load.pace.share.instance, f.load.pace.share.instances
	if !f.load.isOpen() {
		cfg.Callers = f.load.callers
	}
	return cfg
}

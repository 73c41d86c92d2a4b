package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/internal/figure"
	"redrpc/internal/terminal"
)

// A trialTimeout is the default of --timeout where many runs are made: calls of an
// overloaded one hold up the next for as long.
const trialTimeout = 2 * time.Second

// trial is one of a series of runs, at a rate with arrivals, or if these are empty with
// so many callers. Each run draws its own arrivals.
func (m *measuring) trial(arrivals string) capacity.Trial {
	n := uint64(0)
	return func(ctx context.Context, load float64, length time.Duration) (*bench.Result, error) {
		model := bench.Model(bench.ClosedLoop{})
		if arrivals != "" {
			model = atRate(load, arrivals)
		}
		cfg := m.config(ctx, model, loadText(load, arrivals == "")+":")
		cfg.Duration = length
		cfg.Seed += n
		n++
		if arrivals == "" {
			cfg.Callers = int(load)
		}
		return m.run(ctx, cfg)
	}
}

// loadText is so many callers, or a rate.
func loadText(load float64, callers bool) string {
	switch {
	case !callers:
		return figure.Rate(load) + " calls/s"
	case load == 1:
		return "1 caller"
	}
	return figure.Rate(load) + " callers"
}

// tell writes a line about a trial that has ended.
func (m *measuring) tell(format string, args ...any) {
	fmt.Fprintf(m.live, "%s\n", terminal.Text(fmt.Sprintf(format, args...)))
}

// loads takes numbers by commas, and geometric rows such as 100..1600/5, which is 100,
// 200, 400, 800, 1600. whole takes whole numbers, and rounds what is within a row, whose
// numbers are there once then.
func loads(to *[]float64, whole bool, most float64) value[[]float64] {
	kind := "numbers"
	if whole {
		kind = "whole numbers"
	}
	wrong := fmt.Errorf("expected %s above 0 by commas, such as 100,200,400, or a row such as 100..1600/5", kind)
	return value[[]float64]{to, "LIST", func(s string) ([]float64, error) {
		var all []float64
		for part := range strings.SplitSeq(s, ",") {
			ends, steps, _ := strings.Cut(part, "/")
			first, last, row := strings.Cut(ends, "..")
			if !row {
				last, steps = ends, "1"
			}
			low, err1 := strconv.ParseFloat(first, 64)
			high, err2 := strconv.ParseFloat(last, 64)
			n, err3 := strconv.Atoi(steps)
			if errors.Join(err1, err2, err3) != nil || !row && ends != part || row && strings.HasPrefix(last, ".") ||
				whole && (low != math.Trunc(low) || high != math.Trunc(high)) || !(low > 0 && high >= low && high <= most) || n < 1 || n > 1000 || n == 1 && low != high {
				return nil, wrong
			}
			for i := range n {
				load := low * math.Pow(high/low, float64(i)/float64(max(1, n-1)))
				if whole {
					if load = math.Round(load); i > 0 && load == all[len(all)-1] {
						continue
					}
				}
				all = append(all, load)
			}
		}
		return all, nil
	}}
}

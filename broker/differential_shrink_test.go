//go:build unix

package broker

import (
	"slices"
	"strings"
)

// replay has a round with given steps.
func (d *comparison) replay(steps []step, record *[]string) (found string) {
	_, found = d.playRound(func(*round) []step {
		if len(steps) == 0 {
			return nil
		}
		n := together(steps)
		first := steps[:n]
		steps = steps[n:]
		return first
	}, record)
	return found
}

// explain shrinks the steps that lead to a difference and returns them as a transcript. It
// reports whether they lead to one again.
func (d *comparison) explain(steps []step, found string) (text string, again bool) {
	sent, scans, coverage := d.sent, d.scans, d.coverage
	defer func() { d.sent, d.scans, d.coverage = sent, scans, coverage }()
	d.coverage = nil
	var transcript []string
	for tries := 0; d.replay(steps, nil) == ""; tries++ {
		if tries == 10 {
			d.replay(steps, &transcript)
			return "# " + found + "\n# It did not happen again. The steps were:\n" + strings.Join(transcript, "\n"), false
		}
	}
	steps = d.shrink(steps)
	found = d.replay(steps, &transcript)
	return strings.Join(append(transcript, "# "+found), "\n"), true
}

// shrink leaves out steps as long as a difference remains: first many at once,
// then one by one.
func (d *comparison) shrink(steps []step) []step {
	single := slices.Clone(steps)
	for i := range single {
		single[i].joined = false
	}
	if d.replay(single, nil) != "" {
		steps = single
	}
	for size := (len(steps) + 1) / 2; size > 0; {
		shorter := false
		for at := 0; at < len(steps); {
			fewer := slices.Concat(steps[:at], steps[min(at+size, len(steps)):])
			if len(fewer) > 0 && d.replay(fewer, nil) != "" {
				steps, shorter = fewer, true
			} else {
				at += size
			}
		}
		if size > 1 || !shorter {
			size /= 2
		}
	}
	return steps
}

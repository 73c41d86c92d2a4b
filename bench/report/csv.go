package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"redrpc/bench"
)

// WriteCSV writes how the run went over time: a header, and a row for each interval,
// those of the warm-up and of the waiting for the last calls too, which the column
// period tells apart. Units are in the names; errors have a column for each kind, and
// gauges one each. What is not known is empty. It matches ErrNoFigures if the run has
// no intervals.
func (r Report) WriteCSV(w io.Writer) error {
	r = r.Redacted()
	if len(r.Intervals) == 0 {
		return fmt.Errorf("report: CSV: %w: the run has no intervals", ErrNoFigures)
	}
	kinds, gauges := map[string]bool{}, map[string]bool{}
	for _, i := range r.Intervals {
		for kind := range i.Errors {
			kinds[kind] = true
		}
		for name := range i.Gauges {
			gauges[name] = true
		}
	}
	header := []string{"start_s", "end_s", "period", "intended", "sent", "calls", "throughput_per_s", "dropped", "in_flight", "late_warmup_calls"}
	for _, of := range []string{"response", "service"} {
		for _, f := range figures {
			header = append(header, of+"_"+f.key+"_us")
		}
	}
	errors, values := slices.Sorted(maps.Keys(kinds)), slices.Sorted(maps.Keys(gauges))
	for _, kind := range errors {
		header = append(header, "errors_"+column(kind))
	}
	for _, name := range values {
		header = append(header, "gauge_"+column(name))
	}
	if r.Objective != nil {
		header = append(header, "slo_outcome") // of the whole run
	}
	out := csv.NewWriter(w)
	out.Write(header) // Error has its error
	for _, i := range r.Intervals {
		row := []string{number(i.StartS), number(i.EndS), period(i), whole(i.Intended), whole(i.Sent), whole(i.Calls),
			number(i.Rate()), whole(i.Dropped), whole(i.InFlight), whole(i.LateWarmupCalls)}
		for _, l := range []*bench.Latency{&i.Latency, &i.Service} {
			for _, f := range figures {
				if us := f.of(l); us != nil {
					row = append(row, number(*us))
				} else {
					row = append(row, "")
				}
			}
		}
		for _, kind := range errors {
			row = append(row, whole(i.Errors[kind]))
		}
		for _, name := range values {
			if v, ok := i.Gauges[name]; ok {
				row = append(row, number(v))
			} else {
				row = append(row, "")
			}
		}
		if r.Objective != nil {
			row = append(row, string(r.Objective.Outcome))
		}
		out.Write(row)
	}
	out.Flush()
	return out.Error()
}

// column makes a text part of a column's name.
func column(text string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, text)
}

// period is the part of the run that an interval belongs to.
func period(i bench.Interval) string {
	switch {
	case i.WarmingUp:
		return "warmup"
	case i.Draining:
		return "drain"
	}
	return "measured"
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func whole(n int64) string { return strconv.FormatInt(n, 10) }

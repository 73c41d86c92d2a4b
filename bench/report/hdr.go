package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"redrpc/bench"
	"redrpc/internal/terminal"
)

const nsPerMS = 1e6

// WriteHLog writes the intervals as an HdrHistogram log in version 1.3, which its
// tools merge, cut and plot: values in nanoseconds, with the tags "response" and
// "service", or for those of the warm-up "warmup-response" and "warmup-service".
// Calls are in the interval in which they ended. A comment says if the run is not to
// be used. It matches ErrNoFigures if no interval has samples.
func (r Report) WriteHLog(w io.Writer) error {
	r = r.Redacted()
	log := hdrhistogram.NewHistogramLogWriter(w)
	started := max(0, r.StartedAt.UnixMilli())
	base := started / 1000 * 1000 // the log has whole seconds
	log.SetBaseTime(base)
	comments := []string{"[redrpc bench: " + column(r.load()) + "]"}
	for _, line := range r.alarmLines() {
		comments = append(comments, "["+line+"]")
	}
	head := func() error {
		for _, c := range comments {
			if err := log.OutputComment(c); err != nil {
				return err
			}
		}
		if err := log.OutputLogFormatVersion(); err != nil {
			return err
		}
		if err := log.OutputBaseTime(base); err != nil {
			return err
		}
		if err := log.OutputStartTime(base); err != nil {
			return err
		}
		return log.OutputLegend()
	}
	lines := 0
	for _, i := range r.Intervals {
		prefix := ""
		if i.WarmingUp {
			prefix = "warmup-"
		}
		for _, s := range []struct {
			tag string
			of  *bench.Samples
		}{{"response", i.ResponseSamples}, {"service", i.ServiceSamples}} {
			if s.of == nil {
				continue
			}
			if lines == 0 {
				if err := head(); err != nil {
					return err
				}
			}
			lines++
			h := s.of.Histogram()
			h.SetTag(prefix + s.tag)
			h.SetStartTimeMs(started + int64(i.StartS*1000))
			h.SetEndTimeMs(started + int64(i.EndS*1000))
			if err := log.OutputIntervalHistogram(h); err != nil {
				return err
			}
		}
	}
	if lines == 0 {
		return fmt.Errorf("report: HdrHistogram log: %w: no interval has samples", ErrNoFigures)
	}
	return nil
}

// WriteHGRM writes a percentile distribution in milliseconds, as HdrHistogram's tools
// print and plot it. of is "response", "service", "lag" or the name of a phase. It
// matches ErrNoFigures if the run has no such samples, or is diverging, so that its
// percentiles say nothing.
func (r Report) WriteHGRM(w io.Writer, of string) error {
	r = r.Redacted()
	s := map[string]*bench.Samples{}
	maps.Copy(s, r.Samples.Phases)
	maps.Copy(s, map[string]*bench.Samples{"response": r.Samples.Response, "service": r.Samples.Service, "lag": r.Samples.Lag})
	switch {
	case s[of] == nil || s[of].Count == s[of].Unrecorded:
		names := slices.DeleteFunc(slices.Sorted(maps.Keys(s)), func(name string) bool { return s[name] == nil })
		return fmt.Errorf("report: percentile distribution: %w: expected one of %s, got %.40q", ErrNoFigures, strings.Join(names, ", "), of)
	case r.Verdict.State == bench.Diverging:
		return fmt.Errorf("report: percentile distribution: %w: the run is diverging", ErrNoFigures)
	}
	// Five lines for each halving of what is left above, as HdrHistogram's tools have it.
	if _, err := s[of].Histogram().PercentilesPrint(w, 5, nsPerMS); err != nil {
		return err
	}
	for _, line := range r.alarmLines() {
		if _, err := fmt.Fprintf(w, "#[%s]\n", line); err != nil {
			return err
		}
	}
	return nil
}

// alarmLines say why the figures are not to be used, if so, a line each.
func (r Report) alarmLines() []string {
	var lines []string
	if line := r.objectiveLine(); line != "" {
		lines = append(lines, line)
	}
	title := r.alarm()
	if title == "" {
		return lines
	}
	for _, reason := range append([]string{""}, r.Verdict.Reasons...) {
		lines = append(lines, strings.TrimSuffix(title+": "+terminal.Quoted(reason), ": "))
	}
	return lines
}

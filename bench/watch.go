package bench

import (
	"math"
	"runtime"
	"runtime/metrics"
	"time"

	"redrpc/bench/stats"
)

// Levels are taken at random times, every 20 ms on the average: what is seen at the
// times of a Poisson process is what is true on the average (Wolff, Poisson arrivals
// see time averages, 1982), while regular times could fall in step with the calls.
const sampleEvery = 20 * time.Millisecond

func (r *run) untilSample() time.Duration {
	return time.Duration(r.chance.ExpFloat64() * float64(sampleEvery))
}

// sample notes how many calls have been intended, but for those missed, and have
// ended.
func (r *run) sample() {
	l := stats.Load{At: r.elapsed()}
	l.Intended, l.Done = r.underWay()
	if n := len(r.levels); n > 0 && l.At <= r.levels[n-1].At {
		return
	}
	r.levels = append(r.levels, l)
}

// underWay returns how many calls were intended and not missed, and how many of
// them have ended.
func (r *run) underWay() (intended, ended int64) {
	for _, rec := range r.recorders { // the ends first: what ends meanwhile is still counted as sent
		ended += rec.done.Load()
	}
	if r.cfg.open() {
		return r.released.Load(), ended
	}
	return r.sent(), ended
}

func (r *run) sent() int64 {
	var n int64
	for _, rec := range r.recorders {
		n += rec.sent.Load()
	}
	return n
}

func (r *run) inFlight() int64 {
	intended, ended := r.underWay()
	return intended - ended
}

// meters are what is read when the measured window opens and closes.
type meters struct {
	read     bool
	at       time.Duration
	used     []time.Duration // of each resource
	counters map[string]float64

	// Of this process. They are left out in fake time.
	processor  time.Duration // without spinning
	processors int           // 0: not known
	own        time.Duration // the same with spinning
	machine    time.Duration // of all processes; 0: not known
	stolen     time.Duration // of it, what the hypervisor gave to others
	pauses     *metrics.Float64Histogram
	schedule   *metrics.Float64Histogram
}

func (r *run) meters() meters {
	m := meters{read: true, at: r.elapsed()}
	for _, res := range r.cfg.Resources {
		m.used = append(m.used, res.Used())
	}
	if r.cfg.Counters != nil {
		m.counters = r.cfg.Counters()
	}
	if r.fake {
		return m
	}
	if used, ok := processorTime(); ok {
		m.processor, m.processors = used-time.Duration(r.spun.Load()), runtime.GOMAXPROCS(0)
		if busy, stolen, known := machineTime(); known {
			m.own, m.machine, m.stolen = used, busy, stolen
		}
	}
	of := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/sched/latencies:seconds"}}
	metrics.Read(of)
	m.pauses, m.schedule = histogramOf(of[0]), histogramOf(of[1])
	return m
}

func histogramOf(s metrics.Sample) *metrics.Float64Histogram {
	if s.Value.Kind() != metrics.KindFloat64Histogram {
		return nil
	}
	return s.Value.Float64Histogram()
}

// delays are what a histogram of the runtime says of the window.
type delays struct {
	count         int64
	p99, max, sum time.Duration // at most
}

// between is what came into a histogram between two readings.
func between(from, to *metrics.Float64Histogram) delays {
	var d delays
	if from == nil || to == nil || len(from.Counts) != len(to.Counts) {
		return d
	}
	upper := func(i int) time.Duration {
		end := to.Buckets[i+1]
		if math.IsInf(end, 1) {
			end = to.Buckets[i]
		}
		return time.Duration(end * float64(time.Second))
	}
	for i := range to.Counts {
		if n := int64(to.Counts[i] - from.Counts[i]); n > 0 {
			d.count += n
			d.max = upper(i)
			d.sum += time.Duration(n) * upper(i)
		}
	}
	below := d.count * 99 / 100
	for i := range to.Counts {
		if below -= int64(to.Counts[i] - from.Counts[i]); below < 0 {
			d.p99 = upper(i)
			break
		}
	}
	return d
}

// grown is how much each counter grew between two readings.
func grown(from, to map[string]float64) map[string]float64 {
	g := make(map[string]float64)
	for name, v := range to {
		g[name] = v - from[name]
	}
	return g
}

package bench

import "time"

// A level is how many calls were under way at one time.
type level struct {
	at              time.Duration
	intended, ended int64
}

// Levels are taken at random times, every 20 ms on the average: what is seen at the
// times of a Poisson process is what is true on the average (Wolff, Poisson arrivals
// see time averages, 1982), while regular times could fall in step with the calls.
const sampleEvery = 20 * time.Millisecond

func (r *run) untilSample() time.Duration {
	return time.Duration(r.chance.ExpFloat64() * float64(sampleEvery))
}

func (r *run) sample() {
	intended, ended := r.underWay()
	r.levels = append(r.levels, level{r.elapsed(), intended, ended})
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
	at       time.Duration
	used     []time.Duration // of each resource
	counters map[string]float64
}

func (r *run) meters() meters {
	m := meters{at: r.elapsed()}
	for _, res := range r.cfg.Resources {
		m.used = append(m.used, res.Used())
	}
	if r.cfg.Counters != nil {
		m.counters = r.cfg.Counters()
	}
	return m
}

// grown is how much each counter grew between two readings.
func grown(from, to map[string]float64) map[string]float64 {
	g := make(map[string]float64)
	for name, v := range to {
		g[name] = v - from[name]
	}
	return g
}

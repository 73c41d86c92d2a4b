package report

import (
	"encoding/json"
	"fmt"
	"time"

	"redrpc/bench"
	"redrpc/bench/capacity"
)

// Objects of schema 1 are read as those of schema 2. docs/reading-a-report.md lists the names.

// A shape says how an object of schema 1 becomes one of schema 2.
type shape struct {
	names  map[string]string // new names by old ones
	inside map[string]*shape // of members, or of the elements of arrays, by their old names; "*" is of all
	change func(object) error
	whole  func(json.RawMessage) (json.RawMessage, error) // in place of all this
}

type object map[string]json.RawMessage

var (
	samples1 = &shape{names: map[string]string{"beyond": "unrecorded"}}
	labeled1 = &shape{inside: map[string]*shape{"*": samples1}}
	verdict1 = &shape{
		names: map[string]string{"disturbed": "disturbance"},
		inside: map[string]*shape{"checks": {
			names: map[string]string{"is": "result"},
			change: func(o object) error {
				return o.replace("name", checkNames1)
			},
		}},
	}
	objective1 = &shape{names: map[string]string{"findings": "terms"}}
	run1       = &shape{
		names: map[string]string{
			"run": "settings", "missed": "dropped", "offered_rate": "offered_rate_per_s", "throughput": "throughput_per_s",
			"throughput_margin": "throughput_margin_per_s", "censored": "timed_out",
		},
		inside: map[string]*shape{
			"run":       {whole: settings1},
			"objective": objective1,
			"verdict":   verdict1,
			"resources": {names: map[string]string{"busy": "utilization"}},
			"intervals": {
				names: map[string]string{
					"missed": "dropped", "warmup_calls": "late_warmup_calls", "response": "response_samples", "service": "service_samples",
				},
				inside: map[string]*shape{"response": samples1, "service": samples1},
			},
			"samples": {inside: map[string]*shape{
				"response": samples1, "service": samples1, "lag": samples1, "phases": labeled1, "labels": labeled1, "errors": labeled1,
			}},
			"sweep": {
				names: map[string]string{
					"callers": "load_unit", "knee_of": "knee_metric", "knee_why": "knee_reason", "usl_why": "usl_reason", "stopped": "stop_reason",
				},
				inside: map[string]*shape{
					"points": {names: map[string]string{"throughput": "throughput_per_s"}, inside: map[string]*shape{"verdict": verdict1}},
					"usl":    {names: map[string]string{"lambda": "lambda_per_s", "residuals": "residuals_per_s", "peak_x": "peak_per_s"}},
				},
				change: loadUnit1,
			},
			"search": {
				names: map[string]string{
					"met": "highest_met_per_s", "missed": "lowest_missed_per_s", "limit": "limiting_factor", "stopped": "stop_reason", "probes": "trials",
				},
				inside: map[string]*shape{"probes": {
					names: map[string]string{
						"load": "rate_per_s", "length_ns": "duration_s", "confirms": "confirmation", "spoiled": "invalid", "findings": "terms", "disturbed": "disturbance",
					},
					change: seconds1,
				}},
			},
			"plan": {
				names: map[string]string{"rate": "rate_per_s", "busy": "offered_load_erlangs", "why": "reason"},
				inside: map[string]*shape{
					"predictions": {names: map[string]string{"utilisation": "utilization", "findings": "terms", "why": "reason"}},
					"check": {
						names:  map[string]string{"length_s": "duration_s", "throughput": "throughput_per_s"},
						inside: map[string]*shape{"verdict": verdict1, "objective": objective1},
					},
				},
			},
			"comparison": {
				names: map[string]string{
					"contrasts": "metrics", "matters": "min_effect", "matters_errors": "min_effect_errors", "took_turns": "interleaved", "stopped": "stop_reason",
				},
				inside: map[string]*shape{
					"contrasts": {names: map[string]string{"low": "effect_low", "high": "effect_high", "p": "p_value"}, change: unit1},
					"runs": {
						names:  map[string]string{"throughput": "throughput_per_s", "disturbed": "disturbance"},
						inside: map[string]*shape{"response": samples1},
						change: disturbance1,
					},
				},
			},
		},
	}
)

func init() {
	run1.inside["search"].inside["best"] = run1
	run1.change = func(o object) error { return o.set("schema", bench.Schema) }
}

// upgraded is a report of schema 1 as one of schema 2, and any other as it is.
func upgraded(text []byte) ([]byte, error) {
	var of struct {
		Schema int64 `json:"schema"`
	}
	if json.Unmarshal(text, &of) != nil || of.Schema != 1 {
		return text, nil // whose reader says what is wrong
	}
	return run1.upgrade(text)
}

// upgrade is of an object, of each in an array, and of anything else as it is.
func (s *shape) upgrade(text json.RawMessage) (json.RawMessage, error) {
	switch {
	case s.whole != nil:
		return s.whole(text)
	case text[0] == '[':
		var all []json.RawMessage
		if err := json.Unmarshal(text, &all); err != nil {
			return nil, err
		}
		for i, element := range all {
			var err error
			if all[i], err = s.upgrade(element); err != nil {
				return nil, err
			}
		}
		return json.Marshal(all)
	case text[0] != '{':
		return text, nil
	}
	var was object
	if err := json.Unmarshal(text, &was); err != nil {
		return nil, err
	}
	is := make(object, len(was))
	for name, value := range was {
		inside := s.inside[name]
		if inside == nil {
			inside = s.inside["*"]
		}
		if inside != nil {
			var err error
			if value, err = inside.upgrade(value); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		if to, ok := s.names[name]; ok {
			name = to
		}
		is[name] = value
	}
	if s.change != nil {
		if err := s.change(is); err != nil {
			return nil, err
		}
	}
	return json.Marshal(is)
}

// replace puts a new text in the place of an old one.
func (o object) replace(name string, texts map[string]string) error {
	var was string
	if json.Unmarshal(o[name], &was) != nil {
		return nil // whose reader says what is wrong
	}
	if is, ok := texts[was]; ok {
		return o.set(name, is)
	}
	return nil
}

func (o object) set(name string, value any) (err error) {
	o[name], err = json.Marshal(value)
	return err
}

// settings1 keeps the order of settings.
func settings1(text json.RawMessage) (json.RawMessage, error) {
	var all Settings
	if err := json.Unmarshal(text, &all); err != nil || all == nil {
		return text, err
	}
	for i, s := range all {
		if to, ok := settingNames1[s.Name]; ok {
			all[i].Name = to
		}
	}
	return json.Marshal(all)
}

// New names of settings and of checks, by old ones.
var (
	settingNames1 = map[string]string{"one_process": "process", "prepared_by": "prepare", "connections_each": "connections_per_node"}
	checkNames1   = map[string]string{"given_up": "timeouts", "missed": "dropped"}
)

// loadUnit1 is of a sweep, which said whether its loads were callers.
func loadUnit1(sweep object) error {
	switch string(sweep["load_unit"]) {
	case "true":
		return sweep.set("load_unit", capacity.LoadOfCallers)
	case "false":
		return sweep.set("load_unit", capacity.LoadOfRates)
	}
	return nil
}

// seconds1 is of a trial, which had its length in nanoseconds.
func seconds1(trial object) error {
	var length time.Duration
	if json.Unmarshal(trial["duration_s"], &length) != nil {
		return nil // whose reader says what is wrong
	}
	return trial.set("duration_s", length.Seconds())
}

// unit1 is of a metric that was compared, which did not say its unit.
func unit1(metric object) error {
	var m capacity.Metric
	if json.Unmarshal(metric["metric"], &m) != nil {
		return nil // whose reader says what is wrong
	}
	return metric.set("unit", m.Unit())
}

// disturbance1 is of a run that was compared, which did not say how much others used.
func disturbance1(run object) error {
	switch string(run["disturbance"]) {
	case "true":
		return run.set("disturbance", "others used the machine")
	case "false":
		delete(run, "disturbance")
	}
	return nil
}

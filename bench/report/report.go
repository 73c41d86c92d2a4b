// Package report writes what a run of package bench measured, for people and for
// programs, and reads it back. It knows nothing of what was called.
//
// JSON holds all there is, and every other form can be made of it: text for a
// terminal, CSV over time, HdrHistogram's logs and percentile distributions, and
// Go's benchmark format. What the samples cannot support is not a number in any of
// them, and a run that judged itself invalid or diverging says so first.
//
// Passwords are in none of them: each form is written of Redacted.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"redrpc/bench"
	"redrpc/bench/capacity"
)

// A Report is a Result, what was run to get it, and where.
type Report struct {
	Settings    Settings            // in the order in which they are printed
	Environment *Environment        // nil if it is not known
	Objective   *capacity.Objective // what it says about an SLO, nil if it had none to meet
	*bench.Result
}

// A Setting is one fact, such as {"payload_bytes", 100}. Name is its JSON name; the
// text prints it with spaces, and a unit at its end (_s, _bytes) behind the value. A json.RawMessage is printed as it is.
type Setting struct {
	Name  string
	Value any
}

func (s Setting) text() string {
	if raw, ok := s.Value.(json.RawMessage); ok {
		return string(raw)
	}
	return fmt.Sprint(s.Value)
}

// words are the name and the value for people: a unit at the end of the name goes behind
// the value.
func (s Setting) words() (name, text string) {
	for _, unit := range []struct{ inName, behind string }{{"_s", "s"}, {"_bytes", " bytes"}} {
		if name, ok := strings.CutSuffix(s.Name, unit.inName); ok {
			return words(name), s.text() + unit.behind
		}
	}
	return words(s.Name), s.text()
}

// Redacted returns the report with "***" in place of what looks like a password: in
// settings, in the environment, and in samples of errors. The Result is copied as
// far as it changes.
func (r Report) Redacted() Report {
	r.Settings = redactSettings(r.Settings)
	if r.Environment != nil {
		e := *r.Environment
		e.Command, e.More = RedactArgs(e.Command), redactSettings(e.More)
		r.Environment = &e
	}
	if r.Result == nil {
		r.Result = &bench.Result{}
		return r
	}
	res := *r.Result
	res.ErrorSamples = maps.Clone(res.ErrorSamples)
	for kind, text := range res.ErrorSamples {
		res.ErrorSamples[kind] = redactURLs(text)
	}
	r.Result = &res
	return r
}

func redactSettings(all Settings) Settings {
	all = slices.Clone(all)
	for i, s := range all {
		if text, ok := s.Value.(string); ok {
			all[i].Value = redactFact(s.Name, text)
			continue
		}
		raw, err := json.Marshal(s.Value)
		if err != nil {
			continue // it is not written either
		}
		switch text := redactFact(s.Name, string(raw)); {
		case text == string(raw):
		case json.Valid([]byte(text)):
			all[i].Value = json.RawMessage(text)
		default:
			all[i].Value = text
		}
	}
	return all
}

// ErrNoFigures says that a run has no figures of the kind that was asked for, or none
// that are to be used.
var ErrNoFigures = errors.New("no figures to write")

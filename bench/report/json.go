package report

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/internal/terminal"
)

// MaxBytes is how long a report may be that Read takes: of a run of some hours with an
// interval a second.
const MaxBytes = 512 << 20

//go:embed schema.json
var schema string

// JSONSchema returns the JSON Schema (draft 2020-12) of what WriteJSON writes, in
// the version bench.Schema.
func JSONSchema() string { return schema }

// WriteJSON writes the report as one JSON object: the settings as the object "settings",
// then "environment", then the fields of Result.
func (r Report) WriteJSON(w io.Writer) error {
	r = r.Redacted()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(document(r)); err != nil {
		return fmt.Errorf("report: as JSON: %w", err)
	}
	_, err := w.Write(terminal.JSON(b.Bytes()))
	return err
}

type document struct {
	Settings    Settings            `json:"settings"`
	Environment *Environment        `json:"environment"`
	Objective   *capacity.Objective `json:"objective"`
	*bench.Result
}

// A Document is a report of any kind: a Report, Sweep, Search, Plan or Comparison.
type Document interface {
	WriteText(io.Writer) error
	WriteJSON(io.Writer) error
	WriteHTML(io.Writer) error
}

// Read reads the report of a run that WriteJSON wrote. Names that it does not know are
// left out, as later versions of the same schema may have more, and older schemas are read, too. The error says what was
// expected, whatever the text is; a Report that is returned is safe to write.
func Read(from io.Reader) (Report, error) {
	doc, err := ReadAny(from)
	if err != nil {
		return Report{}, err
	}
	if r, ok := doc.(Report); ok {
		return r, nil
	}
	return Report{}, fmt.Errorf("report: expected the report of a run, got that of a %s", strings.ToLower(reflect.TypeOf(doc).Name()))
}

// ReadAny is Read for a report of any kind.
func ReadAny(from io.Reader) (Document, error) {
	text, err := io.ReadAll(io.LimitReader(from, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("report: reading it: %w", err)
	}
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("report: expected at most %d bytes, got more", MaxBytes)
	}
	if text, err = upgraded(text); err != nil {
		return nil, fmt.Errorf("report: %w", explained(err))
	}
	var of struct {
		Schema      *int64                 `json:"schema"`
		Settings    Settings               `json:"settings"`
		Environment *Environment           `json:"environment"`
		Sweep       *capacity.SweepResult  `json:"sweep"`
		Search      *capacity.SearchResult `json:"search"`
		Plan        *capacity.PlanResult   `json:"plan"`
		Comparison  *capacity.Comparison   `json:"comparison"`
	}
	err = json.Unmarshal(text, &of)
	about := About{of.Settings, of.Environment}
	switch {
	case err != nil && of.Schema == nil:
		return nil, fmt.Errorf("report: expected a report of redrpc bench as JSON: %w", explained(err))
	case err != nil:
		return nil, fmt.Errorf("report: %w", explained(err))
	case of.Schema == nil:
		return nil, errors.New(`report: expected a report of redrpc bench as JSON, got an object without "schema"`)
	case *of.Schema > bench.Schema:
		return nil, fmt.Errorf("report: expected schema %d or older, got %d: a newer version of redrpc wrote it", bench.Schema, *of.Schema)
	case *of.Schema != bench.Schema: // older ones are upgraded
		return nil, fmt.Errorf("report: expected schema 1 to %d, got %d", bench.Schema, *of.Schema)
	case of.Sweep != nil:
		return Sweep{about, of.Sweep}, nil
	case of.Search != nil:
		if best := of.Search.Best; best != nil {
			if err := check(best); err != nil {
				return nil, fmt.Errorf("report: search.best: %w", err)
			}
		}
		return Search{about, of.Search}, nil
	case of.Plan != nil:
		return Plan{about, of.Plan}, nil
	case of.Comparison != nil:
		return Comparison{about, of.Comparison}, nil
	}
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("report: %w", explained(err))
	}
	if err := check(doc.Result); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return Report(doc), nil
}

// explained says where a value has the wrong type, without the names of Go.
func explained(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return fmt.Errorf("%s: expected %s, got a %s", wrong.Field, wrong.Type, wrong.Value)
	}
	return err
}

// check refuses figures that no run has.
func check(r *bench.Result) error {
	for _, c := range []struct {
		name  string
		value float64
	}{
		{"calls", float64(r.Calls)}, {"errors", float64(r.Errors)}, {"dropped", float64(r.Dropped)}, {"intended", float64(r.Intended)},
		{"completed", float64(r.Completed)}, {"duration_s", r.DurationS}, {"throughput", r.Throughput},
		{"callers", float64(r.Callers)}, {"warmup.duration_s", r.Warmup.DurationS},
	} {
		if c.value < 0 {
			return fmt.Errorf("%s: expected 0 or more, got %v", c.name, c.value)
		}
	}
	switch r.Verdict.State {
	case "", bench.Valid, bench.Invalid, bench.Diverging:
	default:
		return fmt.Errorf("verdict.state: expected %s, %s or %s, got %.40q", bench.Valid, bench.Invalid, bench.Diverging, r.Verdict.State)
	}
	end := 0.0
	for n, i := range r.Intervals {
		if i.StartS < end || i.EndS < i.StartS {
			return fmt.Errorf("intervals: expected each to begin where the last one ended or later, got one from %v s to %v s as number %d", i.StartS, i.EndS, n)
		}
		end = i.EndS
	}
	return nil
}

// Settings are an object of JSON whose names keep their order.
type Settings []Setting

// MarshalJSON keeps the order.
func (s Settings) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b) // its line ends are space to the encoder of the report
	enc.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, set := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := enc.Encode(set.Name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := enc.Encode(set.Value); err != nil {
			return nil, fmt.Errorf("setting %s: %w", set.Name, err)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON keeps the order. A text becomes a string, and all else a
// json.RawMessage.
func (s *Settings) UnmarshalJSON(text []byte) error {
	*s = nil
	dec := json.NewDecoder(bytes.NewReader(text))
	if open, err := dec.Token(); err != nil {
		return err
	} else if open == nil { // null
		return nil
	} else if open != json.Delim('{') {
		return fmt.Errorf("expected an object of settings, got %.40s", text)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		set := Setting{Name: name.(string)}
		if raw[0] == '"' {
			var value string
			if err := json.Unmarshal(raw, &value); err != nil {
				return err
			}
			set.Value = value
		} else {
			var b bytes.Buffer
			if err := json.Compact(&b, raw); err != nil {
				return err
			}
			set.Value = json.RawMessage(b.Bytes())
		}
		*s = append(*s, set)
	}
	return nil
}

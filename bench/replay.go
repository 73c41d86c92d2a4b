package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"time"
)

// A Recording is a load that was written down, as calls in order of their offsets.
// It is a Model: each call is sent at its offset again, and the call number n of the
// run, Attempt.Number, is entry n.
type Recording []Recorded

// Recorded is one call of a Recording.
type Recorded struct {
	Offset time.Duration   // since the recording began
	Raw    json.RawMessage // the JSON object that it was read from
}

const maxRecordBytes = 64 << 20

// ReadRecording reads JSON lines: on each line an object whose offset_ms is a number,
// when the call was made in milliseconds since the recording began. What else is
// in it is the caller's. Empty lines are left out, and lines may be in any
// order. The error names the line and the field.
func ReadRecording(r io.Reader) (Recording, error) {
	var rec Recording
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxRecordBytes)
	n := 0
	for lines.Scan() {
		n++
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		offset, err := readOffset(text)
		if err != nil {
			return nil, fmt.Errorf("bench: recording, line %d: %w", n, err)
		}
		rec = append(rec, Recorded{offset, bytes.Clone(text)})
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("expected at most %d bytes", maxRecordBytes)
		}
		return nil, fmt.Errorf("bench: recording, line %d: %w", n+1, err)
	}
	if len(rec) == 0 {
		return nil, errors.New("bench: recording: expected at least one line, got none")
	}
	slices.SortStableFunc(rec, func(a, b Recorded) int { return cmp.Compare(a.Offset, b.Offset) })
	return rec, nil
}

func readOffset(text []byte) (time.Duration, error) {
	var line struct {
		OffsetMS *json.RawMessage `json:"offset_ms"`
	}
	if err := json.Unmarshal(text, &line); err != nil {
		return 0, fmt.Errorf(`expected an object such as {"offset_ms": 12.5}: %w`, err)
	}
	if line.OffsetMS == nil {
		return 0, errors.New("offset_ms: expected a number, got none")
	}
	var ms float64
	if err := json.Unmarshal(*line.OffsetMS, &ms); err != nil || !(ms >= 0) {
		return 0, fmt.Errorf("offset_ms: expected a number of 0 or more, got %s", *line.OffsetMS)
	}
	ns := math.Round(ms * 1e6)
	if ns > float64(maxSpan) {
		return 0, fmt.Errorf("offset_ms: expected at most %v, got %s", maxSpan, *line.OffsetMS)
	}
	return time.Duration(ns), nil
}

// Times are the offsets. There is no chance in them.
func (r Recording) Times(uint64) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		for _, c := range r {
			if !yield(c.Offset) {
				return
			}
		}
	}
}

func (r Recording) String() string {
	if len(r) == 0 {
		return "replay of nothing"
	}
	return fmt.Sprintf("replay of %d calls in %v", len(r), r[len(r)-1].Offset)
}

func (r Recording) check() error {
	if len(r) == 0 {
		return errors.New("expected a recording of at least one call")
	}
	if !slices.IsSortedFunc(r, func(a, b Recorded) int { return cmp.Compare(a.Offset, b.Offset) }) {
		return errors.New("expected a recording in order of its offsets")
	}
	return nil
}

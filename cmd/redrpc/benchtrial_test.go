package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"redrpc/rpc"
)

func TestLoads(t *testing.T) {
	for text, want := range map[string][]float64{
		"1":               {1},
		"0.5,2,2":         {0.5, 2, 2},
		"100..1600/5":     {100, 200, 400, 800, 1600},
		"7..7/2,1":        {7, 7, 1},
		"5..5/1":          {5},
		"1e3":             {1000},
		"1..100/3,1..2/2": {1, 10, 100, 1, 2},
	} {
		var got []float64
		if err := loads(&got, false, 1e9).Set(text); err != nil || !slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9*b }) {
			t.Errorf("%s: got %v, %v, expected %v", text, got, err, want)
		}
	}
	var got []float64
	if err := loads(&got, true, 100).Set("1..10/3"); err != nil || !slices.Equal(got, []float64{1, 3, 10}) {
		t.Errorf("got %v, %v", got, err)
	}
	if err := loads(&got, true, 100).Set("1..4/8,4"); err != nil || !slices.Equal(got, []float64{1, 2, 3, 4, 4}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"1.5", "2,1.5", "1.5..4/3", "1..4.5/3", "1...4/3", "", ",", "1,", "1/2", "..", "1..", "1..2", "1..2/x", "2..1/2", "Inf", "-1", "101", "1..2/2/2", "1..2..3/2", "1..2/2000"} {
		if err := loads(&got, true, 100).Set(text); err == nil {
			t.Errorf("%s: got %v, expected an error", text, got)
		}
	}
}

// A search whose bounds are far apart by far: 2 workers of 20 ms take 100 calls/s.
func TestBenchSearch(t *testing.T) {
	r := redrpc(t, "bench", "search", "--slo", "p50=200ms,errors=10%", "--func", "sleep", "--args", `{"seconds":0.02}`, "--server-workers", "2", "--arrivals", "constant",
		"--start", "50", "--max-rate", "100000", "--precision", "60", "-d", "500ms", "--confirm", "500ms", "--warmup", "0s", "--spin", "off", "--timeout", "500ms", "-o", "json")
	if r.code != exitOK && r.code != exitInvalid { // a busy machine
		t.Fatal(r.stderr)
	}
	var got struct {
		Settings map[string]any
		Search   struct {
			Met       float64 `json:"highest_met_per_s"`
			Missed    float64 `json:"lowest_missed_per_s"`
			Confirmed bool
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatal(err)
	}
	if s := got.Search; r.code == exitOK && !s.Confirmed || s.Met > 150 || r.code == exitOK && (s.Met < 20 || s.Missed > 0 && s.Missed <= s.Met || s.Missed > 1000) || got.Settings["arrivals"] != "constant" {
		t.Errorf("%+v", got)
	}
	r = redrpc(t, "bench", "search", "--slo", "p50=1us", "--start", "20", "-d", "100ms", "--confirm", "100ms", "--budget", "2s", "--warmup", "0s", "--func", "sleep", "--spin", "off")
	if r.code != exitMissed && r.code != exitInvalid {
		t.Errorf("exit code %d: no call is answered within 1 us\n%s", r.code, r.stderr)
	}
}

func TestBenchSweep(t *testing.T) {
	for _, c := range []struct {
		flags []string
		unit  string
	}{
		{[]string{"--concurrency", "1,2,4,8"}, "callers"},
		{[]string{"--rates", "50,100"}, "calls_per_s"},
	} {
		r := redrpc(t, append([]string{"bench", "sweep", "--func", "sleep", "--server-workers", "4", "-d", "200ms", "--warmup", "0s", "-o", "json"}, c.flags...)...)
		if r.code != exitOK && r.code != exitInvalid { // a busy machine spoils open loops
			t.Fatalf("exit code %d, %s", r.code, r.stderr)
		}
		var got struct {
			Sweep struct {
				Unit   string `json:"load_unit"`
				Points []struct {
					Load       float64
					Throughput float64 `json:"throughput_per_s"`
				}
			}
		}
		if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
			t.Fatal(err)
		}
		if p := got.Sweep.Points; got.Sweep.Unit != c.unit || len(p) < 2 || p[0].Load >= p[1].Load || p[0].Throughput <= 0 {
			t.Errorf("%v: %+v", c.flags, got)
		}
	}
}

// A call that ended by time is one that was given up, whether it had been sent or not.
func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		kind string
	}{
		{fmt.Errorf("%w: %w", rpc.ErrNotSent, context.DeadlineExceeded), kindTimeoutUnsent},
		{fmt.Errorf("%w: %w", rpc.ErrNotSent, os.ErrDeadlineExceeded), kindTimeoutUnsent},
		{fmt.Errorf("%w: %w", rpc.ErrNoResult, context.DeadlineExceeded), kindTimeout},
		{fmt.Errorf("%w: %w", rpc.ErrNotSent, context.Canceled), "not_sent"},
		{rpc.ErrNoResult, "no_result"},
		{fmt.Errorf("%w: %w", rpc.ErrBadResult, context.DeadlineExceeded), "bad_result"},
		{&rpc.RemoteError{}, "remote_error"},
		{errors.New("new"), "other"},
	} {
		if got := kindOf(c.err); got != c.kind {
			t.Errorf("%v: got %s, expected %s", c.err, got, c.kind)
		}
	}
}

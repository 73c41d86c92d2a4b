package bench

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What is added up, and read back, is what would have been recorded in one place.
func TestSamplesAddUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	all, parts := NewSamples(), []*Samples{NewSamples(), NewSamples(), NewSamples()}
	for range 10_000 {
		d := time.Duration(rng.ExpFloat64() * float64(time.Minute))
		all.Record(d)
		parts[rng.IntN(len(parts))].Record(d)
	}
	for _, p := range []*Samples{all, parts[1]} {
		p.Record(2 * time.Hour)
	}
	sum := NewSamples()
	for _, p := range parts {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var read Samples
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		sum.Add(&read)
	}
	want, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(sum); err != nil || string(got) != string(want) {
		t.Errorf("sum is %s, %v; expected %s", got, err, want)
	}
	if all.Unrecorded != 1 || all.Max != 2*time.Hour {
		t.Errorf("%d beyond, max %v", all.Unrecorded, all.Max)
	}
	if _, ok := all.Rank(all.Count - 1); !ok {
		t.Error("the last sample of the histogram has no value")
	}
}

func TestSamplesRefuseWhatContradictsItself(t *testing.T) {
	for _, text := range []string{
		`{"count":1,"beyond":0,"min_ns":1,"max_ns":1,"sum_ns":1,"histogram":""}`,
		`{"count":-1,"beyond":-1,"histogram":""}`,
		`{"count":1,"histogram":"HISTnonsense"}`,
		`{"count":1,"histogram":"HISTFAAA"}`,
		`{"count":1,"max_ns":1,"histogram":"` + encoded(t, hdrhistogram.New(1, math.MaxInt64, 5)) + `"}`, // 50 MB
		`{"count":1,"max_ns":1,"histogram":"` + encoded(t, hdrhistogram.New(1, int64(time.Hour), 2)) + `"}`,
		`{"count":"1"}`,
		`[]`,
	} {
		var s Samples
		if err := json.Unmarshal([]byte(text), &s); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

// encoded has one sample of 1 ns.
func encoded(t *testing.T, h *hdrhistogram.Histogram) string {
	t.Helper()
	if err := h.RecordValue(1); err != nil {
		t.Fatal(err)
	}
	text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Whatever the text is, samples are refused, or are the same when they are written
// and read again.
func FuzzSamples(f *testing.F) {
	s := NewSamples()
	for _, d := range []time.Duration{0, 1, time.Millisecond, time.Second, time.Second, 2 * time.Hour} {
		s.Record(d)
	}
	text, err := json.Marshal(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"count":0,"histogram":""}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s Samples
		if json.Unmarshal(text, &s) != nil {
			return
		}
		for _, rank := range []int64{0, 1, s.Count / 2, s.Count} {
			s.Rank(rank)
		}
		again, err := json.Marshal(&s)
		if err != nil {
			t.Fatal(err)
		}
		var read Samples
		if err := json.Unmarshal(again, &read); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if third, err := json.Marshal(&read); err != nil || string(third) != string(again) {
			t.Errorf("%s was read as %s, %v", again, third, err)
		}
	})
}

package bench

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"
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
	if all.Beyond != 1 || all.Max != 2*time.Hour {
		t.Errorf("%d beyond, max %v", all.Beyond, all.Max)
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
		`{"count":"1"}`,
		`[]`,
	} {
		var s Samples
		if err := json.Unmarshal([]byte(text), &s); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

package bench

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Samples are the times that some calls took. Their number, sum, least and greatest
// are exact; the rest is a histogram of three significant digits, in nanoseconds up
// to an hour, so what it says is less than 0.1 % too high. Samples that are added
// up are the same as if all had been recorded in one place: nothing is averaged.
//
// In JSON they are an object with count, beyond, min_ns, max_ns, sum_ns and
// histogram, which is HdrHistogram's compressed V2 encoding in base64. They are
// not safe for concurrent use.
type Samples struct {
	Count    int64
	Beyond   int64 // of Count, those of more than an hour, which are not in the histogram
	Min, Max time.Duration
	Sum      time.Duration

	histogram *hdrhistogram.Histogram // nil if encoded is all there is
	encoded   []byte
}

// NewSamples returns no samples, with room for any: 270 kB.
func NewSamples() *Samples { return &Samples{histogram: newHistogram()} }

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, time.Hour.Nanoseconds(), 3)
}

// Record adds one.
func (s *Samples) Record(d time.Duration) {
	if s.Count == 0 || d < s.Min {
		s.Min = d
	}
	s.Max = max(s.Max, d)
	s.Sum += d
	s.Count++
	if s.open().RecordValue(d.Nanoseconds()) != nil {
		s.Beyond++
	}
}

// Add takes over those of from, which keeps them.
func (s *Samples) Add(from *Samples) {
	if from.Count == 0 {
		return
	}
	if s.Count == 0 || from.Min < s.Min {
		s.Min = from.Min
	}
	s.Max = max(s.Max, from.Max)
	s.Sum += from.Sum
	s.Count += from.Count
	s.Beyond += from.Beyond + s.open().Merge(from.Histogram())
}

// Reset forgets all and keeps the memory.
func (s *Samples) Reset() {
	s.open().Reset()
	*s = Samples{histogram: s.histogram}
}

// Mean is 0 if there are none.
func (s *Samples) Mean() time.Duration {
	if s.Count == 0 {
		return 0
	}
	return s.Sum / time.Duration(s.Count)
}

// Rank returns the one of this rank in order of time, 1 being the least, and false
// if there is none, or it is among those Beyond, of which only the greatest is
// known.
func (s *Samples) Rank(rank int64) (time.Duration, bool) {
	switch {
	case rank < 1 || rank > s.Count:
		return 0, false
	case rank == 1:
		return s.Min, true
	case rank == s.Count:
		return s.Max, true
	}
	h := s.Histogram()
	recorded := h.TotalCount()
	if rank > recorded {
		return 0, false
	}
	// The histogram rounds percentile*count to the nearest rank: this is ours.
	v := h.ValueAtPercentile(100 * float64(rank) / float64(recorded))
	return min(max(time.Duration(v), s.Min), s.Max), true
}

// Histogram is of all but those Beyond. It belongs to the samples: it is to be read.
func (s *Samples) Histogram() *hdrhistogram.Histogram {
	if s.histogram != nil {
		return s.histogram
	}
	if s.encoded == nil {
		return newHistogram()
	}
	h, err := hdrhistogram.Decode(s.encoded)
	if err != nil {
		panic(err) // it was decoded, or encoded, before
	}
	return h
}

// open makes the histogram one to write to.
func (s *Samples) open() *hdrhistogram.Histogram {
	if s.histogram == nil {
		s.histogram, s.encoded = s.Histogram(), nil
	}
	return s.histogram
}

// compact returns a copy without room for more, some kB.
func (s *Samples) compact() (*Samples, error) {
	c := *s
	if s.histogram != nil {
		encoded, err := s.histogram.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		if err != nil {
			return nil, fmt.Errorf("bench: encoding a histogram: %w", err)
		}
		c.histogram, c.encoded = nil, encoded
	}
	return &c, nil
}

// samplesJSON is Samples as JSON.
type samplesJSON struct {
	Count     int64  `json:"count"`
	Beyond    int64  `json:"beyond"`
	MinNS     int64  `json:"min_ns"`
	MaxNS     int64  `json:"max_ns"`
	SumNS     int64  `json:"sum_ns"`
	Histogram string `json:"histogram"`
}

// MarshalJSON writes the object that Samples describes.
func (s *Samples) MarshalJSON() ([]byte, error) {
	c, err := s.compact()
	if err != nil {
		return nil, err
	}
	return json.Marshal(samplesJSON{c.Count, c.Beyond, int64(c.Min), int64(c.Max), int64(c.Sum), string(c.encoded)})
}

// UnmarshalJSON reads the object that Samples describes, and refuses one that
// contradicts itself.
func (s *Samples) UnmarshalJSON(text []byte) error {
	var j samplesJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	var recorded int64
	c := Samples{Count: j.Count, Beyond: j.Beyond, Min: time.Duration(j.MinNS), Max: time.Duration(j.MaxNS), Sum: time.Duration(j.SumNS)}
	if j.Histogram != "" {
		h, err := decodeHistogram(j.Histogram)
		if err != nil {
			return fmt.Errorf("bench: samples: expected a histogram in HdrHistogram's compressed V2 encoding: %w", err)
		}
		recorded, c.encoded = h.TotalCount(), []byte(j.Histogram)
	}
	if j.Count < 0 || j.Beyond < 0 || recorded != j.Count-j.Beyond || j.MinNS > j.MaxNS {
		return fmt.Errorf("bench: samples: expected a histogram of count-beyond samples and min_ns <= max_ns, got count %d, beyond %d, a histogram of %d, min_ns %d, max_ns %d",
			j.Count, j.Beyond, recorded, j.MinNS, j.MaxNS)
	}
	*s = c
	return nil
}

package bench

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"redrpc/internal/hdr"
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
	Count      int64
	Unrecorded int64 // of Count, those of more than an hour, which are not in the histogram
	Min, Max   time.Duration
	Sum        time.Duration

	// counts are those of the histogram, whose buckets are HdrHistogram's; from
	// low to before high are those that may not be 0. They are nil if encoded has them, or there
	// are none.
	counts    []int64
	low, high int
	encoded   []byte
}

// NewSamples returns no samples, with room for any: 270 kB. The zero value takes
// the room when it is needed.
func NewSamples() *Samples { return &Samples{counts: make([]int64, buckets)} }

// The histogram is of 1 ns to an hour in three significant digits.
const (
	longest      = time.Hour
	layout       = hdr.ThreeDigits
	buckets      = 33 << (layout - 1) // up to 2^42 ns, which is more than an hour
	sampleDigits = 3
)

// Record adds one. What is less than 0 is taken for 0.
func (s *Samples) Record(d time.Duration) {
	d = max(d, 0)
	if s.Count == 0 || d < s.Min {
		s.Min = d
	}
	s.Max = max(s.Max, d)
	s.Sum += d
	s.Count++
	if d > longest {
		s.Unrecorded++
		return
	}
	if s.counts == nil {
		s.open()
	}
	i := layout.Bucket(int64(d))
	s.counts[i]++
	s.span(i, i+1)
}

// span notes that the counts from low to before high may not be 0.
func (s *Samples) span(low, high int) {
	if s.low == s.high {
		s.low, s.high = low, high
		return
	}
	s.low, s.high = min(s.low, low), max(s.high, high)
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
	s.open()
	if counts, low, high := from.all(); low < high {
		s.span(low, high)
		for i, n := range counts[low:high] {
			s.counts[low+i] += n
		}
	}
	s.Sum += from.Sum
	s.Count += from.Count
	s.Unrecorded += from.Unrecorded
}

// Reset forgets all and keeps the memory.
func (s *Samples) Reset() {
	if s.counts != nil {
		clear(s.counts[s.low:s.high])
	}
	*s = Samples{counts: s.counts}
}

// Mean is 0 if there are none.
func (s *Samples) Mean() time.Duration {
	if s.Count == 0 {
		return 0
	}
	return s.Sum / time.Duration(s.Count)
}

// Rank returns the one of this rank in order of time, 1 being the least, and false
// if there is none, or it is among those Unrecorded, of which only the greatest is
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
	counts, low, high := s.all()
	for i := low; i < high; i++ {
		if rank -= counts[i]; rank <= 0 {
			return min(max(time.Duration(layout.Greatest(i)), s.Min), s.Max), true
		}
	}
	return 0, false
}

// all returns the counts, which are to be read; from low to before high are those
// that may not be 0.
func (s *Samples) all() (counts []int64, low, high int) {
	switch {
	case s.counts != nil:
		return s.counts, s.low, s.high
	case s.encoded == nil:
		return make([]int64, buckets), 0, 0
	}
	counts, err := decode(s.encoded)
	if err != nil {
		panic(err) // it was decoded, or encoded, before
	}
	return counts, 0, buckets
}

// open makes the counts something to write to.
func (s *Samples) open() {
	if s.counts == nil {
		s.counts, s.low, s.high = s.all()
		s.encoded = nil
	}
}

// Histogram returns a histogram of all but those Unrecorded.
func (s *Samples) Histogram() *hdrhistogram.Histogram {
	counts, _, _ := s.all()
	return hdrhistogram.Import(&hdrhistogram.Snapshot{
		LowestTrackableValue:           1,
		HighestTrackableValue:          longest.Nanoseconds(),
		SignificantFigures:             sampleDigits,
		IntegerToDoubleConversionRatio: 1,
		Counts:                         counts,
	})
}

// decode returns the counts of an encoded histogram of our layout.
func decode(encoded []byte) ([]int64, error) {
	h, err := decodeHistogram(string(encoded))
	if err != nil {
		return nil, err
	}
	return h.Export().Counts, nil
}

// compact returns a copy without room for more, some kB.
func (s *Samples) compact() *Samples {
	c := *s
	if s.counts != nil {
		encoded, err := s.Histogram().Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		if err != nil {
			panic(err) // there is no writing to memory that fails
		}
		c.counts, c.low, c.high, c.encoded = nil, 0, 0, encoded
	}
	return &c
}

// samplesJSON is Samples as JSON.
type samplesJSON struct {
	Count      int64  `json:"count"`
	Unrecorded int64  `json:"unrecorded"`
	MinNS      int64  `json:"min_ns"`
	MaxNS      int64  `json:"max_ns"`
	SumNS      int64  `json:"sum_ns"`
	Histogram  string `json:"histogram"`
}

// MarshalJSON writes the object that Samples describes.
func (s *Samples) MarshalJSON() ([]byte, error) {
	c := s.compact()
	return json.Marshal(samplesJSON{c.Count, c.Unrecorded, int64(c.Min), int64(c.Max), int64(c.Sum), string(c.encoded)})
}

// UnmarshalJSON reads the object that Samples describes, and refuses one that
// contradicts itself.
func (s *Samples) UnmarshalJSON(text []byte) error {
	var j samplesJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	var recorded int64
	c := Samples{Count: j.Count, Unrecorded: j.Unrecorded, Min: time.Duration(j.MinNS), Max: time.Duration(j.MaxNS), Sum: time.Duration(j.SumNS)}
	if j.Histogram != "" {
		counts, err := decode([]byte(j.Histogram))
		if err != nil {
			return fmt.Errorf("bench: samples: expected a histogram in HdrHistogram's compressed V2 encoding: %w", err)
		}
		for _, n := range counts {
			if n < 0 || n > math.MaxInt64-recorded {
				return fmt.Errorf("bench: samples: expected counts of 0 or more in the histogram, got %d", n)
			}
			recorded += n
		}
		c.encoded = []byte(j.Histogram)
	}
	if j.Count < 0 || j.Unrecorded < 0 || recorded != j.Count-j.Unrecorded || j.MinNS > j.MaxNS {
		return fmt.Errorf("bench: samples: expected a histogram of count-unrecorded samples and min_ns <= max_ns, got count %d, unrecorded %d, a histogram of %d, min_ns %d, max_ns %d",
			j.Count, j.Unrecorded, recorded, j.MinNS, j.MaxNS)
	}
	*s = c
	return nil
}

package hdr

import (
	"math"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The buckets are those of the library, and follow each other without a gap.
func TestLayout(t *testing.T) {
	for layout, digits := range map[Layout]int{TwoDigits: 2, ThreeDigits: 3} {
		library := hdrhistogram.New(1, math.MaxInt64/2, digits)
		for _, v := range []int64{0, 1, 2, 254, 255, 256, 257, 511, 512, 2047, 2048, 2049, 4095, 4096, 99_999, 1e6, 1e9 + 1, 3_600_000_000_000, math.MaxInt64 / 2} {
			b := layout.Bucket(v)
			if layout.Greatest(b) < v || b > 0 && layout.Greatest(b-1) >= v {
				t.Errorf("%d digits: %d is in bucket %d, of %d to %d", digits, v, b, layout.Greatest(b-1)+1, layout.Greatest(b))
			}
			library.Reset()
			if err := library.RecordValue(v); err != nil {
				t.Fatal(err)
			}
			if got := library.Max(); got != layout.Greatest(b) {
				t.Errorf("%d digits: the bucket of %d ends at %d, in the library at %d", digits, v, layout.Greatest(b), got)
			}
		}
		if b := layout.Bucket(math.MaxInt64); layout.Greatest(b) != math.MaxInt64 || b >= (64-int(layout)+1)*layout.Half() {
			t.Errorf("%d digits: the last bucket is %d, up to %d", digits, b, layout.Greatest(b))
		}
	}
}

package hyperloglog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// SelfTest adds 100,000 different elements, which the seed chooses, to a dense and a sparse
// sketch of up to most bytes. It returns an error if the two do not agree, if an estimate is
// farther off than chance explains, or if registers do not keep their values.
func SelfTest(seed uint64, most int) error {
	if err := testRegisters(seed); err != nil {
		return err
	}
	const elements = 100_000
	s := New()
	d, _ := s.Dense()
	checkpoint := 1
	var element [8]byte
	for i := 1; i <= elements; i++ {
		binary.LittleEndian.PutUint64(element[:], uint64(i)^seed)
		d, _, _ = d.Add(element[:], most)
		s, _, _ = s.Add(element[:], most)
		if i < checkpoint {
			continue
		}
		if i < most/2 && !s.IsSparse() {
			return errors.New("sparse encoding not used")
		}
		if err := compareCounts(d, s, i); err != nil {
			return err
		}
		checkpoint *= 10
	}
	return nil
}

// testRegisters sets all registers to random values, and reads them.
func testRegisters(seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 0))
	d, _ := New().Dense()
	var want Registers
	for range 10 {
		for i := range want {
			want[i] = byte(r.Uint32() & registerMax)
			d.setRegister(i, want[i])
		}
		for i, value := range want {
			if got := d.register(i); got != value {
				return fmt.Errorf("register %d should be %d but is %d", i, value, got)
			}
		}
	}
	return nil
}

// compareCounts checks the estimates of n elements. Of 10 ones two may be taken for one.
func compareCounts(d, s Sketch, n int) error {
	estimate, _ := d.Count()
	if fromRuns, valid := s.Count(); !valid || fromRuns != estimate {
		return errors.New("dense/sparse disagree")
	}
	relative := 1.04 / math.Sqrt(registers)
	most := math.Ceil(relative * 6 * float64(n))
	if n == 10 {
		most = 1
	}
	if off := math.Abs(float64(n) - float64(estimate)); off > most {
		return fmt.Errorf("too big error. card:%d abserr:%.0f", n, off)
	}
	return nil
}

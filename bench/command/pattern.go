package command

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Pattern is in which order keys come. The zero value is Sequential.
type Pattern struct {
	kind     patternKind
	exponent float64 // of Zipf
}

type patternKind byte

const (
	sequential patternKind = iota
	uniform
	zipfian
)

// Sequential takes one key after the other, and begins again when it has taken all.
func Sequential() Pattern { return Pattern{} }

// Uniform takes each key as often as any other, at random.
func Uniform() Pattern { return Pattern{kind: uniform} }

// Zipf takes key n with a probability in proportion to 1/(n+1)^s: few keys are hot. s is
// above 0 and at most 10; 0.99 is that of YCSB.
func Zipf(s float64) Pattern { return Pattern{zipfian, s} }

// defaultExponent is that of YCSB.
const defaultExponent = 0.99

// ParsePattern reads sequential, uniform, zipf, or zipf with its exponent as in zipf:1.2.
func ParsePattern(text string) (Pattern, error) {
	kind, exponent, given := strings.Cut(text, ":")
	switch {
	case text == "sequential":
		return Sequential(), nil
	case text == "uniform":
		return Uniform(), nil
	case text == "zipf":
		return Zipf(defaultExponent), nil
	case kind == "zipf" && given:
		s, err := strconv.ParseFloat(exponent, 64)
		if p := Zipf(s); err == nil && p.check() == nil {
			return p, nil
		}
		return Pattern{}, errors.New("expected an exponent above 0 and at most 10, as in zipf:1.2")
	}
	return Pattern{}, errors.New("expected sequential, uniform, zipf, or an exponent with it as in zipf:1.2")
}

// String is the text that ParsePattern reads.
func (p Pattern) String() string {
	switch {
	case p.kind == uniform:
		return "uniform"
	case p.kind == zipfian && p.exponent == defaultExponent:
		return "zipf"
	case p.kind == zipfian:
		return "zipf:" + strconv.FormatFloat(p.exponent, 'g', -1, 64)
	}
	return "sequential"
}

func (p Pattern) check() error {
	if p.kind == zipfian && !(p.exponent > 0 && p.exponent <= 10) {
		return fmt.Errorf("expected an exponent above 0 and at most 10, got %v", p.exponent)
	}
	return nil
}

// Size is how many bytes of data there are: from Min to Max, each as often as any other.
type Size struct{ Min, Max int }

// mostData is what Redis takes as one argument, by default.
const mostData = 512 << 20

// ParseSize reads a number of bytes, or the least and the most as in 10..1000.
func ParseSize(text string) (Size, error) {
	least, most, ranged := strings.Cut(text, "..")
	if !ranged {
		most = least
	}
	low, err1 := strconv.Atoi(least)
	high, err2 := strconv.Atoi(most)
	s := Size{low, high}
	if err := errors.Join(err1, err2); err != nil || s.check() != nil {
		return Size{}, fmt.Errorf("expected bytes from 0 to %d, or the least and the most such as 10..1000", mostData)
	}
	return s, nil
}

// String is the text that ParseSize reads.
func (s Size) String() string {
	if s.Min == s.Max {
		return strconv.Itoa(s.Min)
	}
	return fmt.Sprintf("%d..%d", s.Min, s.Max)
}

func (s Size) check() error {
	if s.Min < 0 || s.Max < s.Min || s.Max > mostData {
		return fmt.Errorf("expected bytes from 0 to %d, the least first, got %s", mostData, s)
	}
	return nil
}

// A chooser turns the number of a command into keys and data.
type chooser struct {
	pattern Pattern
	keys    int64
	zipf    *zipf
	size    Size
	bytes   []byte // what data is cut from
}

// spareData is how many bytes more than needed there are to cut data from, so that data of
// one size differs.
const spareData = 4096

func newChooser(pattern Pattern, keys int64, size Size, seed uint64) *chooser {
	c := &chooser{pattern: pattern, keys: keys, size: size}
	if pattern.kind == zipfian {
		c.zipf = newZipf(keys, pattern.exponent)
	}
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	text := make([]byte, size.Max+spareData)
	d := newDraw(seed, math.MinInt64)
	for i := range text {
		text[i] = alphabet[d.next()&63]
	}
	c.bytes = text
	return c
}

// key is the one for place i of the n that command number has.
func (c *chooser) key(d *draw, number int64, i, n int) int64 {
	switch c.pattern.kind {
	case uniform:
		return d.below(c.keys)
	case zipfian:
		return c.zipf.draw(d)
	}
	return (number*int64(n) + int64(i)) % c.keys
}

func (c *chooser) data(d *draw) []byte {
	size := c.size.Min
	if span := c.size.Max - c.size.Min; span > 0 {
		size += int(d.below(int64(span) + 1))
	}
	from := int(d.next() % spareData)
	return c.bytes[from : from+size]
}

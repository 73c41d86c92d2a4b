package report

import (
	"encoding/json"
	"math"
)

// A chart is what page/page.js draws. Its numbers are in the units that the formats
// of its axes name.
type chart struct {
	ID      string   `json:"id"`
	Title   string   `json:"title"`
	Note    string   `json:"-"`
	Summary string   `json:"summary"` // what is seen, for those who do not see it
	X       axis     `json:"x"`
	Y       axis     `json:"y"`
	Series  []series `json:"series"`
	Shades  []shade  `json:"shades,omitempty"`
	Marks   []mark   `json:"marks,omitempty"`
	Group   string   `json:"group,omitempty"` // charts of one share their cursor
	Tall    bool     `json:"tall,omitempty"`
}

// An axis goes from Min to Max, which fit works out. Scale is linear, log, or nines,
// whose numbers are -log10(1-quantile). Format is us, s, nines, percent or number.
type axis struct {
	Label  string  `json:"label"`
	Scale  string  `json:"scale"`
	Format string  `json:"format"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// A series is drawn as a line, as points, as bars from X to To, or as a band from Low
// to Y about the series Of.
type series struct {
	Name   string    `json:"name"`
	Kind   string    `json:"kind"`
	Color  int       `json:"color"` // class c0, c1, ... of page/page.css
	Dashed bool      `json:"dashed,omitempty"`
	Hollow bool      `json:"hollow,omitempty"`
	Dots   bool      `json:"dots,omitempty"` // a line has its points drawn
	X      []float64 `json:"x"`
	To     []float64 `json:"to,omitempty"`
	Y      gaps      `json:"y"`
	Low    gaps      `json:"low,omitempty"`
	Of     string    `json:"of,omitempty"`
}

// The colours of series, by what they show.
const (
	colorResponse = iota
	colorService
	colorLag
	colorMore // and the two after it
	_
	_
	colorErrors
)

type shade struct {
	From  float64 `json:"from"`
	To    float64 `json:"to"`
	Label string  `json:"label"`
}

type mark struct {
	At    float64 `json:"at"`
	Label string  `json:"label"`
}

// gaps are numbers of which those that are not known are NaN, and null in JSON.
type gaps []float64

func (g gaps) MarshalJSON() ([]byte, error) {
	out := make([]*float64, len(g))
	for i := range g {
		if !math.IsNaN(g[i]) && !math.IsInf(g[i], 0) {
			out[i] = &g[i]
		}
	}
	return json.Marshal(out)
}

// known is a figure, or NaN.
func known(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

// fit drops series without a number and makes the axes as long as the rest. It tells
// if there is something to draw.
func (c *chart) fit() bool {
	var x, y span
	kept := c.Series[:0]
	for _, s := range c.Series {
		any := false
		for i, v := range s.Y {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				continue
			}
			any = true
			x.add(s.X[i])
			y.add(v)
			if s.Low != nil {
				y.add(s.Low[i])
			}
			if s.To != nil {
				x.add(s.To[i])
			}
		}
		if any {
			kept = append(kept, s)
		}
	}
	c.Series = kept
	for _, s := range c.Shades {
		x.add(s.From)
		x.add(s.To)
	}
	x.into(&c.X)
	y.into(&c.Y)
	return len(kept) > 0
}

// A span is the least and the greatest of what was added.
type span struct {
	low, high float64
	some      bool
}

func (s *span) add(v float64) {
	if math.IsNaN(v) {
		return
	}
	if !s.some {
		s.low, s.high, s.some = v, v, true
	}
	s.low, s.high = min(s.low, v), max(s.high, v)
}

// into sets the ends of an axis, unless it has some: a linear one of heights begins at
// 0 and has some room above.
func (s *span) into(a *axis) {
	switch {
	case !s.some || a.Min != 0 || a.Max != 0:
		return
	case a.Scale == "linear" && a.Format != "s":
		a.Min, a.Max = min(0, s.low), s.high*1.06
	default:
		a.Min, a.Max = s.low, s.high
	}
}

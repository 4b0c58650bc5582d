package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"kring/bench/compare"
	"kring/bench/load"
)

// chart is a picture of lines. Units are those of its viewBox.
type chart struct {
	Title, XTitle, YTitle  string
	Width, Height          float64
	Left, Top, Right, Base float64 // the edges of the plot
	XTicks, YTicks         []tick
	Lines                  []line
}

// MiddleY is where the title of the y axis is turned.
func (c *chart) MiddleY() float64 { return (c.Top + c.Base) / 2 }

// MiddleX is the middle of the x axis.
func (c *chart) MiddleX() float64 { return (c.Left + c.Right) / 2 }

type tick struct {
	At   float64
	Text string
}

type line struct {
	legend
	Points string // of an SVG polyline
	Dots   []dot
}

type dot struct {
	X, Y float64
	Text string
}

// Every chart has this shape: wide enough for a desk, and its text still
// readable when a phone shrinks it.
const (
	chartWidth, chartHeight                       = 440, 280
	marginLeft, marginTop, marginRight, marginLow = 52, 12, 24, 42
)

func newChart(title, x, y string) *chart {
	return &chart{
		Title: title, XTitle: x, YTitle: y, Width: chartWidth, Height: chartHeight,
		Left: marginLeft, Top: marginTop, Right: chartWidth - marginRight, Base: chartHeight - marginLow,
	}
}

// point is a value of each axis, not yet placed.
type point struct {
	x, y float64
	text string
}

// scale places values of an axis.
type scale struct {
	from, to float64
	log      bool
	a, b     float64 // of the chart
}

func (s scale) at(v float64) float64 {
	from, to := s.from, s.to
	if s.log {
		v, from, to = math.Log10(v), math.Log10(from), math.Log10(to)
	}
	if to == from {
		return s.a
	}
	return s.a + (v-from)/(to-from)*(s.b-s.a)
}

// latencies is the y axis of every chart: microseconds, whole decades.
func (c *chart) latencies(least, most float64) scale {
	s := scale{math.Pow(10, math.Floor(math.Log10(least))), math.Pow(10, math.Ceil(math.Log10(most))), true, c.Base, c.Top}
	if s.from == s.to {
		s.to *= 10
	}
	for v := s.from; v <= s.to*1.01; v *= 10 {
		c.YTicks = append(c.YTicks, tick{s.at(v), duration(v)})
	}
	return s
}

// duration writes microseconds.
func duration(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3g s", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.3g ms", v/1e3)
	default:
		return fmt.Sprintf("%.3g µs", v)
	}
}

func (c *chart) add(l legend, points []point, x, y scale) {
	ln := line{legend: l}
	var b strings.Builder
	for _, p := range points {
		d := dot{x.at(p.x), y.at(p.y), p.text}
		fmt.Fprintf(&b, "%.1f,%.1f ", d.X, d.Y)
		ln.Dots = append(ln.Dots, d)
	}
	ln.Points = strings.TrimSpace(b.String())
	c.Lines = append(c.Lines, ln)
}

// percentiles of a latency curve; the axis is stretched towards the tail, so
// that each nine takes the same room.
var percentiles = []float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99}

func nines(p float64) float64 { return -math.Log10(1 - p/100) }

// drawLatency is latency by percentile over all rounds that count.
func drawLatency(res *compare.Results, s *compare.Scenario, colours map[string]legend) *chart {
	type curve struct {
		l      legend
		points []point
	}
	var curves []curve
	least, most := math.Inf(1), 0.0
	for _, name := range res.Env.Order {
		l, drawn := colours[name]
		h := merged(res, s.Name, name)
		if !drawn || h == nil {
			continue
		}
		c := curve{l: l}
		for _, p := range percentiles {
			if float64(h.TotalCount())*(1-p/100) < 1 {
				break // nothing lies behind it
			}
			v := max(float64(h.ValueAtQuantile(p))/1e3, 0.1)
			c.points = append(c.points, point{nines(p), v, fmt.Sprintf("%s: p%g %s", name, p, duration(v))})
			least, most = min(least, v), max(most, v)
		}
		curves = append(curves, c)
	}
	if len(curves) == 0 {
		return nil
	}
	c := newChart("Latency by percentile", "percentile", "latency")
	y := c.latencies(least, most)
	x := scale{0, nines(99.99), false, c.Left, c.Right}
	for _, p := range []float64{0, 90, 99, 99.9, 99.99} {
		c.XTicks = append(c.XTicks, tick{x.at(nines(p)), fmt.Sprintf("%g", p)})
	}
	for _, cv := range curves {
		c.add(cv.l, cv.points, x, y)
	}
	return c
}

// merged is the latency of all rounds that count; nil for none.
func merged(res *compare.Results, scenario, contestant string) *hdrhistogram.Histogram {
	var sum *hdrhistogram.Histogram
	for _, r := range res.Records {
		if r.Scenario != scenario || r.Contestant != contestant || r.Pass != compare.Measure || !r.Valid() {
			continue
		}
		h, err := load.Histogram(r.Load.HDR)
		if err != nil {
			continue
		}
		if sum == nil {
			sum = h
		} else {
			sum.Merge(h)
		}
	}
	return sum
}

// drawCurves draws latency by rate, one chart for each curve and percentile.
func drawCurves(res *compare.Results, colours map[string]legend) []chart {
	var charts []chart
	for _, p := range []float64{50, 99.9} {
		if c := drawCurve(res, colours, p); c != nil {
			charts = append(charts, *c)
		}
	}
	return charts
}

func drawCurve(res *compare.Results, colours map[string]legend, percentile float64) *chart {
	lines := map[string][]point{}
	least, most, fastest := math.Inf(1), 0.0, 0.0
	for i := range res.Env.Scenarios {
		s := &res.Env.Scenarios[i]
		if s.Curve == "" {
			continue
		}
		for name := range colours {
			h := merged(res, s.Name, name)
			if h == nil {
				continue
			}
			rate, v := res.Row(s, name).Rate.Median, max(float64(h.ValueAtQuantile(percentile))/1e3, 0.1)
			lines[name] = append(lines[name], point{rate, v, fmt.Sprintf("%s: %s/s, p%g %s", name, compare.Count(rate), percentile, duration(v))})
			least, most, fastest = min(least, v), max(most, v), max(fastest, rate)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	c := newChart(fmt.Sprintf("p%g by rate", percentile), "requests a second", "latency")
	y := c.latencies(least, most)
	x := scale{0, fastest, false, c.Left, c.Right}
	for i := range 5 {
		v := fastest * float64(i) / 4
		c.XTicks = append(c.XTicks, tick{x.at(v), compare.Count(v)})
	}
	for _, name := range res.Env.Order {
		if points := lines[name]; len(points) > 0 {
			c.add(colours[name], points, x, y)
		}
	}
	return c
}

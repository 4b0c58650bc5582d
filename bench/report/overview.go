package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strings"

	"kring/bench/compare"
)

//go:embed overview.css
var overviewStyle string

//go:embed overview.svg
var overviewText string

var overviewTemplate = template.Must(template.New("overview").Parse(overviewText))

// Columns is how wide an overview is: panels beside each other.
type Columns int

// The widths of an overview: a phone shows Narrow, with text of the same size.
const (
	Narrow Columns = 1
	Wide   Columns = 3
)

// Sizes of an overview, in units of its viewBox, which are pixels where it is shown
// unscaled.
const (
	panelWidth, panelGap = 300, 24
	pageEdge             = 12
	panelTitle, barStep  = 40, 19
	barsFrom, barsTo     = 122, 256 // of a panel: names before, values behind
	lineStep             = 17
	keyLetter            = 6.4 // the width of a letter of the legend, rounded up
	noteLetter           = 5.8 // of a note
)

// overviewChart is one picture of a comparison.
type overviewChart struct {
	Style         template.CSS
	Title, About  string
	Headings      []string
	Width, Height float64
	Keys          []overviewKey
	Panels        []overviewPanel
	Notes         []overviewNote
}

// overviewKey is a line of the legend.
type overviewKey struct {
	X, Y        float64
	Class, Text string
}

type overviewNote struct {
	X, Y float64
	Text string
}

// overviewPanel is a scenario.
type overviewPanel struct {
	X, Y, Height float64
	Name, Floor  string
	One          float64 // where a bar of the floor's length ends
	Bars         []*overviewBar
}

// overviewBar is a contestant.
type overviewBar struct {
	Name, Class, Value string
	Y, Length          float64
	From, To           float64 // of the interval; equal for none
	Weight             string
	scenario, why      string // why no run counts; "" if one does
	ratio, low, high   float64
}

// Overview draws requests per CPU second of every contestant in every closed loop,
// relative to the better C floor of the scenario, as an SVG picture that needs nothing
// else and follows the reader's colour scheme. Bars of contestants without a run that
// counts are hollow, and a note says why.
func Overview(res *compare.Results, columns Columns) ([]byte, error) {
	c := overviewChart{
		Style: template.CSS(overviewStyle),
		Title: "Requests per CPU second, relative to the better C floor", About: "Each panel is a scenario. A longer bar is better.",
		Headings: []string{"Requests per CPU second", "relative to the better C floor: longer is better"},
		Width:    2*pageEdge + float64(columns)*panelWidth + float64(columns-1)*panelGap,
	}
	for i := range res.Env.Scenarios {
		if s := &res.Env.Scenarios[i]; s.Open == "" && s.Curve == "" {
			if p := overviewOf(res, s); len(p.Bars) > 0 {
				c.Panels = append(c.Panels, p)
			}
		}
	}
	c.place(columns)
	var out bytes.Buffer
	if err := overviewTemplate.Execute(&out, &c); err != nil {
		return nil, fmt.Errorf("report: the overview: %w", err)
	}
	return out.Bytes(), nil
}

// InnerWidth is the width of the frame around it all.
func (c *overviewChart) InnerWidth() float64 { return c.Width - 1 }

// InnerHeight is the frame's height.
func (c *overviewChart) InnerHeight() float64 { return c.Height - 1 }

// TextY is where the texts beside the bar stand.
func (b *overviewBar) TextY() float64 { return b.Y + 11 }

// MiddleY is the middle of the bar.
func (b *overviewBar) MiddleY() float64 { return b.Y + 6.5 }

// overviewOf draws a scenario; its lengths are still ratios.
func overviewOf(res *compare.Results, s *compare.Scenario) overviewPanel {
	var rows []compare.Row
	for _, name := range res.Env.Order {
		if row := res.Row(s, name); row.Of > 0 && res.Env.Against[name] == "" {
			if row.CPU.N == 0 {
				row.CPU = row.SeenCPU
			}
			rows = append(rows, row)
		}
	}
	p := overviewPanel{Name: s.Name}
	floor, what := overviewFloor(res, s.Name, rows)
	if floor == nil {
		return p
	}
	p.Floor = "1 = " + what
	for _, row := range rows {
		b := overviewBar{Name: row.Contestant, Class: overviewClass(&res.Env, row.Contestant), scenario: s.Name}
		if row.CPU.Median > 0 { // else nothing was answered
			b.ratio = floor.CPU.Median / row.CPU.Median
		}
		// Ratios are round by round where a round has both.
		if ratio, ok := res.Across(s.Name, row.Contestant, s.Name, []string{floor.Contestant}, compare.PerCPU); ok && row.Counted > 0 {
			b.ratio, b.low, b.high = ratio.Median, ratio.Low, ratio.High
		}
		if b.Value = fmt.Sprintf("%.2f", b.ratio); row.Counted == 0 {
			b.Class, b.Value, b.why = b.Class+" hollow", "("+b.Value+")", row.Why
		}
		if res.Env.Ours[row.Contestant] {
			b.Weight = "ours"
		}
		p.Bars = append(p.Bars, &b)
	}
	return p
}

// overviewFloor is whose requests per CPU second are 1 in a scenario, and what it is: the
// better C floor, or the best contestant where no floor was measured; nil where nothing
// was answered.
func overviewFloor(res *compare.Results, scenario string, rows []compare.Row) (floor *compare.Row, what string) {
	var floors, all []string
	answered := map[string]*compare.Row{}
	for i := range rows {
		if c := rows[i].Contestant; rows[i].CPU.Median > 0 {
			answered[c], all = &rows[i], append(all, c)
			if isFloor(c) {
				floors = append(floors, c)
			}
		}
	}
	if c := res.Best(scenario, floors, compare.PerCPU); answered[c] != nil {
		return answered[c], fmt.Sprintf("%s: %s per CPU second", c, compare.Count(1e6/answered[c].CPU.Median))
	}
	if c := res.Best(scenario, all, compare.PerCPU); answered[c] != nil && answered[c].Counted > 0 {
		return answered[c], c + ", as no C floor counts"
	}
	if c := append(floors, all...); len(c) > 0 {
		return answered[c[0]], c[0] + ", which does not count"
	}
	return nil, ""
}

// isFloor knows the minimal C servers by their names, which raw results of every age have.
func isFloor(name string) bool { return strings.HasPrefix(name, "c-") }

func overviewClass(e *compare.Environment, name string) string {
	switch {
	case e.Ours[name] && e.URing[name]:
		return "uring"
	case e.Ours[name]:
		return "ready"
	case isFloor(name):
		return "floor"
	}
	return "peer"
}

// place gives everything its place, rows of panels below the legend, notes below them.
func (c *overviewChart) place(columns Columns) {
	y := c.placeKeys()
	most := 1.1
	for _, p := range c.Panels {
		for _, b := range p.Bars {
			most = max(most, b.ratio, b.high)
		}
	}
	tallest := 0.0
	for i := range c.Panels {
		column := i % int(columns)
		if column == 0 {
			y, tallest = y+tallest, 0
		}
		p := &c.Panels[i]
		p.X, p.Y = pageEdge+float64(column)*(panelWidth+panelGap), y
		p.place(most)
		tallest = max(tallest, p.Height+22)
	}
	c.Height = y + tallest + pageEdge
	c.placeNotes()
}

func (p *overviewPanel) place(most float64) {
	at := func(ratio float64) float64 { return math.Round(10*(barsFrom+ratio/most*(barsTo-barsFrom))) / 10 }
	p.One, p.Height = at(1), panelTitle+float64(len(p.Bars))*barStep
	for i, b := range p.Bars {
		b.Y, b.Length = panelTitle+float64(i)*barStep, math.Round(10*(at(b.ratio)-barsFrom))/10
		b.From, b.To = at(b.low), at(b.high)
		if b.low == 0 || b.ratio == 1 && b.low == 1 && b.high == 1 { // the floor beside itself
			b.To = b.From
		}
	}
}

// placeKeys places the legend of what is drawn, and says where it ends.
func (c *overviewChart) placeKeys() float64 {
	drawn := map[string]bool{}
	for _, p := range c.Panels {
		for _, b := range p.Bars {
			class, hollow, _ := strings.Cut(b.Class, " ")
			drawn[class] = true
			drawn[hollow] = true
		}
	}
	x, y := float64(pageEdge), 62.0
	for _, k := range []overviewKey{
		{Class: "uring", Text: "kring on io_uring"}, {Class: "ready", Text: "kring on epoll"}, {Class: "floor", Text: "C floor"},
		{Class: "peer", Text: "others"}, {Class: "hollow", Text: "hollow: does not count"},
	} {
		if !drawn[k.Class] {
			continue
		}
		width := 34 + float64(len(k.Text))*keyLetter
		if x+width > c.Width && x > pageEdge {
			x, y = pageEdge, y+lineStep
		}
		k.X, k.Y = x, y
		c.Keys, x = append(c.Keys, k), x+width
	}
	return y + 26
}

// notesMost bounds the notes: the report has all of them.
const notesMost = 8

// placeNotes says of the hollow bars why their runs don't count.
func (c *overviewChart) placeNotes() {
	var notes []string
	for _, p := range c.Panels {
		for _, b := range p.Bars {
			if b.why != "" {
				notes = append(notes, fmt.Sprintf("Hollow: %s, %s: %s", b.scenario, b.Name, b.why))
			}
		}
	}
	if n := len(notes); n > notesMost {
		notes = append(notes[:notesMost], fmt.Sprintf("and %d more", n-notesMost))
	}
	for _, note := range notes {
		for _, l := range wrap(note, int((c.Width-2*pageEdge)/noteLetter)) {
			c.Notes = append(c.Notes, overviewNote{pageEdge, c.Height, l})
			c.Height += lineStep
		}
	}
}

// noteLines is how long a note may be.
const noteLines = 2

// wrap breaks a text into lines of at most so many letters, and ends it after noteLines.
func wrap(text string, letters int) (lines []string) {
	r := []rune(text)
	for len(r) > letters {
		if len(lines) == noteLines-1 {
			return append(lines, string(r[:letters-1])+"…")
		}
		at := letters
		for at > letters/2 && r[at] != ' ' {
			at--
		}
		lines, r = append(lines, string(r[:at])), r[at:]
		for len(r) > 0 && r[0] == ' ' {
			r = r[1:]
		}
	}
	return append(lines, string(r))
}

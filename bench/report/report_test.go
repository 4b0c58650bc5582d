package report_test

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"kring/bench/compare"
	"kring/bench/load"
	"kring/bench/report"
)

// results of two rounds in which kring is twice as fast as the peer in the
// closed loop and half as fast in the other scenario.
func results(t *testing.T) *compare.Results {
	t.Helper()
	res := &compare.Results{Env: compare.Environment{
		Started: time.Unix(1e9, 0), Rounds: 5, Base: "peer",
		Order: []string{"kring-uring-inline", "peer", "inline: wake: MSG_RING", "absent-one"},
		About: map[string]string{"peer": `<b>"x"</b> & y`}, Absent: map[string]string{"monoio": "needs Rust"},
		URing: map[string]bool{"kring-uring-inline": true, "inline: wake: MSG_RING": true}, Ours: map[string]bool{"kring-uring-inline": true},
		Against: map[string]string{"inline: wake: MSG_RING": "kring-uring-inline"},
		Scenarios: []compare.Scenario{
			{Name: "64x1", About: "closed"}, {Name: "1000x1", About: "closed too"},
			{Name: "curve-50", Open: compare.OfOwn, Share: 0.5, Curve: "curve"}, {Name: "curve-95", Open: compare.OfOwn, Share: 0.95, Curve: "curve"},
		},
	}}
	h := histogram(t)
	for _, s := range res.Env.Scenarios {
		for round := range 5 {
			for c, rate := range map[string]float64{"kring-uring-inline": 2000, "peer": 1000, "inline: wake: MSG_RING": 3000} {
				if s.Name == "1000x1" {
					rate = 2e6 / rate
				}
				res.Records = append(res.Records, &compare.Record{
					Scenario: s.Name, Contestant: c, Round: round, Pass: compare.Measure,
					Load: &load.Result{Completed: 1000, Rate: rate, HDR: h, Latency: load.Summary{P50: 1, P99: 2}},
				})
			}
		}
	}
	return res
}

// histogram is latency as raw results hold it.
func histogram(t *testing.T) string {
	t.Helper()
	h := hdrhistogram.New(1, int64(time.Minute), 3)
	for at, n := range map[time.Duration]int64{50 * time.Microsecond: 9000, 400 * time.Microsecond: 900, 7 * time.Millisecond: 100} {
		if err := h.RecordValues(int64(at), n); err != nil {
			t.Fatal(err)
		}
	}
	b, err := h.EncodeV2()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestThePageIsWellFormedAndNeedsNothingElse(t *testing.T) {
	page, err := report.HTML(results(t), "results/2026")
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(string(page)))
	d.Strict, d.AutoClose, d.Entity = false, []string{"meta"}, xml.HTMLEntity
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
	}
	if bad := regexp.MustCompile(`(?i)<script|<link|<img|https?://|url\(|@import`).Find(page); bad != nil {
		t.Errorf("the page holds %q", bad)
	}
	if strings.Contains(string(page), `<b>"x"`) || strings.Contains(string(page), "NaN") {
		t.Error("a text is not escaped, or a length is no number")
	}
}

func TestThePageSaysWhatTheRoundsSupport(t *testing.T) {
	page, err := report.HTML(results(t), "results/2026")
	if err != nil {
		t.Fatal(err)
	}
	for what, pattern := range map[string]string{
		"kring's advantage":            `class="better">2\.00`,
		"the switch that helps":        `class="n better3" title="1\.50[^"]*">1\.50`,
		"the switch that hurts":        `class="n worse3"[^>]*>0\.67`,
		"the loss":                     `<td>1000x1</td><td>kring-uring-inline</td><td>peer</td><td>requests/s</td><td class="n worse">0\.50`,
		"latency by percentile":        `kring-uring-inline: p99 `,
		"latency by rate":              `p99\.9 by rate`,
		"who is absent, and why":       `<dt>monoio</dt><dd>absent: needs Rust</dd>`,
		"the raw results":              `2026\.jsonl`,
		"no bar for an ablation":       `Requests a second</h3>`,
		"a curve's points in the rate": `peer: 1000/s`,
	} {
		if !regexp.MustCompile(pattern).Match(page) {
			t.Errorf("%s: nothing matches %s", what, pattern)
		}
	}
	if strings.Contains(string(page), "<span>inline: wake") {
		t.Error("an ablation has a bar")
	}
	few := results(t)
	few.Env.Rounds = 2
	if page, err = report.HTML(few, "x"); err != nil || !strings.Contains(string(page), "Too few rounds") || strings.Contains(string(page), `class="better"`) {
		t.Errorf("two rounds are said to support something: %v", err)
	}
}

func TestAPageOfRunsThatDoNotCountIsStillAPage(t *testing.T) {
	res := results(t)
	for _, r := range res.Records {
		r.Invalid = []string{"spoiled"}
	}
	page, err := report.HTML(res, "x")
	if err != nil || !strings.Contains(string(page), "Contestants") || strings.Contains(string(page), "NaN") {
		t.Errorf("%v", err)
	}
}

// TestWhatDoesNotCountIsShownAsSuch: who disappears from a chart looks like who
// was never there.
func TestWhatDoesNotCountIsShownAsSuch(t *testing.T) {
	res := results(t)
	for _, r := range res.Records {
		switch {
		case r.Contestant == "peer" && r.Scenario == "64x1":
			r.Invalid, r.Load.Bound = []string{"the generator was busy 97 % of a core"}, true
		case r.Contestant == "peer" && r.Scenario == "1000x1" && r.Round == 0:
			r.Invalid = []string{"1 errors"}
		}
	}
	page, err := report.HTML(res, "x")
	if err != nil {
		t.Fatal(err)
	}
	for what, pattern := range map[string]string{
		"a hollow bar with its value and reason": `(?s)<div class="bar c1 hollow">.{0,300}1000.{0,10}/s.{0,500}does not count: the generator was the limit`,
		"how many rounds of another count":       `4 of 5 rounds count: 1 errors`,
		"who has no round beside the base's":     `<li>1000x1, kring-uring-inline: 4 of 5 rounds count: together with peer: 1 errors</li>`,
		"what is not decided":                    `<li>64x1, peer: 0 of 5 rounds count: the generator was the limit</li>`,
	} {
		if !regexp.MustCompile(pattern).Match(page) {
			t.Errorf("%s: nothing matches %s", what, pattern)
		}
	}
	text := compare.Markdown(res, "x")
	for _, want := range []string{"| peer | (1000) no valid run: the generator was the limit |", "Not decided, because too few runs count", "- 64x1, peer: 0 of 5 rounds count"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	// In 1000x1 it is the base, against which ours has a round too few as well.
	if line := res.Undecided(); !strings.Contains(line, "Not decided: 4 rows, in 1000x1, 64x1.") || strings.Contains(line, "\n") {
		t.Errorf("the last line is %q", line)
	}
	res.Env.Rounds = 2
	if line := res.Undecided(); !strings.Contains(line, "--rounds 5 or more") || strings.Contains(line, "\n") {
		t.Errorf("of two rounds the last line is %q", line)
	}
}

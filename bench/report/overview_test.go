package report_test

import (
	"compress/gzip"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kring/bench/compare"
	"kring/bench/contestant"
	"kring/bench/load"
	"kring/bench/report"
)

// overviewResults are five rounds in which kring has half of the floor's requests per CPU
// second in 64x1 and twice as many in 1000x1, and in which the peer never counts.
func overviewResults() *compare.Results {
	res := &compare.Results{Env: compare.Environment{
		Rounds: 5, Base: "go-net", Order: []string{"kring", "kring-epoll", "go-net", "c-uring", "c-epoll", "absent", "inline: wake"},
		URing: map[string]bool{"kring": true, "c-uring": true}, Ours: map[string]bool{"kring": true, "kring-epoll": true},
		Against:   map[string]string{"inline: wake": "kring"},
		Scenarios: []compare.Scenario{{Name: "64x1"}, {Name: "1000x1"}, {Name: "open-own", Open: compare.OfOwn}},
	}}
	for _, s := range res.Env.Scenarios {
		for round := range 5 {
			for c, micros := range map[string]float64{"kring": 4, "kring-epoll": 5, "go-net": 8, "c-uring": 2, "c-epoll": 2.5, "inline: wake": 1} {
				if s.Name == "1000x1" && c == "kring" {
					micros = 1
				}
				r := &compare.Record{Scenario: s.Name, Contestant: c, Round: round, Pass: compare.Measure,
					Load: &load.Result{Completed: 1e6, Rate: 1e6 / micros}, Server: contestant.Sample{UserSeconds: micros}}
				if c == "go-net" {
					r.Invalid, r.Load.Bound = []string{"<1 & 2 errors>"}, true
				}
				res.Records = append(res.Records, r)
			}
		}
	}
	return res
}

func overview(t *testing.T, res *compare.Results, columns report.Columns) string {
	t.Helper()
	svg, err := report.Overview(res, columns)
	if err != nil {
		t.Fatal(err)
	}
	needsNothing(t, svg)
	return string(svg)
}

// needsNothing says that a picture is well-formed and loads nothing.
func needsNothing(t *testing.T, svg []byte) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, svg)
		}
	}
	if bad := regexp.MustCompile(`(?i)<script|<image|href|url\(|@import|NaN|Inf`).FindString(strings.ReplaceAll(string(svg), "http://www.w3.org/2000/svg", "")); bad != "" {
		t.Errorf("the picture holds %q", bad)
	}
}

// TestThePictureOfTheFlowNeedsNothingElse: README shows it as an image.
func TestThePictureOfTheFlowNeedsNothingElse(t *testing.T) {
	svg, err := os.ReadFile("../../docs/flow.svg")
	if err != nil {
		t.Fatal(err)
	}
	needsNothing(t, []byte(strings.NewReplacer("url(#head)", "").Replace(string(svg))))
}

// TestTheOverviewDrawsEveryContestantInEveryClosedLoop: who loses, too, beside the better
// floor, and hollow with the reason where no run counts.
func TestTheOverviewDrawsEveryContestantInEveryClosedLoop(t *testing.T) {
	for _, columns := range []report.Columns{report.Narrow, report.Wide} {
		svg := overview(t, overviewResults(), columns)
		for what, pattern := range map[string]string{
			"kring at half of the floor":   `>kring</text>[^\n]*class="uring"[^\n]*>0\.50</text>`,
			"kring at twice the floor":     `>kring</text>[^\n]*class="uring"[^\n]*>2\.00</text>`,
			"kring on epoll":               `>kring-epoll</text>[^\n]*class="ready"[^\n]*>0\.40</text>`,
			"the better floor":             `>c-uring</text>[^\n]*class="floor"[^\n]*>1\.00</text>`,
			"the other floor":              `>c-epoll</text>[^\n]*>0\.80</text>`,
			"a hollow bar":                 `>go-net</text>[^\n]*class="peer hollow"[^\n]*>\(0\.25\)</text>`,
			"why it is hollow":             `>Hollow: 64x1, go-net: the generator was the limit</text>`,
			"what 1 is":                    `>1 = c-uring: 500\.0 k per CPU second</text>`,
			"a scheme for dark":            `prefers-color-scheme: dark`,
			"the legend of what is hollow": `>hollow: does not count</text>`,
		} {
			if !regexp.MustCompile(pattern).MatchString(svg) {
				t.Errorf("%d columns: %s: nothing matches %s in\n%s", columns, what, pattern, svg)
			}
		}
		for _, never := range []string{"open-own", ">absent<", "inline: wake"} {
			if strings.Contains(svg, never) {
				t.Errorf("%d columns: the chart has %s", columns, never)
			}
		}
	}
}

// TestTheOverviewNeedsNoFloor: without a C compiler there is none, and what is 1 is said.
func TestTheOverviewNeedsNoFloor(t *testing.T) {
	res := overviewResults()
	res.Env.Order = []string{"kring", "go-net"}
	if svg := overview(t, res, report.Wide); !strings.Contains(svg, ">1 = kring, as no C floor counts<") {
		t.Errorf("it is not said what 1 is:\n%s", svg)
	}
	for _, r := range res.Records {
		r.Invalid = []string{strings.Repeat("<long> & ", 40)}
	}
	if svg := overview(t, res, report.Narrow); !strings.Contains(svg, ">1 = kring, which does not count<") || !strings.Contains(svg, "…</text>") {
		t.Errorf("no run counts, and:\n%s", svg)
	}
	res.Records = nil
	overview(t, res, report.Narrow)
}

// TestTheOverviewTakesAnyRawResults: those of every age and kind of run.
func TestTheOverviewTakesAnyRawResults(t *testing.T) {
	files, err := filepath.Glob("../raw/2*.jsonl.gz")
	if err != nil || len(files) < 4 {
		t.Fatalf("%v: %v", files, err)
	}
	for _, f := range append(files[:2], files[len(files)-2:]...) { // the oldest and the newest
		if svg := overview(t, readGzip(t, f), report.Wide); len(svg) > 200<<10 {
			t.Errorf("%s: %d bytes", f, len(svg))
		}
	}
}

func readGzip(t *testing.T, file string) *compare.Results {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	res, err := compare.Read(raw)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return res
}

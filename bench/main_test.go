package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kring/bench/compare"
	"kring/bench/contestant"
	"kring/bench/report"
)

// childOf makes the test's own program the bench, for the processes that a
// comparison starts.
const childOf = "KRING_BENCH_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childOf) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestAWholeComparisonKeepsEveryRun(t *testing.T) {
	t.Setenv(childOf, "1")
	out := t.TempDir()
	scenarios, err := compare.SelectScenarios(compare.Scenarios(), []string{"open-slowest", "api-64x1"})
	if err != nil {
		t.Fatal(err)
	}
	contestants, err := contestant.Select(contestant.All(), []string{"kring-epoll-pool", "go-net"})
	if err != nil {
		t.Fatal(err)
	}
	res, base, err := compare.Run(t.Context(), compare.Options{
		Scenarios: scenarios, Contestants: contestants, Base: "go-net", Rounds: 2,
		WarmUp: 20 * time.Millisecond, Duration: 150 * time.Millisecond, Pin: true, Out: out,
		Drain: 50 * time.Second, // the generator may be behind its timetable by seconds
	})
	if err != nil {
		t.Fatal(err)
	}
	passes := map[compare.Pass]int{}
	without := 0 // runs at a part of a capacity that a busy machine did not let us find
	for _, r := range res.Records {
		passes[r.Pass]++
		if r.Load == nil && slices.Contains(r.Invalid, "its capacity could not be measured") {
			without++
			continue
		}
		if r.Load == nil || r.Load.Total == 0 || r.Load.Errors.Count() > 0 {
			t.Errorf("%s %s: no answers or errors: %q", r.Scenario, r.Contestant, r.Invalid)
		}
	}
	// On a busy machine a run may not count, and is made again.
	if n := passes[compare.Measure]; n < 2*2*2 || n > 3*2*2*2 || passes[compare.Capacity] < 2 {
		t.Errorf("passes: %v", passes)
	}
	raw, err := os.Open(base + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	again, err := compare.Read(raw)
	if err != nil || len(again.Records) != len(res.Records) {
		t.Fatalf("read back %d of %d runs: %v", len(again.Records), len(res.Records), err)
	}
	if a, b := compare.Markdown(res, base), compare.Markdown(again, base); a != b {
		t.Error("the report of the kept results is another one")
	}
	hlog, err := os.ReadFile(base + ".hlog")
	if n := strings.Count(string(hlog), "Tag="); err != nil || n != passes[compare.Measure]-without {
		t.Errorf("%d histograms are kept: %v", n, err)
	}
}

func TestFlagsThatCannotWorkAreNamed(t *testing.T) {
	for flag, c := range map[string]runCmd{
		"--base":      {Base: "nobody"},
		"scenario":    {Base: "go-net", Scenario: []string{"x"}},
		"contestants": {Base: "go-net", Contestants: []string{"x"}},
	} {
		if _, err := c.options(); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
	c := runCmd{Base: "go-net", Quick: true}
	o, err := c.options()
	if err != nil || o.Syscalls || len(o.Scenarios) != 3 || filepath.Base(o.Out) != "results" {
		t.Errorf("quick: %+v, %v", o, err)
	}
}

// TestTheReadmeHoldsWhatWasMeasured: its table is that of the raw results it names.
func TestTheReadmeHoldsWhatWasMeasured(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	part := overviewPart.FindSubmatch(readme)
	if part == nil {
		t.Fatal("there is no table")
	}
	if string(part[2]) == "none" {
		if strings.Contains(string(part[4]), "|") {
			t.Error("there is a table of no raw results")
		}
		return
	}
	file := filepath.Join("raw", string(part[2]))
	res, err := readResults(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := overviewText(res, file, "bench"); string(part[4]) != want {
		t.Errorf("the table is not what %s says; go run ./bench overview bench/%s --into README.md writes:\n%s", file, file, want)
	}
	for name, columns := range overviewCharts {
		want, err := report.Overview(res, columns)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what %s says (%v): go run ./bench overview bench/%s --into README.md", name, file, err, file)
		}
	}
	if first := contestant.All()[0].Name; res.Env.Order[0] != first {
		t.Errorf("the first row is %s, not what users get who choose nothing (%s)", res.Env.Order[0], first)
	}
}

func TestTheOverviewGoesBetweenItsComments(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	before := "a\n<!-- bench overview old.jsonl -->\nold\n<!-- end of overview -->\nz\n"
	if err := os.WriteFile(page, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	raw, err := filepath.Glob("raw/2*.jsonl.gz")
	if err != nil || len(raw) == 0 {
		t.Fatalf("%v: %v", raw, err)
	}
	c := overviewCmd{Results: raw[0], Into: page, Chart: "charts"}
	for range 2 { // a second time changes nothing
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	s := string(text)
	if !strings.HasPrefix(s, "a\n<!-- bench overview "+filepath.Base(raw[0])+" -->\n<picture>\n") || !strings.Contains(s, "\n\n| requests/s") || !strings.HasSuffix(s, "<!-- end of overview -->\nz\n") || strings.Contains(s, "old\n") {
		t.Errorf("the page is now:\n%s", s)
	}
	for name := range overviewCharts {
		if svg, err := os.ReadFile(filepath.Join(filepath.Dir(page), "charts", name)); err != nil || !bytes.HasPrefix(svg, []byte("<svg ")) || !strings.Contains(s, `"charts/`+name+`"`) {
			t.Errorf("the chart's file %s: %v", name, err)
		}
	}
	c.Into = raw[0]
	if err := c.Run(); err == nil || !strings.Contains(err.Error(), "bench overview FILE") {
		t.Errorf("a file without the comments: %v", err)
	}
}

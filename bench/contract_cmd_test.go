package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"kring/bench/contract"
)

func TestEveryScenarioOfTheContractIsMeasured(t *testing.T) {
	t.Setenv(childOf, "1")
	t.Setenv("GOMAXPROCS", "4") // which is nothing to pinned processes
	all, err := contract.Select([]string{"*"})
	if err != nil {
		t.Fatal(err)
	}
	// Without GiveWay: tests of other packages keep the processors busy.
	res, raw, err := contract.Run(t.Context(), contract.Options{
		Scenarios: all, Engines: []string{"epoll"}, Dispatch: "pool", Rounds: 1, Window: 50 * time.Millisecond, Stall: 50 * time.Millisecond, Probe: time.Minute, Drain: 50 * time.Second,
		Clients: 200, Fill: 20 * time.Millisecond, Burst: 500, Shakes: 60, Pin: true, Dir: t.TempDir(), FileBytes: 2 << 20, Out: t.TempDir(), Progress: &bytes.Buffer{},
	})
	if err != nil {
		t.Fatal(err)
	}
	measured := map[string]int{}
	for _, s := range res.Samples {
		measured[s.Scenario]++
		// How many answers fell into so short a window is chance.
		if s.Load != nil && (s.Load.Total == 0 || s.Load.Errors.Count() > 0) || s.Beside["failed"] > 0 {
			t.Errorf("%s, %s, %s: no answers, or errors: %q", s.Scenario, s.Engine, s.Way, s.Invalid)
		}
	}
	if measured["slow"] != 2 || measured["burst"] != 3+2 || measured["handshakes"] != 3+2 || measured["stall"] != 1 || measured["files"] != 3 {
		t.Errorf("measured: %v", measured)
	}
	judged := 0
	for _, row := range res.Rows() {
		if row.Judged {
			judged++
		}
		if row.Scenario == "stall" && !row.Reached {
			t.Errorf("stall: %s: %s", row.Goal, row.Value)
		}
	}
	if judged != 2+1+1+4+1 || strings.Count(res.Table(), "scenario ") != 2 {
		t.Errorf("%d goals in:\n%s", judged, res.Table())
	}
	text, err := os.ReadFile(raw)
	if n := bytes.Count(text, []byte("\n")); err != nil || n != 1+len(res.Samples) {
		t.Errorf("%d raw lines of %d samples: %v", n, len(res.Samples), err)
	}
}

func TestTheFlagsOfTheContractThatCannotWorkAreNamed(t *testing.T) {
	if _, err := (&contractCmd{Scenario: []string{"x"}}).options(); err == nil || !strings.Contains(err.Error(), "--scenario") {
		t.Errorf("%v", err)
	}
	o, err := (&contractCmd{Scenario: []string{"s*"}, Quick: true}).options()
	if err != nil || len(o.Scenarios) != 2 || o.Rounds != 3 {
		t.Errorf("%d scenarios, %d rounds, %v", len(o.Scenarios), o.Rounds, err)
	}
}

package gateways

import (
	"encoding/json"
	"strings"
	"testing"
)

// Rounds of different runs are apart, differences are taken within a round, and neither the warm-up
// nor what does not count is in the table.
func TestTheTableComparesWithinRounds(t *testing.T) {
	run := func(direct, own int64, perCPU float64) string {
		var b strings.Builder
		e := json.NewEncoder(&b)
		for _, line := range []any{
			map[string]any{"type": "environment", "cpu": "some"},
			Record{Type: "gateway", Round: 0, Contestant: "own", Step: stepMax, Kind: "k", PerCPU: 1},
			Record{Type: "gateway", Round: 1, Contestant: "own", Step: stepMax, Kind: "k", Rate: 100, PerCPU: perCPU},
			Record{Type: "gateway", Round: 1, Contestant: "direct", Step: stepMax, Kind: "k", Rate: 200},
			Record{Type: "gateway", Round: 1, Contestant: "direct", Step: stepHalf, Kind: "k", P50: direct, P99: direct},
			Record{Type: "gateway", Round: 1, Contestant: "own", Step: stepHalf, Kind: "k", P50: own, P99: 3 * direct},
			Record{Type: "gateway", Round: 2, Contestant: "own", Step: stepHalf, Kind: "k", P50: 1e9, Invalid: []string{"late"}},
		} {
			if err := e.Encode(line); err != nil {
				t.Fatal(err)
			}
		}
		return b.String()
	}
	var s Results
	for _, text := range []string{run(100_000, 150_000, 1000), run(300_000, 370_000, 3000)} {
		if err := s.Read(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	table := s.Table([]string{"direct"})
	for _, want := range []string{
		"| direct | own |",
		"p50, µs (added) | 200 (100–300) | 260 (150–370) (**+60**) |",
		"p99, µs (× direct) | 200 (100–300) | 600 (300–900) (**3.00 ×**) |",
		"requests/s (× direct) | 200 (200–200) | 100 (100–100) (**0.50 ×**) |",
		"of the gateway | – | 2000 (1000–3000) |",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
}

func TestAContestantIsAnAddressAndAProcess(t *testing.T) {
	c, err := ParseContestant("kring=127.0.0.1:9101/42")
	if err != nil || c != (Contestant{"kring", "127.0.0.1:9101", 42}) {
		t.Errorf("%+v, %v", c, err)
	}
	for _, text := range []string{"kring", "=127.0.0.1:1", "kring=127.0.0.1", "kring=127.0.0.1:1/x", "kring=127.0.0.1:1/0"} {
		if _, err := ParseContestant(text); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v: wanted an error that names it", text, err)
		}
	}
}

func TestOnlyAProcessesOwnConnectionsToThePortCount(t *testing.T) {
	line := func(remote, state, inode string) string {
		return "   1: 0100007F:1111 0100007F:" + remote + " " + state + " 00000000:00000000 00:00000000 00000000     0        0 " + inode + " 1\n"
	}
	table := "  sl  local_address rem_address   st\n" + line("2384", "01", "7") + line("2384", "01", "8") + line("2384", "06", "7") + line("2385", "01", "7")
	if n := established(table, "2384", map[string]bool{"7": true}); n != 1 {
		t.Errorf("%d connections, 1 is wanted", n)
	}
}

package main

import (
	"encoding/json"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const dashboardFile = "../../deploy/grafana/dashboards/kring.json"

// dashboard is what of Grafana's JSON is looked at.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
}

var metricName = regexp.MustCompile(`\b(kring|kafka|process|go)_[a-z0-9_]+\b`)

// TestTheDashboardAsksForMetricsThatThereAre: every name in its expressions is exposed.
func TestTheDashboardAsksForMetricsThatThereAre(t *testing.T) {
	raw, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var board dashboard
	if err := json.Unmarshal(raw, &board); err != nil {
		t.Fatal(err)
	}
	args, door := withHTTP(t, "--quota", "client-id=*,fetch-bytes=1e12")
	c := serve(t, args...)
	produceAndConsume(t, c.addr, kgo.FetchMaxWait(100*time.Millisecond)) // stages, topics and quotas have series when they are used
	var exposed map[string]bool
	until(t, "the request is counted", func() bool {
		_, body := door.get("/metrics")
		exposed = map[string]bool{}
		for line := range strings.Lines(body) {
			name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			name, _, _ = strings.Cut(name, "{")
			exposed[name] = true
		}
		return exposed["kring_request_stage_seconds_bucket"] && exposed["kring_quota_use"]
	})
	asked := 0
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			for _, name := range metricName.FindAllString(target.Expr, -1) {
				asked++
				if !exposed[name] && !(strings.HasPrefix(name, "process_") && runtime.GOOS != "linux") {
					t.Errorf("panel %q asks for %s, which is not exposed: %s", panel.Title, name, target.Expr)
				}
			}
		}
	}
	if asked < 40 {
		t.Errorf("it asks for %d metrics", asked)
	}
}

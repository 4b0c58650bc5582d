package main

import (
	"io"
	"log/slog"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
)

// aSlowOne is a request that took half a second.
func aSlowOne() kring.SlowRequest {
	return kring.SlowRequest{
		Conn: &kring.Conn{Listener: "PLAINTEXT", Remote: netip.MustParseAddrPort("192.0.2.1:9")}, API: 0, Version: 9, ErrorCode: 7, Requests: 1,
		Bytes: 100, ResponseBytes: 50, Queue: 300 * time.Millisecond, Local: 150 * time.Millisecond, Send: 50 * time.Millisecond, Total: 500 * time.Millisecond,
	}
}

// TestASlowRequestIsLoggedWithItsStages, ten at once, and what is beyond that is counted.
func TestASlowRequestIsLoggedWithItsStages(t *testing.T) {
	var out safeBuffer
	stands := time.Now()
	l := newSlowLog(slog.New(slog.NewTextHandler(&out, nil)), func() time.Time { return stands })
	for range 25 {
		l.add(aSlowOne())
	}
	l.end()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != slowBurst+1 || !strings.Contains(lines[slowBurst], "not_logged=15") {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	for _, want := range []string{
		"level=WARN", `msg="a request was slow"`, "total_time=500ms", "queue_time=300ms", "local_time=150ms", "remote_time=0s", "response_queue_time=0s", "send_time=50ms",
		"api=Produce", "version=9", "principal=User:ANONYMOUS", "remote=192.0.2.1:9", "listener=PLAINTEXT", "bytes=100", "response_bytes=50", "error=REQUEST_TIMED_OUT",
	} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("no %s in %s", want, lines[0])
		}
	}
}

// TestSlowRequestsAreLoggedAgainWhenTimePasses: one for each tenth of a second, ten at most.
func TestSlowRequestsAreLoggedAgainWhenTimePasses(t *testing.T) {
	now := time.Now()
	p := slowPace{credit: slowBurst * slowEvery, last: now}
	lines := func() (n int) {
		for p.allows(now) {
			n++
		}
		return n
	}
	for _, step := range []struct {
		wait time.Duration
		want int
	}{{0, slowBurst}, {slowEvery, 1}, {slowEvery / 2, 0}, {slowEvery / 2, 1}, {time.Hour, slowBurst}} {
		now = now.Add(step.wait)
		if got := lines(); got != step.want {
			t.Errorf("after %v: %d lines, want %d", step.wait, got, step.want)
		}
	}
}

// TestNobodyWaitsForTheLogOfSlowRequests: its reader does not read, and every call returns.
func TestNobodyWaitsForTheLogOfSlowRequests(t *testing.T) {
	r, w := io.Pipe()
	l := newSlowLog(slog.New(slog.NewTextHandler(w, nil)), time.Now)
	for range 10 * slowQueuedMax {
		l.add(aSlowOne())
	}
	if l.skipped.Load() == 0 {
		t.Error("a queue took more than it has room for")
	}
	_ = r.Close()
	l.end()
}

// TestASlowRequestOfARealClientIsLogged, with what it calls itself; and a long poll that waits
// as long as it asked to is not.
func TestASlowRequestOfARealClientIsLogged(t *testing.T) {
	for _, engine := range enginesHere() {
		for _, dispatch := range []string{"pool", "inline"} {
			c := serve(t, "--engine", engine, "--handler", "null", "--dispatch", dispatch, "--slow-request", "1ns")
			client := dial(t, c.addr)
			fetch := kmsg.NewPtrFetchRequest()
			fetch.Version, fetch.MaxWaitMillis, fetch.MinBytes = 11, 20, 1
			ask(t, client, fetch)
			ask(t, client, kmsg.NewPtrMetadataRequest())
			c.logged(`a request was slow.* total_time=\S+ .*api=Metadata version=0 .*principal=User:ANONYMOUS remote=` + regexp.QuoteMeta(client.LocalAddr().String()) + ` `)
			c.signal(os.Interrupt)
			c.exit()
			if strings.Contains(c.stderr.String(), "api=Fetch version=11") && !strings.Contains(c.stderr.String(), "asked_to_wait=20ms") {
				t.Errorf("a fetch was slow that waited as it asked to: %s", c.stderr.String())
			}
		}
	}
}

package load

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"kring/internal/replay"
)

// play plays a recording, as kring replay does. There is no warm-up: the window is the whole of it.
func play(c Config) (*Result, error) {
	ahead := c.Realtime && goFirst()
	rec := newRecord(false)
	tm := &timing{cfg: &c}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-c.Cut: // nil: never
			cancel()
		case <-ctx.Done():
		}
	}()
	var started time.Time
	var cpu int64
	report, err := replay.Run(ctx, replay.Config{
		Open: func() (io.ReadCloser, error) { return os.Open(c.Recording) }, Target: c.Address, Dial: c.dialer(),
		Speed: c.RecordingSpeed, CreateTopics: true,
		Began: func() {
			tm.boundary(true)
			started, cpu = time.Now(), processCPU()
		},
		Answer: func(latency time.Duration) { record1(rec.latency, int64(latency), 1) },
	})
	if err != nil {
		return nil, fmt.Errorf("load: Recording %s: %w", c.Recording, err)
	}
	cpu = processCPU() - cpu
	tm.boundary(false)
	return c.played(report, rec, started, cpu, ahead), nil
}

// played is the Result of a replay.
func (c *Config) played(r *replay.Report, rec *record, started time.Time, cpu int64, ahead bool) *Result {
	window := time.Duration(r.Seconds * float64(time.Second))
	res := &Result{Config: *c, Started: started, Window: window, Realtime: ahead, Latency: summarize(rec.latency), HDR: encode(rec.latency)}
	res.Completed = r.Answered
	for _, a := range r.APIs {
		res.Completed += a.Silent
	}
	res.Total, res.Rate = res.Completed, float64(res.Completed)/window.Seconds()
	res.GeneratorCPU = float64(cpu) / float64(window) / float64(c.Threads)
	res.Errors.Unanswered = r.Unanswered
	if r.Unanswered > 0 {
		res.Errors.First = cmp.Or(r.ConnectError, "answers did not come")
	}
	res.judge()
	for _, s := range r.Skipped { // what no contestant is sent, is the same for all
		if s.Target {
			res.Invalid = append(res.Invalid, fmt.Sprintf("%d requests of %s were not sent: %s", s.Count, s.Name, s.Reason))
		}
	}
	if r.Errors > 0 {
		res.Invalid = append(res.Invalid, fmt.Sprintf("%d answers have an error code", r.Errors))
	}
	if c.RecordingSpeed > 0 && time.Duration(r.SendDelay.P99)*time.Microsecond > 10*time.Millisecond {
		res.Invalid, res.Bound = append(res.Invalid, fmt.Sprintf("requests were sent late: p99 %d µs", r.SendDelay.P99)), true
	}
	return res
}

// dialer connects to the server.
func (c *Config) dialer() func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		if !c.TLS {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}
		anybody := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true} // of a contestant on this machine
		return (&tls.Dialer{Config: anybody}).DialContext(ctx, "tcp", address)
	}
}

package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"kring/internal/replay"
)

// writeReplay writes a report for people.
func writeReplay(to io.Writer, r *replay.Report) error {
	w := bufio.NewWriter(to)
	how := fmt.Sprintf("%gx", r.Speed)
	latency := "from when each request was due"
	if r.Speed == 0 {
		how, latency = "max", "from when each request was sent: at full speed none is due before the last one is answered"
	}
	fmt.Fprintf(w, "%d requests in %v to %s at speed %s, on %d connections; latency in ms, %s\n",
		r.Sent, inSeconds(r.Seconds), oneLine(r.Target), how, r.Connections, latency)
	if r.Interrupted {
		fmt.Fprintln(w, "interrupted: this is what was until then")
	}
	if r.ConnectFailures > 0 {
		fmt.Fprintf(w, "%d attempts to connect failed, the first: %s\n", r.ConnectFailures, oneLine(r.ConnectError))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "API\tsent\tanswered\terrors\tp50\tp90\tp99\tp99.9\tmax\trecorded p50\tp99\t")
	for _, a := range r.APIs {
		errors := uint64(0)
		for _, n := range a.Errors {
			errors += n
		}
		l, was := a.Latency, a.Recorded
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", a.Name, a.Sent, a.Answered, errors,
			millis(l.P50), millis(l.P90), millis(l.P99), millis(l.P999), millis(l.Max), millis(was.P50), millis(was.P99))
	}
	_ = t.Flush() // w keeps its error
	for _, a := range r.APIs {
		for _, code := range slices.Sorted(maps.Keys(a.Errors)) {
			fmt.Fprintf(w, "%s: %d × %s\n", a.Name, a.Errors[code], code)
		}
		for _, why := range slices.Sorted(maps.Keys(a.Unanswered)) {
			fmt.Fprintf(w, "%s: %d × %s\n", a.Name, a.Unanswered[why], why)
		}
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "%s: %d not sent: %s\n", s.Name, s.Count, s.Reason)
	}
	if r.Speed > 0 {
		fmt.Fprintf(w, "sent behind time: p50 %s  p99 %s  max %s ms\n", millis(r.SendDelay.P50), millis(r.SendDelay.P99), millis(r.SendDelay.Max))
	}
	return w.Flush()
}

func inSeconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

// millis writes microseconds as milliseconds.
func millis(micros uint64) string { return fmt.Sprintf("%.2f", float64(micros)/1000) }

// recordingJSON is --dry-run for programs.
type recordingJSON struct {
	Software    string             `json:"software"`
	Began       time.Time          `json:"began"`
	Seconds     float64            `json:"seconds"`
	Payloads    bool               `json:"payloads"`
	Connections int                `json:"connections"`
	Requests    uint64             `json:"requests"`
	Lost        uint64             `json:"lost"`
	Note        string             `json:"note,omitempty"`
	APIs        []recordedAPIJSON  `json:"apis"`
	Topics      []recordedTopicRow `json:"topics"`
}

type recordedAPIJSON struct {
	Key      int16             `json:"key"`
	Name     string            `json:"api"`
	Requests uint64            `json:"requests"`
	Bytes    uint64            `json:"bytes"`
	Versions map[int16]uint64  `json:"versions"`
	Errors   map[string]uint64 `json:"errors"`
	P50      uint64            `json:"latency_us_p50"`
	P99      uint64            `json:"latency_us_p99"`
	Played   bool              `json:"played"`
	How      string            `json:"how"`
}

type recordedTopicRow struct {
	Name       string `json:"topic"`
	Partitions int    `json:"partitions"`
	Batches    uint64 `json:"batches"`
	Records    uint64 `json:"records"`
	Bytes      uint64 `json:"bytes"`
}

// dryRun says what is in the recording.
func (c *replayCmd) dryRun(ctx context.Context, p process) error {
	in, err := c.open()
	if err != nil {
		return err
	}
	defer in.Close()
	s, err := replay.Scan(ctx, in)
	if err != nil {
		return err
	}
	r := recorded(s)
	if c.Output == "json" {
		return writeJSON(p.stdout, r)
	}
	return writeRecorded(p.stdout, r)
}

func recorded(s *replay.Summary) *recordingJSON {
	r := &recordingJSON{
		Software: s.Software, Began: s.Began, Seconds: s.Length.Seconds(), Payloads: s.Payloads, Connections: s.Connections,
		Requests: s.Requests, Lost: s.Lost, Note: s.State(), APIs: []recordedAPIJSON{}, Topics: []recordedTopicRow{},
	}
	for _, key := range slices.Sorted(maps.Keys(s.APIs)) {
		a, how := s.APIs[key], replay.Treatment(key)
		row := recordedAPIJSON{key, replay.APIName(key), a.Requests, a.Bytes, a.Versions, map[string]uint64{}, a.Latency.Quantile(0.5), a.Latency.Quantile(0.99), how.Played, how.Text}
		for code, n := range a.Errors {
			row.Errors[replay.ErrorName(code)] = n
		}
		r.APIs = append(r.APIs, row)
	}
	for _, name := range s.Names() {
		t := s.Topics[name]
		r.Topics = append(r.Topics, recordedTopicRow{name, t.Partitions, t.Batches, t.Records, t.Bytes})
	}
	return r
}

func writeRecorded(to io.Writer, r *recordingJSON) error {
	w := bufio.NewWriter(to)
	payloads := "without payloads"
	if r.Payloads {
		payloads = "with payloads"
	}
	fmt.Fprintf(w, "%d requests in %v on %d connections, %s; from %s by %s\n", r.Requests, inSeconds(r.Seconds), r.Connections, payloads,
		r.Began.UTC().Format(time.RFC3339), oneLine(r.Software))
	if r.Note != "" {
		fmt.Fprintln(w, oneLine(r.Note))
	}
	if r.Lost > 0 {
		fmt.Fprintf(w, "%d entries were lost: the file was not written as fast as they came\n", r.Lost)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "API\trequests\tbytes\tversions\terrors\tp50 ms\tp99 ms\tplayed")
	for _, a := range r.APIs {
		var versions []string
		for _, v := range slices.Sorted(maps.Keys(a.Versions)) {
			versions = append(versions, fmt.Sprint(v))
		}
		errors := uint64(0)
		for _, n := range a.Errors {
			errors += n
		}
		played := a.How
		if !a.Played {
			played = "no: " + a.How
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%d\t%s\t%s\t%s\n", a.Name, a.Requests, a.Bytes, cmp.Or(strings.Join(versions, ","), "-"), errors, millis(a.P50), millis(a.P99), played)
	}
	_ = t.Flush() // w keeps its error
	if len(r.Topics) > 0 {
		fmt.Fprintln(t, "topic\tpartitions\tbatches\trecords\tbytes")
	}
	for _, x := range r.Topics {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\n", oneLine(x.Name), x.Partitions, x.Batches, x.Records, x.Bytes)
	}
	_ = t.Flush()
	return w.Flush()
}

package contract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"kring/bench/compare"
	"kring/bench/contestant"
	"kring/bench/load"
)

// Options of Run.
type Options struct {
	Root      string // the module's folder, "" when unknown
	Scenarios []Scenario
	Engines   []string // kring's
	Dispatch  string   // kring's
	Rounds    int
	Window    time.Duration // measured, where nothing else ends it
	Stall     time.Duration // how long handlers stall
	Probe     time.Duration // in which what is tried of a stalled server must go; 0: stallProbe
	Drain     time.Duration // in which answers may come after the window; 0: the generator's own
	Clients   int           // of which one in a hundred never reads
	Fill      time.Duration // until the buffers of those are full
	Burst     int           // connects of a burst
	Shakes    int           // TLS handshakes of a burst
	Pin       bool
	// GiveWay has who disturbs take only what others leave of the processor.
	GiveWay   bool
	Dir       string // of the file that is read cold: on a disk
	FileBytes int64
	Out       string
	Progress  io.Writer
}

// Sample is one way, measured once: one line of the raw results.
type Sample struct {
	Type     string `json:"type"` // "sample"
	Scenario string `json:"scenario"`
	Engine   string `json:"engine"`
	Way      string `json:"way"`
	Round    int    `json:"round"`

	Load   *load.Result      `json:"load,omitempty"`
	Server contestant.Sample `json:"server"`           // inside the window
	Own    contestant.Own    `json:"own,omitempty"`    // of the server, at the window's end
	Beside contestant.Own    `json:"beside,omitempty"` // of who disturbed
	// Invalid says why it does not count.
	Invalid []string `json:"invalid,omitempty"`
}

// p99 in microseconds.
func (s *Sample) p99() float64 { return float64(s.Load.Latency.P99) / 1e3 }

// stolen is the share of the machine's time that the one below took.
func (s *Sample) stolen() float64 { return s.Server.StolenSeconds / s.Load.Window.Seconds() }

// Results are the samples and where they were made.
type Results struct {
	Env     compare.Environment
	Options Options
	Samples []*Sample
}

// runner measures.
type runner struct {
	Options
	self    string
	env     compare.Environment
	file    string // read cold; "" until a scenario wants it
	keys    string // folder of a certificate, the same
	lines   *os.File
	results *Results
}

// Run measures all scenarios and gives what came of them, and the file of the
// raw results. When ctx ends, what there is so far is returned.
func Run(ctx context.Context, o Options) (*Results, string, error) {
	r := &runner{Options: o, env: compare.ReadEnvironment(o.Root), results: &Results{Options: o}}
	r.env.Rounds, r.env.Duration = o.Rounds, o.Window
	if o.Pin {
		r.env.ServerCPUs, r.env.GeneratorCPUs = compare.Placement(contestant.CPUs())
	}
	r.results.Env = r.env
	var err error
	if r.self, err = os.Executable(); err != nil {
		return nil, "", fmt.Errorf("contract: finding this program: %w", err)
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return nil, "", fmt.Errorf("contract: --out: %w", err)
	}
	name := filepath.Join(o.Out, "contract-"+r.env.Started.UTC().Format("20060102T150405Z")+".jsonl")
	if r.lines, err = os.Create(name); err != nil {
		return nil, "", fmt.Errorf("contract: --out: %w", err)
	}
	defer r.lines.Close()
	defer r.forgetFile()
	defer func() { _ = os.RemoveAll(r.keys) }()
	if err = r.line(r.env); err == nil {
		err = r.scenarios(ctx)
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return r.results, name, err
}

func (r *runner) scenarios(ctx context.Context) error {
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		if s.run != nil {
			if err := s.run(ctx, r, s); err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
			continue
		}
		for round := range r.Rounds {
			if err := r.round(ctx, s, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// round measures each way on each engine, another one first each time.
func (r *runner) round(ctx context.Context, s *Scenario, round int) error {
	for i := range r.Engines {
		e := r.Engines[(i+round)%len(r.Engines)]
		if err := r.ways(ctx, s, s.ways, e, round); err != nil {
			return err
		}
	}
	return r.ways(ctx, s, s.others, goNet, round)
}

func (r *runner) ways(ctx context.Context, s *Scenario, ways []way, engine string, round int) error {
	for k := range ways {
		w := &ways[(k+round)%len(ways)]
		fmt.Fprintf(r.Progress, "%s, round %d of %d: %s, %s\n", s.Name, round+1, r.Rounds, engine, w.name)
		x := &Sample{Type: "sample", Scenario: s.Name, Engine: engine, Way: w.name, Round: round}
		err := w.measure(ctx, r, x)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%s, %s, %s: %w", s.Name, engine, w.name, err)
		}
		if err := r.keep(x); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) keep(s *Sample) error {
	r.results.Samples = append(r.results.Samples, s)
	return r.line(s)
}

func (r *runner) line(v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		_, err = r.lines.Write(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("contract: keeping a result: %w", err)
	}
	return nil
}

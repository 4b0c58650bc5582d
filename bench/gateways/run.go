package gateways

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"time"

	"kring/bench/contestant"
	"kring/bench/load"
)

// Options say what to measure and how long.
type Options struct {
	Contestants []Contestant // the first is the broker itself
	Rounds      int
	Window      time.Duration // of each run
	Idle        int           // idle clients
	Steps       []string      // only these; none: all
	// Rate is, by kind, the requests per second of half load; what is missing is found out.
	Rate map[string]float64

	Out      io.Writer // JSON, one Record a line
	Progress io.Writer
}

// The steps, as Record.Step names them.
const (
	stepMax      = "max"      // a closed loop of many clients
	stepHalf     = "half"     // an open loop at half load
	stepProducer = "producer" // a producer that sends as fast as it can
	stepIdle     = "idle"     // clients that do nothing
)

// Numbers of clients: as many as a gateway's processor time is judged by, and few
// enough that at half load nobody waits for the generator.
const (
	maxClients  = 64
	halfClients = 16
)

// recordBytes is the value of a record, as a message of 1 KiB.
const recordBytes = 1024

// Record is what one step found, one line of the raw results.
type Record struct {
	Type       string `json:"type"` // "gateway"
	Round      int    `json:"round"`
	Contestant string `json:"contestant"`
	Step       string `json:"step"`
	Kind       string `json:"kind,omitempty"` // of the requests, or the size of batches

	Rate     float64 `json:"rate,omitempty"`  // requests or records a second
	Asked    float64 `json:"asked,omitempty"` // of an open loop
	P50      int64   `json:"p50_ns,omitempty"`
	P99      int64   `json:"p99_ns,omitempty"`
	PerCPU   float64 `json:"per_cpu_second,omitempty"` // requests per second of the gateway's processor time
	CPU      float64 `json:"gateway_cpu,omitempty"`    // processors that the gateway used
	Upstream int     `json:"upstream,omitempty"`       // connections to the broker
	RSSBytes int64   `json:"rss_bytes,omitempty"`
	Grown    int64   `json:"grown_bytes,omitempty"` // of resident memory, by the idle clients

	Invalid []string `json:"invalid,omitempty"`
}

// Run measures and writes every record. It returns at the first step that fails.
func Run(ctx context.Context, o Options) error {
	if len(o.Contestants) < 2 || o.Contestants[0].PID != 0 {
		return fmt.Errorf("gateways: %d contestants: the broker without a process id, and a gateway at least", len(o.Contestants))
	}
	r := &runner{Options: o, lines: json.NewEncoder(o.Out)}
	if r.Rate == nil {
		r.Rate = map[string]float64{}
	}
	if err := prepare(ctx, o.Contestants[0].Address); err != nil {
		return fmt.Errorf("gateways: %w", err)
	}
	if err := r.warmUp(); err != nil {
		return fmt.Errorf("gateways: warming up: %w", err)
	}
	for round := range o.Rounds + 1 {
		for i := range o.Contestants {
			if err := ctx.Err(); err != nil {
				return err
			}
			c := o.Contestants[(i+round)%len(o.Contestants)]
			if err := r.contestant(ctx, round, c); err != nil {
				return fmt.Errorf("gateways: %s: %w", c.Name, err)
			}
		}
		r.halve()
	}
	return nil
}

// runner is a run under way.
type runner struct {
	Options
	lines *json.Encoder
	least map[string]float64 // by kind, what the slowest carried in round zero
}

// kinds are the requests that are asked: one that writes, one that the broker answers
// from memory, and one that gateways have to change.
var kinds = []load.Kind{load.ListOffsets, load.Metadata, load.ProduceAll}

// warmUp runs every kind against everybody without writing anything down: what runs on a Java
// machine is compiled first.
func (r *runner) warmUp() error {
	for _, kind := range kinds {
		for _, c := range append(r.Contestants[:1:1], r.Contestants...) {
			if _, err := r.load(c, load.Config{Kind: kind, Conns: maxClients}, Record{}); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
		}
	}
	return nil
}

// batches are the sizes in which a producer may put records together.
var batches = []int{1 << 10, 64 << 10}

func (r *runner) contestant(ctx context.Context, round int, c Contestant) error {
	for _, kind := range kinds {
		if err := r.step(stepMax, func() error { return r.max(round, c, kind) }); err != nil {
			return err
		}
	}
	if round == 0 {
		return r.step(stepProducer, func() error { return r.producer(ctx, round, c, batches[1]) })
	}
	for _, kind := range kinds {
		if err := r.step(stepHalf, func() error { return r.half(round, c, kind) }); err != nil {
			return err
		}
	}
	for _, batch := range batches {
		if err := r.step(stepProducer, func() error { return r.producer(ctx, round, c, batch) }); err != nil {
			return err
		}
	}
	return r.step(stepIdle, func() error { return r.idle(round, c) })
}

// step runs f if its step was asked for.
func (r *runner) step(name string, f func() error) error {
	if len(r.Steps) > 0 && !slices.Contains(r.Steps, name) {
		return nil
	}
	return f()
}

// halve takes half of the least of round zero as half load, where nobody asked for a rate.
func (r *runner) halve() {
	for kind, least := range r.least {
		if r.Rate[kind] == 0 {
			r.Rate[kind] = math.Floor(least/200) * 100
			fmt.Fprintf(r.Progress, "half load of %s: %.0f/s\n", kind, r.Rate[kind])
		}
	}
	r.least = nil
}

func (r *runner) write(rec Record) error {
	rec.Type = "gateway"
	fmt.Fprintf(r.Progress, "%d %-18s %-8s %-14s %9.0f/s p50 %5d us p99 %6d us %8.0f per CPU second %v\n",
		rec.Round, rec.Contestant, rec.Step, rec.Kind, rec.Rate, rec.P50/1e3, rec.P99/1e3, rec.PerCPU, rec.Invalid)
	return r.lines.Encode(rec)
}

// load runs the generator, and reads the gateway's time at both ends of the window.
func (r *runner) load(c Contestant, cfg load.Config, rec Record) (Record, error) {
	var before, after contestant.Sample
	var fault error
	cfg.Address, cfg.Topic = c.Address, topic
	if cfg.PayloadBytes == 0 {
		cfg.PayloadBytes = recordBytes
	}
	cfg.Duration, cfg.DrainTimeout = r.Window, 10*time.Second
	cfg.Boundary = func(begin bool) {
		if c.PID == 0 {
			return
		}
		s, err := contestant.TakeSample(c.PID)
		if err != nil {
			fault = err
		}
		if begin {
			before = s
		} else {
			after = s
		}
	}
	res, err := load.Run(cfg)
	if err != nil {
		return rec, err
	}
	rec.Contestant, rec.Kind, rec.Rate, rec.Invalid = c.Name, string(cfg.Kind), res.Rate, res.Invalid
	rec.P50, rec.P99 = res.Latency.P50, res.Latency.P99
	if cpu := after.Since(before).CPUSeconds(); c.PID != 0 && cpu > 0 {
		rec.PerCPU, rec.CPU = float64(res.Completed)/cpu, cpu/res.Window.Seconds()
	}
	return rec, fault
}

func (r *runner) max(round int, c Contestant, kind load.Kind) error {
	rec, err := r.load(c, load.Config{Kind: kind, Conns: maxClients}, Record{Round: round, Step: stepMax})
	if err != nil {
		return err
	}
	if round == 0 {
		if r.least == nil {
			r.least = map[string]float64{}
		}
		if least := r.least[string(kind)]; least == 0 || rec.Rate < least {
			r.least[string(kind)] = rec.Rate
		}
	}
	return r.write(rec)
}

func (r *runner) half(round int, c Contestant, kind load.Kind) error {
	rate := r.Rate[string(kind)]
	rec, err := r.load(c, load.Config{Kind: kind, Conns: halfClients, Rate: rate}, Record{Round: round, Step: stepHalf, Asked: rate})
	if err != nil {
		return err
	}
	return r.write(rec)
}

// port is that of the broker itself.
func (r *runner) port() string {
	_, port, _ := net.SplitHostPort(r.Contestants[0].Address) // was parsed
	return port
}

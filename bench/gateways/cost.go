package gateways

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"os/exec"
	"strings"
	"time"

	"kring/bench/load"
	"kring/bench/stats"
)

// Program is a kring whose gateway is measured.
type Program struct{ Name, Path string }

// ParseProgram reads NAME=PATH.
func ParseProgram(text string) (Program, error) {
	name, path, found := strings.Cut(text, "=")
	if !found || name == "" || path == "" {
		return Program{}, fmt.Errorf("program %q: NAME=PATH of a kring is wanted", text)
	}
	return Program{name, path}, nil
}

// CostOptions say what to find out about the gateways of some programs.
type CostOptions struct {
	Broker   string // its address; it answers at once
	Programs []Program
	Modes    []string
	Flags    []string // of kring gateway, besides
	Shapes   []string // those whose name contains one of these; none: all
	Rounds   int
	Window   time.Duration // of each run
	Out      io.Writer     // JSON, one Record a line
	Progress io.Writer
}

// shape is a load whose cost is asked for.
type shape struct {
	name  string
	load  load.Config
	batch int // instead of load: a producer's
}

// shapes are small requests one at a time, of many clients and at a rate that leaves everybody
// time, and batches of 64 KiB.
var shapes = []shape{
	{name: "listoffsets 1x1", load: load.Config{Kind: load.ListOffsets, Conns: 1}},
	{name: "listoffsets 16 at 9500/s", load: load.Config{Kind: load.ListOffsets, Conns: halfClients, Rate: 9500}},
	{name: "listoffsets 64x1", load: load.Config{Kind: load.ListOffsets, Conns: maxClients}},
	{name: "metadata 64x1", load: load.Config{Kind: load.Metadata, Conns: maxClients}},
	{name: "produce-all 1 KiB 64x1", load: load.Config{Kind: load.ProduceAll, Conns: maxClients}},
	{name: "produce-all 64 KiB 4x4", load: load.Config{Kind: load.ProduceAll, PayloadBytes: 64 << 10, Conns: 4, Depth: 4}},
	{name: "producer 64 KiB", batch: 64 << 10},
}

// stepCost is Record.Step of Cost; Record.Kind is the shape's name.
const stepCost = "cost"

// Cost starts the gateways in front of a broker that answers at once, one for each program and
// mode, and measures each and the broker itself in turn.
func Cost(ctx context.Context, o CostOptions) error {
	r := &runner{Options: Options{Window: o.Window, Out: o.Out, Progress: o.Progress}, lines: json.NewEncoder(o.Out)}
	r.Contestants = []Contestant{{Name: "direct", Address: o.Broker}}
	for _, program := range o.Programs {
		for _, mode := range o.Modes {
			c, end, err := startGateway(ctx, o, program, mode)
			if err != nil {
				return err
			}
			defer end()
			r.Contestants = append(r.Contestants, c)
		}
	}
	for round := range o.Rounds + 1 { // round 0 warms up
		for _, s := range shapes {
			if !s.named(o.Shapes) {
				continue
			}
			for i := range r.Contestants {
				if err := ctx.Err(); err != nil {
					return err
				}
				c := r.Contestants[(i+round)%len(r.Contestants)]
				if err := r.cost(ctx, round, c, s); err != nil {
					return fmt.Errorf("gateways: %s: %s: %w", c.Name, s.name, err)
				}
			}
		}
	}
	return nil
}

func (s shape) named(parts []string) bool {
	for _, part := range parts {
		if strings.Contains(s.name, part) {
			return true
		}
	}
	return len(parts) == 0
}

func (r *runner) cost(ctx context.Context, round int, c Contestant, s shape) error {
	if s.batch > 0 {
		return r.producer(ctx, round, c, s.batch)
	}
	rec, err := r.load(c, s.load, Record{Round: round, Step: stepCost})
	if err != nil {
		return err
	}
	rec.Kind = s.name
	return r.write(rec)
}

// gatewayStartMax is how long a gateway may take until it answers.
const gatewayStartMax = 30 * time.Second

// startGateway starts one; end ends it. The broker's node id is 0.
func startGateway(ctx context.Context, o CostOptions, p Program, mode string) (c Contestant, end func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return c, nil, err
	}
	at := l.Addr().String()
	_, port, _ := net.SplitHostPort(at)
	_ = l.Close() // kring needs a port whose number is known
	args := append([]string{"gateway", "--upstream", o.Broker, "--upstream-mode", mode, "--listen", "127.0.0.1:0", "--node-ports", port + "-" + port}, o.Flags...)
	cmd := exec.CommandContext(ctx, p.Path, args...)
	cmd.Stderr = o.Progress
	if err := cmd.Start(); err != nil {
		return c, nil, fmt.Errorf("gateways: %s: %w", p.Name, err)
	}
	end = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // how it ended is no matter
	}
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		conn, err := greet(at)
		if err == nil {
			_ = conn.Close()
			return Contestant{p.Name + "-" + mode, at, cmd.Process.Pid}, end, nil
		}
		if ctx.Err() != nil || time.Since(begun) > gatewayStartMax {
			end()
			return c, nil, fmt.Errorf("gateways: %s does not answer: %w", p.Name, err)
		}
	}
}

// CostTable is what Cost found, in Markdown: a row for each load, a column for each contestant.
func (s *Results) CostTable() string {
	s.order([]string{"direct"})
	var b strings.Builder
	fmt.Fprintf(&b, "| median of %d rounds | %s |\n|---|%s\n", s.rounds(), strings.Join(s.names, " | "), strings.Repeat("---|", len(s.names)))
	row := func(title, step, kind string, f figure) {
		fmt.Fprintf(&b, "| %s: %s |", title, f.name)
		for _, name := range s.names {
			fmt.Fprintf(&b, " %s |", spread(f.format, stats.Of(values(s.find(name, step, kind, f.of)))))
		}
		b.WriteByte('\n')
	}
	for _, kind := range s.kindsOf(stepCost) {
		for _, f := range costFigures {
			row(kind, stepCost, kind, f)
		}
	}
	for _, kind := range s.kindsOf(stepProducer) {
		for _, f := range costFigures[latencies:] {
			row("producer, batches of "+kind, stepProducer, kind, f)
		}
	}
	return b.String()
}

// figure is one of a run.
type figure struct {
	name, format string
	of           func(Record) float64
}

// costFigures are what Cost is asked for. The first are latencies, which a producer has not.
var costFigures = []figure{
	{"p50, µs", "%.1f", func(r Record) float64 { return float64(r.P50) / 1e3 }},
	{"p99, µs", "%.0f", func(r Record) float64 { return float64(r.P99) / 1e3 }},
	{"each s", "%.0f", func(r Record) float64 { return r.Rate }},
	{"CPU, µs", "%.2f", cpuOf},
}

const latencies = 2

// cpuOf is what a request took of a processor, in microseconds; NaN where nobody knows.
func cpuOf(r Record) float64 {
	if r.PerCPU == 0 {
		return math.NaN()
	}
	return 1e6 / r.PerCPU
}

package main

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"kring/bench/compare"
	"kring/bench/contestant"
	"kring/bench/gateways"
)

// gatewaysCmd compares gateways that scripts/gateway-compare.sh started.
type gatewaysCmd struct {
	Contestants []string           `arg:"" help:"NAME=HOST:PORT of the broker, then NAME=HOST:PORT/PID of each gateway in front of it: the address at which its clients reach the broker that leads every topic."`
	Rounds      int                `default:"2" help:"Rounds behind the one that warms up."`
	Window      time.Duration      `default:"1500ms" help:"Measured time of each run."`
	Idle        int                `default:"1000" help:"Clients that do nothing."`
	Steps       []string           `default:"max,half,producer,idle" enum:"max,half,producer,idle" help:"Only these of ${enum}. half needs max, or --rate."`
	Rate        map[string]float64 `help:"KIND=N: requests a second at half load. Default: half of what the slowest contestant carries."`
	About       map[string]string  `help:"NAME=TEXT: the version of a contestant, kept with the results."`
	Out         string             `required:"" help:"File for the raw results, JSON lines."`
}

func (c *gatewaysCmd) Run() error {
	o := gateways.Options{Rounds: c.Rounds, Window: c.Window, Idle: c.Idle, Steps: c.Steps, Rate: c.Rate, Progress: os.Stderr}
	for _, text := range c.Contestants {
		one, err := gateways.ParseContestant(text)
		if err != nil {
			return err
		}
		o.Contestants = append(o.Contestants, one)
	}
	out, err := os.Create(c.Out)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	defer out.Close()
	e := compare.ReadEnvironment(contestant.FindRoot())
	for name, text := range c.About {
		e.About[name] = text
	}
	if err := json.NewEncoder(out).Encode(e); err != nil {
		return err
	}
	o.Out = out
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := gateways.Run(ctx, o); err != nil {
		return err
	}
	return out.Close()
}

// gatewaysTableCmd writes the table of docs/gateway.md.
type gatewaysTableCmd struct {
	Results []string `arg:"" type:"existingfile" help:"Raw results of gateways, .jsonl or .jsonl.gz; those of several runs are joined."`
	Order   string   `default:"direct" help:"Contestants in the order of the columns, separated by commas; the first is what the others stand beside."`
}

func (c *gatewaysTableCmd) Run() error {
	var all gateways.Results
	for _, name := range c.Results {
		if err := readInto(&all, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	fmt.Print(all.Table(strings.Split(c.Order, ",")))
	return nil
}

func readInto(all *gateways.Results, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return err
		}
	}
	return all.Read(r)
}

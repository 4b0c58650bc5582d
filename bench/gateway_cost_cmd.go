package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"kring/bench/contestant"
	"kring/bench/gateways"
)

// gatewayCostCmd measures gateways without anybody else's program: the broker is kring's null
// handler, inline.
type gatewayCostCmd struct {
	Programs []string      `arg:"" help:"NAME=PATH of a kring; those of several builds are measured in turn."`
	Modes    []string      `default:"multiplexed,dedicated" help:"--upstream-mode of the gateways."`
	Flags    []string      `help:"Flags of kring gateway besides."`
	Shapes   []string      `help:"Only the loads whose name contains one of these."`
	Rounds   int           `default:"5" help:"Rounds behind the one that warms up."`
	Window   time.Duration `default:"700ms" help:"Measured time of each run."`
	Out      string        `help:"File for the raw results, JSON lines. Default: none is kept."`
}

func (c *gatewayCostCmd) Run() error {
	o := gateways.CostOptions{Modes: c.Modes, Flags: c.Flags, Shapes: c.Shapes, Rounds: c.Rounds, Window: c.Window, Progress: os.Stderr}
	for _, text := range c.Programs {
		p, err := gateways.ParseProgram(text)
		if err != nil {
			return err
		}
		o.Programs = append(o.Programs, p)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	broker, err := contestant.StartProcess("the broker", []string{self, "serve", "--server", "kring", "--kafka", "--dispatch", "inline", "--wait", "auto"}, nil)
	if err != nil {
		return err
	}
	defer broker.Stop()
	o.Broker = broker.Addr
	out, err := c.file()
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	defer out.Close()
	o.Out = out
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := gateways.Cost(ctx, o); err != nil {
		return err
	}
	if _, err := out.Seek(0, 0); err != nil {
		return err
	}
	var all gateways.Results
	if err := all.Read(out); err != nil {
		return err
	}
	fmt.Print(all.CostTable())
	return nil
}

// file is where the raw results go; one that nobody asked for has no name.
func (c *gatewayCostCmd) file() (*os.File, error) {
	if c.Out != "" {
		return os.Create(c.Out)
	}
	f, err := os.CreateTemp("", "kring-gateway-cost-*")
	if err == nil {
		err = os.Remove(f.Name())
	}
	return f, err
}

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"kring/bench/compare"
	"kring/bench/contestant"
)

// selfCmd measures the generator.
type selfCmd struct {
	Scenario []string `help:"Scenarios; patterns (see list). Default: the usual ones that are closed loops."`
	Servers  []string `default:"c-uring,c-epoll" help:"Servers that it loads; patterns (see list)."`
	Rounds   int      `default:"2" help:"Rounds."`
}

func (c *selfCmd) Run() error {
	root := contestant.FindRoot()
	o := compare.Options{
		Root: root, Rounds: c.Rounds, WarmUp: 150 * time.Millisecond, Duration: 500 * time.Millisecond, Pin: true, Named: true, Progress: os.Stderr,
	}
	var err error
	if o.Contestants, err = contestant.Select(contestant.All(), c.Servers); err != nil {
		return err
	}
	o.Base = o.Contestants[0].Name
	if o.Scenarios, err = c.scenarios(); err != nil {
		return err
	}
	if o.Out, err = os.MkdirTemp("", "kring-self-"); err != nil {
		return fmt.Errorf("self: %w", err)
	}
	defer os.RemoveAll(o.Out)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	res, _, err := compare.Run(ctx, o)
	if err != nil {
		return fmt.Errorf("%w (the C floors need a compiler; --servers go-net needs none)", err)
	}
	fmt.Print(compare.CeilingTable(res))
	return nil
}

func (c *selfCmd) scenarios() ([]compare.Scenario, error) {
	if len(c.Scenario) > 0 {
		return compare.SelectScenarios(compare.Scenarios(), c.Scenario)
	}
	var usual []compare.Scenario
	for _, s := range compare.Scenarios() {
		if s.Usual && s.Open == "" {
			usual = append(usual, s)
		}
	}
	return usual, nil
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"kring/bench/compare"
	"kring/bench/contestant"
)

// ablateCmd switches one technique at a time.
type ablateCmd struct {
	Quick    bool          `help:"Shorter and fewer runs, for a first look."`
	Scenario []string      `default:"64x1,1000x1,64x16,16x1-64k" help:"Scenarios to run; patterns (see list)."`
	Dispatch []string      `default:"inline,pool" enum:"inline,pool" help:"Where the handler runs."`
	Only     []string      `help:"Techniques to switch; patterns of their names, such as '*receive*'."`
	Rounds   int           `help:"Rounds; fewer than ${conclusion} support no conclusion. Default 5."`
	Duration time.Duration `help:"Measured time of each run. Default 450ms, quick 200ms."`
	Out      string        `help:"Folder for the raw results and the reports. Default bench/results."`
}

func (c *ablateCmd) Run() error {
	root := contestant.FindRoot()
	o := compare.Options{
		Root: root, Rounds: 5, WarmUp: 150 * time.Millisecond, Duration: 450 * time.Millisecond, Pin: true,
		Out: filepath.Join(root, "bench", "results"), Progress: os.Stderr,
		Base: contestant.Unablated(c.Dispatch[0]), Against: map[string]string{},
	}
	if c.Quick {
		o.WarmUp, o.Duration = 100*time.Millisecond, 200*time.Millisecond
	}
	if c.Rounds > 0 {
		o.Rounds = c.Rounds
	}
	if c.Duration > 0 {
		o.Duration = c.Duration
	}
	if c.Out != "" {
		o.Out = c.Out
	}
	var err error
	if o.Scenarios, err = compare.SelectScenarios(compare.Scenarios(), c.Scenario); err != nil {
		return err
	}
	for _, d := range c.Dispatch {
		if err := c.add(&o, d); err != nil {
			return err
		}
	}
	return measure(o)
}

// add puts the base of a dispatch and its ablations into o.
func (c *ablateCmd) add(o *compare.Options, dispatch string) error {
	base := contestant.Unablated(dispatch)
	bases, err := contestant.Select(contestant.All(), []string{base})
	if err != nil {
		return err
	}
	o.Contestants = append(o.Contestants, bases...)
	found := 0
	for _, a := range contestant.Ablations() {
		if a.Dispatch != "" && a.Dispatch != dispatch || !c.wanted(a.Name()) {
			continue
		}
		x, err := a.Contestant(dispatch)
		if err != nil {
			return fmt.Errorf("%s: %w", a.Name(), err)
		}
		found++
		o.Contestants = append(o.Contestants, x)
		o.Against[x.Name] = base
	}
	if found == 0 {
		return fmt.Errorf("--only %q names no technique: see the report of a run without it for their names", c.Only)
	}
	return nil
}

func (c *ablateCmd) wanted(name string) bool {
	if len(c.Only) == 0 {
		return true
	}
	for _, p := range c.Only {
		if ok, _ := filepath.Match(p, name); ok {
			return true
		}
	}
	return false
}

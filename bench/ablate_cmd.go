package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kring/bench/compare"
	"kring/bench/contestant"
)

// ablateCmd switches one technique at a time.
type ablateCmd struct {
	Quick    bool          `help:"Shorter and fewer runs, for a first look."`
	Scenario []string      `default:"64x1,1000x1,64x16,16x1-64k" help:"Scenarios to run; patterns (see list)."`
	Dispatch []string      `default:"inline,pool" enum:"inline,pool" help:"Where the handler runs."`
	Only     []string      `help:"Techniques to switch: keys of settings, such as defer-taskrun, or patterns of keys and names (see list). KEY=VALUE is any setting of the engine."`
	Rounds   int           `help:"Rounds; fewer than ${conclusion} support no conclusion. Default 5."`
	Duration time.Duration `help:"Measured time of each run. Default 450ms, quick 200ms."`
	Out      string        `help:"Folder for the raw results and the reports. Default bench/results."`
}

func (c *ablateCmd) Run() error {
	root := contestant.FindRoot()
	o := compare.Options{
		Root: root, Rounds: 5, WarmUp: 150 * time.Millisecond, Duration: 450 * time.Millisecond, Pin: true, Named: true,
		Out: filepath.Join(root, "bench", "results"), Progress: os.Stderr,
		Against: map[string]string{},
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
	if err := c.choose(&o); err != nil {
		return err
	}
	return measure(o)
}

// choose puts the techniques into o, each behind what it is held against.
func (c *ablateCmd) choose(o *compare.Options) error {
	chosen, err := contestant.SelectAblations(c.Only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	var refused error
	for _, d := range c.Dispatch {
		if err := add(o, chosen, d); err != nil {
			refused = fmt.Errorf("--only %s with --dispatch %s: %w", strings.Join(c.Only, ","), d, err)
		}
	}
	if len(o.Against) > 0 {
		return nil
	}
	if refused == nil {
		refused = fmt.Errorf("--only %s means nothing with --dispatch %s: leave --dispatch out", strings.Join(c.Only, ","), strings.Join(c.Dispatch, ","))
	}
	return refused
}

// add puts the base of a dispatch and its ablations into o; who does not go with the
// dispatch is left out, and an error when nobody does.
func add(o *compare.Options, chosen []contestant.Ablation, dispatch string) error {
	base := contestant.Unablated(dispatch)
	bases, err := contestant.Select(contestant.All(), []string{base})
	if err != nil {
		return err
	}
	var list []*contestant.Contestant
	for _, a := range chosen {
		if a.Dispatch != "" && a.Dispatch != dispatch {
			continue
		}
		x, bad := a.Contestant(dispatch)
		if bad != nil {
			err = bad
			continue
		}
		list = append(list, x)
		o.Against[x.Name] = base
	}
	if len(list) == 0 {
		return err
	}
	o.Base = cmp.Or(o.Base, base)
	o.Contestants = append(append(o.Contestants, bases...), list...)
	return nil
}

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"kring/bench/compare"
	"kring/bench/contestant"
	"kring/bench/stats"
)

// runCmd is the comparison. With no flags it is the canonical one.
type runCmd struct {
	Quick       bool          `help:"The short comparison, under a minute: fewer scenarios and contestants, shorter runs."`
	Scenario    []string      `help:"Scenarios to run; patterns (see list). Default: the usual ones."`
	Recording   string        `placeholder:"FILE" help:"Play a recording (kring serve --record) as a scenario, against contestants that speak Kafka. Without --scenario it is the only one."`
	Speed       string        `default:"1x" help:"How fast: 1x as it was recorded, 2x twice as fast; max: each connection sends its next request when the last one is answered."`
	Contestants []string      `help:"Contestants that take part; patterns (see list). Default: the usual ones."`
	Base        string        `default:"go-net" help:"The contestant that ratios are against."`
	Rounds      int           `help:"Rounds; fewer than ${conclusion} support no conclusion. Default 6, quick 5."`
	WarmUp      time.Duration `help:"Warm-up of each run. Default 150ms, quick 100ms."`
	Duration    time.Duration `help:"Measured time of each run. Default 500ms, quick 250ms."`
	Syscalls    *bool         `negatable:"" help:"Count system calls in a pass of their own. Default yes, quick no."`
	Pin         bool          `default:"true" negatable:"" help:"Pin server and generator to processors of their own."`
	Out         string        `help:"Folder for the raw results and the report. Default bench/results."`
}

func (c *runCmd) Run() error {
	o, err := c.options()
	if err != nil {
		return err
	}
	return measure(o)
}

// measure runs a comparison and writes its reports.
func measure(o compare.Options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	begun := time.Now()
	res, base, err := compare.Run(ctx, o)
	if err != nil {
		return err
	}
	text, err := writeReports(res, base)
	if err != nil {
		return err
	}
	fmt.Print(text)
	fmt.Fprintf(os.Stderr, "\n%v; report and raw results: %s.{html,md,jsonl,hlog}\n", time.Since(begun).Round(time.Second), base)
	if open := res.Undecided(); open != "" {
		fmt.Fprintln(os.Stderr, open)
	}
	for _, s := range res.AblationSentences() {
		fmt.Fprintln(os.Stderr, s)
	}
	return nil
}

func (c *runCmd) options() (compare.Options, error) {
	root := contestant.FindRoot()
	o := compare.Options{
		Root: root, Base: c.Base, Rounds: c.Rounds, WarmUp: c.WarmUp, Duration: c.Duration,
		Syscalls: !c.Quick, Pin: c.Pin, Out: c.Out, Progress: os.Stderr,
	}
	if o.Out == "" {
		o.Out = filepath.Join(root, "bench", "results")
	}
	if c.Syscalls != nil {
		o.Syscalls = *c.Syscalls
	}
	rounds, warmUp, duration := 6, 150*time.Millisecond, 500*time.Millisecond
	if c.Quick {
		rounds, warmUp, duration = 5, 100*time.Millisecond, 250*time.Millisecond
	}
	o.Rounds, o.WarmUp, o.Duration = cmp.Or(o.Rounds, rounds), cmp.Or(o.WarmUp, warmUp), cmp.Or(o.Duration, duration)
	return o, c.choose(&o)
}

// choose picks scenarios and contestants.
func (c *runCmd) choose(o *compare.Options) (err error) {
	for _, s := range compare.Scenarios() {
		if s.Usual && (!c.Quick || s.Quick) {
			o.Scenarios = append(o.Scenarios, s)
		}
	}
	if len(c.Scenario) > 0 {
		if o.Scenarios, err = compare.SelectScenarios(compare.Scenarios(), c.Scenario); err != nil {
			return err
		}
	}
	if c.Recording != "" {
		played, err := c.played()
		if err != nil {
			return err
		}
		if len(c.Scenario) == 0 {
			o.Scenarios = nil
		}
		o.Scenarios = append(o.Scenarios, played)
	}
	all := contestant.All()
	secured := slices.ContainsFunc(o.Scenarios, func(s compare.Scenario) bool { return s.TLS })
	for _, x := range all {
		if x.Usual && (!c.Quick || x.Quick) && (secured || !x.TLSOnly) {
			o.Contestants = append(o.Contestants, x)
		}
	}
	if o.Named = len(c.Contestants) > 0; o.Named {
		if o.Contestants, err = contestant.Select(all, c.Contestants); err != nil {
			return err
		}
	}
	for _, x := range o.Contestants {
		if x.Name == c.Base {
			return nil
		}
	}
	return fmt.Errorf("--base %s does not take part: name it in --contestants too, or choose another base", c.Base)
}

// played is the scenario of --recording.
func (c *runCmd) played() (compare.Scenario, error) {
	speed, err := strconv.ParseFloat(strings.TrimSuffix(c.Speed, "x"), 64)
	if c.Speed == "max" {
		speed, err = 0, nil
	} else if err != nil || !(speed > 0 && speed <= 1000) {
		return compare.Scenario{}, fmt.Errorf("--speed %q: give a factor up to 1000, such as 1x or 0.5x, or max", c.Speed)
	}
	s, err := compare.Played(c.Recording, speed)
	if err != nil {
		return s, fmt.Errorf("--recording: %w", err)
	}
	return s, nil
}

// listCmd says what there is.
type listCmd struct{}

func (listCmd) Run() error {
	mark := func(usual, quick bool) string {
		return strings.TrimSuffix(map[bool]string{true: "usual, "}[usual]+map[bool]string{true: "quick, "}[usual && quick], ", ")
	}
	fmt.Println("Scenarios:")
	for _, s := range compare.Scenarios() {
		fmt.Printf("  %-14s %-13s %s\n", s.Name, mark(s.Usual, s.Quick), s.About)
	}
	site, err := contestant.NewSite(contestant.FindRoot(), nil)
	if err != nil {
		return err
	}
	defer site.Close()
	fmt.Println("Contestants:")
	for _, c := range contestant.All() {
		about := c.About
		if err := c.Prepare(site); err != nil {
			about = "ABSENT: " + err.Error()
		}
		fmt.Printf("  %-26s %-13s %s\n", c.Name, mark(c.Usual, c.Quick), about)
	}
	fmt.Println("Techniques (ablate --only KEY):")
	for _, a := range contestant.Ablations() {
		fmt.Printf("  %-26s %-13s %s (%s)\n", a.Key(), cmp.Or(a.Dispatch, "inline, pool"), a.Name(), strings.Join(a.Settings(), ", "))
	}
	return nil
}

// conclusionRounds is for the help text.
var conclusionRounds = fmt.Sprint(stats.ConclusionRounds)

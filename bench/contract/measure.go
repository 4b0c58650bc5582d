package contract

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"kring/bench/compare"
	"kring/bench/contestant"
	"kring/bench/load"
)

// setup is what one way needs.
type setup struct {
	server []string    // its arguments, behind this program's name
	load   load.Config // but for the address
	// beside is who disturbs; nil: nobody. It is told to "go" when the window
	// begins, or, if early, before the generator starts.
	beside func(address string) []string
	early  bool
	// secure is the address of the listener behind TLS, if there is one; measure finds it, and
	// who disturbs is told that one.
	secure string
	// whole: the window lasts until "go" is answered.
	whole bool
}

// goLimit bounds what a companion may take for what it is told.
const goLimit = 30 * time.Second

// measure takes one sample.
func (r *runner) measure(ctx context.Context, x *Sample, s setup) error {
	server, err := contestant.StartProcess(x.Engine, append([]string{r.self}, s.server...), r.env.ServerCPUs)
	if err != nil {
		return err
	}
	defer server.Stop()
	var before contestant.Sample
	g := compare.Generator{Self: r.self, CPUs: r.env.GeneratorCPUs, Begin: func() (err error) {
		before, err = contestant.TakeSample(server.PID())
		return err
	}, End: func() error {
		after, err := contestant.TakeSample(server.PID())
		x.Server, x.Own = after.Since(before), server.Own()
		return err
	}}
	s.load.Address, s.load.DrainTimeout = server.Addr, r.Drain
	if plain, secure, both := strings.Cut(server.Addr, ","); both {
		s.load.Address, s.secure = plain, secure
	}
	s.load.Realtime = len(r.env.GeneratorCPUs) > 0 // else nobody else would run
	if s.beside == nil {
		x.Load, err = g.Run(ctx, s.load)
	} else {
		err = r.accompanied(ctx, x, s, &g)
	}
	if err == nil {
		x.judge()
	}
	return err
}

// accompanied measures beside a companion.
func (r *runner) accompanied(ctx context.Context, x *Sample, s setup, g *compare.Generator) error {
	argv := append([]string{r.self}, s.beside(cmp.Or(s.secure, s.load.Address))...)
	argv = append(argv, "--give-way="+strconv.FormatBool(r.GiveWay))
	companion, err := contestant.StartProcess("companion", argv, r.env.GeneratorCPUs)
	if err != nil {
		return err
	}
	defer companion.Stop()
	if s.early {
		if _, err := companion.Ask("go", goLimit); err != nil {
			return err
		}
		if x.Load, err = g.Run(ctx, s.load); err != nil {
			return err
		}
		x.Beside, err = companion.Ask("over", goLimit)
		return err
	}
	var went error
	gone, cut := make(chan struct{}), make(chan struct{})
	if s.whole {
		g.Cut = cut
	}
	begin := g.Begin
	g.Begin = func() error {
		go func() {
			defer close(gone)
			x.Beside, went = companion.Ask("go", goLimit)
			close(cut)
		}()
		return begin()
	}
	if x.Load, err = g.Run(ctx, s.load); err != nil {
		return err
	}
	<-gone
	return went
}

// judge says whether the sample counts. A rate that was not reached is no
// reason: its latencies count from when requests should have left.
func (x *Sample) judge() {
	bad := func(format string, args ...any) { x.Invalid = append(x.Invalid, fmt.Sprintf(format, args...)) }
	if n := x.Load.Errors.Count(); n > 0 {
		bad("%d errors, the first: %s", n, x.Load.Errors.First)
	}
	if x.Load.GeneratorCPU > load.BusyMax {
		bad("the generator was busy %.0f %% of a core", x.Load.GeneratorCPU*100)
	}
	if n := x.Beside["failed"]; n > 0 {
		bad("%.0f of what disturbed failed", n)
	}
	if x.Load.Completed == 0 {
		bad("nothing was answered inside the window")
	}
}

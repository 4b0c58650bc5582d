package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"kring/bench/contestant"
	"kring/bench/load"
)

// Options of a comparison.
type Options struct {
	Root        string // the module's folder, "" when unknown
	Scenarios   []Scenario
	Contestants []*contestant.Contestant
	Base        string // contestant that ratios are against
	// Against are the contestants whose ratios are against another one.
	Against  map[string]string
	Rounds   int
	WarmUp   time.Duration
	Duration time.Duration
	Syscalls bool // a pass that counts system calls
	Pin      bool
	Out      string
	Progress io.Writer
}

// Run compares. A contestant that is absent or fails is left out and named;
// the comparison goes on. When ctx ends, what was measured so far is returned.
func Run(ctx context.Context, o Options) (*Results, string, error) {
	env := ReadEnvironment(o.Root)
	env.Rounds, env.WarmUp, env.Duration, env.Scenarios, env.Base = o.Rounds, o.WarmUp, o.Duration, o.Scenarios, o.Base
	env.Against = o.Against
	if o.Pin {
		env.ServerCPUs, env.GeneratorCPUs = Placement(contestant.CPUs())
	}
	site, err := contestant.NewSite(o.Root, env.ServerCPUs)
	if err != nil {
		return nil, "", err
	}
	defer site.Close()
	r := &runner{Options: o, site: site, env: &env, progress: newProgress(o.Progress), results: &Results{}}
	r.prepare()
	if len(r.present) == 0 {
		return nil, "", errors.New("compare: no contestant can run here")
	}
	if r.store, err = openStore(o.Out, &env); err != nil {
		return nil, "", err
	}
	defer r.store.close()
	for i := range o.Scenarios {
		if err = r.scenario(ctx, &o.Scenarios[i]); err != nil {
			break
		}
	}
	r.progress.end()
	r.results.Env = env
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return r.results, r.store.base, err
}

// Placement puts the server on the first processor and the generator on up to
// three others that are no siblings of it; with one processor, nothing is
// pinned.
func Placement(cpus []int) (server, generator []int) {
	if len(cpus) < 2 {
		return nil, nil
	}
	for _, c := range cpus[1:] {
		if len(generator) < 3 && !contestant.Siblings(cpus[0], c) {
			generator = append(generator, c)
		}
	}
	if len(generator) == 0 {
		generator = cpus[1:2]
	}
	return cpus[:1], generator
}

type runner struct {
	Options
	site     *contestant.Site
	env      *Environment
	store    *store
	progress *progress
	results  *Results
	present  []*contestant.Contestant
	failed   map[string]int // runs that could not be made, by contestant
	capacity map[capacityOf]float64
}

// capacityOf is what a contestant's capacity depends on.
type capacityOf struct {
	contestant     string
	kind           load.Kind
	conns, payload int
}

// prepare builds the contestants and sorts out those that lack something.
func (r *runner) prepare() {
	r.failed, r.capacity = map[string]int{}, map[capacityOf]float64{}
	for _, c := range r.Contestants {
		r.progress.say("building " + c.Name)
		if err := c.Prepare(r.site); err != nil {
			r.env.Absent[c.Name] = err.Error()
			continue
		}
		r.present = append(r.present, c)
		r.env.About[c.Name], r.env.URing[c.Name], r.env.Ours[c.Name] = c.About, c.URing, c.Ours
		r.env.Order = append(r.env.Order, c.Name)
	}
	r.progress.total = 0
	for i := range r.Scenarios {
		n := len(r.fit(&r.Scenarios[i]))
		passes := r.Scenarios[i].rounds(r.Rounds)
		if r.Syscalls && r.Scenarios[i].Curve == "" {
			passes++
		}
		if r.Scenarios[i].Open != "" {
			passes++
		}
		r.progress.total += n * passes
	}
}

// fit are the contestants that can serve the scenario. A curve is drawn for
// those of the short comparison, and for those that were asked for by name.
func (r *runner) fit(s *Scenario) []*contestant.Contestant {
	var fit []*contestant.Contestant
	for _, c := range r.present {
		if s.isKafka() && !c.Kafka || !s.isKafka() && c.KafkaOnly || s.Curve != "" && c.Usual && !c.Quick {
			continue
		}
		fit = append(fit, c)
	}
	return fit
}

// scenario alternates the contestants. Each round begins with another one, so
// that none always follows the same one.
func (r *runner) scenario(ctx context.Context, s *Scenario) error {
	fit := r.fit(s)
	rates := map[string]float64{}
	if s.Open != "" {
		if err := r.findRates(ctx, s, fit, rates); err != nil {
			return err
		}
	}
	for round := range s.rounds(r.Rounds) {
		for i := range fit {
			c := fit[(i+round)%len(fit)]
			if err := r.one(ctx, s, c, round, Measure, rates[c.Name]); err != nil {
				return err
			}
		}
	}
	if !r.Syscalls || s.Curve != "" {
		return nil
	}
	for _, c := range fit {
		if err := r.one(ctx, s, c, 0, Syscalls, rates[c.Name]); err != nil {
			return err
		}
	}
	return nil
}

// findRates measures each capacity in a closed loop deep enough to reach it,
// once for all scenarios of the same shape.
func (r *runner) findRates(ctx context.Context, s *Scenario, fit []*contestant.Contestant, rates map[string]float64) error {
	closed := *s
	closed.Open, closed.Depth = "", 4
	slowest := 0.0
	for _, c := range fit {
		of := capacityOf{c.Name, s.Kind, s.Conns, s.Payload}
		for range capacityTries {
			if r.capacity[of] > 0 {
				break
			}
			if err := r.one(ctx, &closed, c, 0, Capacity, 0); err != nil {
				return err
			}
			if last := r.results.Records[len(r.results.Records)-1]; last.Contestant == c.Name && last.Load != nil {
				r.capacity[of] = last.Load.Rate
			}
		}
		if r.capacity[of] == 0 {
			continue // it failed, and has no rate
		}
		rates[c.Name] = r.capacity[of] * cmp.Or(s.Share, openShare)
		if slowest == 0 || rates[c.Name] < slowest {
			slowest = rates[c.Name]
		}
	}
	if s.Open == OfSlowest {
		for name := range rates {
			rates[name] = slowest
		}
	}
	return nil
}

// capacityTries: on a machine that is busy with something else the window may
// be empty.
const capacityTries = 3

// failuresMax is how often a contestant may fail to run before it is left out.
const failuresMax = 3

// one makes one run and keeps its record; only an end of the comparison is an
// error.
func (r *runner) one(ctx context.Context, s *Scenario, c *contestant.Contestant, round int, pass Pass, rate float64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.progress.step(fmt.Sprintf("%s round %d/%d %s", s.Name, round+1, r.Rounds, c.Name))
	if r.failed[c.Name] >= failuresMax {
		return nil
	}
	rec := &Record{Type: "run", Scenario: s.Name, Contestant: c.Name, Round: round, Pass: pass}
	m := &measurement{runner: r, scenario: s, contestant: c, record: rec}
	err := errors.New("its capacity could not be measured")
	if s.Open == "" || rate > 0 {
		err = m.run(ctx, load.Config{
			Kind: s.Kind, PayloadBytes: payload(s.Payload), Conns: s.Conns, Depth: s.Depth, IdleConns: s.Idle,
			Rate: rate, WarmUp: max(r.WarmUp, c.WarmUp), Duration: r.Duration, Threads: min(max(1, len(r.env.GeneratorCPUs)), s.Conns),
		})
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		rec.Invalid = []string{err.Error()}
		if r.failed[c.Name]++; r.failed[c.Name] == failuresMax {
			r.progress.note(fmt.Sprintf("%s failed %d times and is left out: %v", c.Name, failuresMax, err))
		}
	}
	r.results.Records = append(r.results.Records, rec)
	return r.store.add(rec)
}

// payload is 0 bytes in load.Config's words.
func payload(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// progress is one line that changes on a terminal, a few lines elsewhere.
type progress struct {
	w           io.Writer
	terminal    bool
	begun       time.Time
	done, total int
	said        time.Time
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, begun: time.Now()}
	if f, ok := w.(*os.File); ok {
		if st, err := f.Stat(); err == nil {
			p.terminal = st.Mode()&os.ModeCharDevice != 0
		}
	}
	return p
}

// sayEvery is how often a line goes to what is no terminal.
const sayEvery = 10 * time.Second

func (p *progress) say(text string) {
	if p.w == nil {
		return
	}
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
	} else if time.Since(p.said) > sayEvery {
		p.said = time.Now()
		fmt.Fprintln(p.w, text)
	}
}

// step says what begins now.
func (p *progress) step(text string) {
	if p.done == 0 {
		p.begun = time.Now()
	}
	left := ""
	if p.done > 0 {
		each := time.Since(p.begun) / time.Duration(p.done)
		left = ", " + elapsed(each*time.Duration(p.total-p.done)) + " left"
	}
	p.done++
	p.say(fmt.Sprintf("[%d/%d%s] %s", p.done, p.total, left, text))
}

// note says something that stays.
func (p *progress) note(text string) {
	if p.w == nil {
		return
	}
	p.end()
	fmt.Fprintln(p.w, text)
}

func (p *progress) end() {
	if p.w != nil && p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

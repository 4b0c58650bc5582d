package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"kring/bench/contestant"
	"kring/bench/load"
)

// Options of a comparison.
type Options struct {
	Root        string // the module's folder, "" when unknown
	Scenarios   []Scenario
	Contestants []*contestant.Contestant
	Named       bool   // the contestants were asked for by name: no scenario leaves one out for being Few
	Base        string // contestant that ratios are against
	// Against are the contestants whose ratios are against another one.
	Against  map[string]string
	Rounds   int
	WarmUp   time.Duration
	Duration time.Duration
	Drain    time.Duration // in which answers may come after the window; 0: the generator's own
	Syscalls bool          // a pass that counts system calls
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
	for _, g := range groups(o.Scenarios) {
		if err = r.group(ctx, g); err != nil {
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
	capacity map[capacityOf][]float64
	kept     map[string]*contestant.Process // those that were warmed up for long, by contestant
}

// turn is one contestant's in one scenario.
type turn struct {
	s *Scenario
	c *contestant.Contestant
}

// prepare builds the contestants and sorts out those that lack something.
func (r *runner) prepare() {
	r.failed, r.capacity, r.kept = map[string]int{}, map[capacityOf][]float64{}, map[string]*contestant.Process{}
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
	r.progress.begin(r.forecast())
}

// forecast is how many runs there will be, and what they should take.
func (r *runner) forecast() (runs int, all time.Duration) {
	measured := map[capacityOf]bool{}
	for _, g := range groups(r.Scenarios) {
		warm := map[string]bool{}
		count := func(t turn, times int) {
			runs += times
			all += time.Duration(times) * r.takes(t)
			if t.c.WarmUp > 0 && !warm[t.c.Name] {
				warm[t.c.Name] = true
				all += 2 * t.c.WarmUp // and its start
			}
		}
		for _, t := range r.openTurns(g) {
			if of := t.capacityOf(); !measured[of] {
				measured[of] = true
				count(t, capacityRounds)
			}
		}
		for _, t := range r.turns(g, 0) {
			count(t, t.s.rounds(r.Rounds))
			count(t, r.syscallRounds(t))
		}
	}
	return runs, all
}

const (
	// settling is what starting two processes and ending them takes, and
	// connecting what each connection adds.
	settling   = 250 * time.Millisecond
	connecting = 70 * time.Microsecond
)

// takes is how long a run should be.
func (r *runner) takes(t turn) time.Duration {
	warmUp := max(r.WarmUp, t.s.WarmUp)
	if t.c.WarmUp > 0 {
		warmUp = max(warmUp, rewarming)
	}
	if t.s.Recording != "" {
		return t.s.Length + settling
	}
	return warmUp + r.Duration + settling + time.Duration(t.s.Conns+min(t.s.Idle, roomFor(t.s.Idle)))*connecting
}

func (r *runner) fits(t turn) bool {
	if t.s.TLS && !t.c.TLS || !t.s.TLS && t.c.TLSOnly {
		return false
	}
	if t.s.isKafka() {
		return t.c.Kafka
	}
	return !t.c.KafkaOnly && (!t.s.Few || t.c.Quick || r.Named)
}

// turns are those of one round. Each round begins with another contestant, so
// that none always follows the same one.
func (r *runner) turns(g []*Scenario, round int) []turn {
	var turns []turn
	for i := range r.present {
		for _, s := range g {
			if t := (turn{s, r.present[(i+round)%len(r.present)]}); round < s.rounds(r.Rounds) && r.fits(t) {
				turns = append(turns, t)
			}
		}
	}
	return turns
}

const syscallRoundsMax = 3

// syscallRounds is how often system calls are counted. Ours more than once: a server
// that is a little faster than its generator waits for it, and then makes several
// times as many. In an open loop they depend on the rate.
func (r *runner) syscallRounds(t turn) int {
	switch {
	case !r.Syscalls || t.s.Open != "" || t.s.Recording != "":
		return 0
	case t.c.Ours:
		return syscallRoundsMax
	default:
		return 1
	}
}

// group alternates the contestants in scenarios that belong together.
func (r *runner) group(ctx context.Context, g []*Scenario) error {
	defer r.release()
	rates, err := r.findRates(ctx, g)
	if err != nil {
		return err
	}
	for round := range r.Rounds {
		for _, t := range r.turns(g, round) {
			if err := r.measured(ctx, t, round, rates[t]); err != nil {
				return err
			}
		}
	}
	for round := range syscallRoundsMax {
		for _, t := range r.turns(g, 0) {
			if round < r.syscallRounds(t) {
				if _, err := r.one(ctx, t, round, Syscalls, rates[t]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// repeatsMax is how often a run that does not count is made again.
const repeatsMax = 2

// measured makes a run of a round, and makes it again at once when it does not count
// for what the machine or the generator did: one run less would leave five rounds
// undecided. What errs is not made again.
func (r *runner) measured(ctx context.Context, t turn, round int, asked Asked) error {
	for again := range 1 + repeatsMax {
		if again > 0 {
			r.progress.again()
		}
		rec, err := r.one(ctx, t, round, Measure, asked)
		if err != nil || rec == nil || rec.Valid() || rec.Load == nil || rec.Load.Errors.Count() > 0 {
			return err
		}
		if t.s.Handshakes != "" && rec.heldBack() {
			return nil // a client of crypto/tls pays as much as a server, each time
		}
	}
	return nil
}

// serve gives a fresh server, or one that is warm and kept, and how long it needs
// before it is measured. The kept stand still while others run: a JVM that waits
// takes 3 % of a processor.
func (r *runner) serve(t turn) (*contestant.Process, time.Duration, error) {
	if p := r.kept[t.c.Name]; p != nil {
		return p, rewarming, p.Resume()
	}
	p, err := t.c.Start(r.site, t.s.shape())
	if err == nil && t.c.WarmUp > 0 {
		r.kept[t.c.Name] = p
	}
	return p, t.c.WarmUp, err
}

// leave ends a server, unless it is kept and worth it.
func (r *runner) leave(t turn, p *contestant.Process, failed bool) {
	if r.kept[t.c.Name] == p && !failed && p.Pause() == nil {
		return
	}
	delete(r.kept, t.c.Name)
	p.Stop()
}

// rewarming is what a kept server needs after it stood still.
const rewarming = time.Second

// release ends those that were kept.
func (r *runner) release() {
	for name, p := range r.kept {
		delete(r.kept, name)
		p.Stop()
	}
}

// failuresMax is how often a contestant may fail to run before it is left out.
const failuresMax = 3

// one makes one run and keeps its record, which is nil for who is left out; only
// an end of the comparison is an error.
func (r *runner) one(ctx context.Context, t turn, round int, pass Pass, asked Asked) (*Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.progress.step(fmt.Sprintf("%s %s %d/%d %s", t.s.Name, pass, round+1, r.Rounds, t.c.Name), r.takes(t))
	if r.failed[t.c.Name] >= failuresMax {
		return nil, nil
	}
	rec := &Record{Type: "run", Scenario: t.s.Name, Contestant: t.c.Name, Round: round, Pass: pass}
	err := errors.New("its capacity could not be measured")
	if t.s.Open == "" || asked.Capacity > 0 {
		if t.s.Open != "" {
			rec.Asked = &asked
		}
		m := &measurement{runner: r, turn: t, record: rec}
		err = m.run(ctx, r.load(t.s, asked))
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		rec.Invalid = []string{err.Error()}
		if r.failed[t.c.Name]++; r.failed[t.c.Name] == failuresMax {
			r.progress.note(fmt.Sprintf("%s failed %d times and is left out: %v", t.c.Name, failuresMax, err))
		}
	}
	r.results.Records = append(r.results.Records, rec)
	return rec, r.store.add(rec)
}

// looking is how long a generator with a processor of its own stays awake for the
// next answer. Many connections' answers come closer together; those of one, which
// take 20 µs and more, find it asleep, as they would any client.
const looking = 10 * time.Microsecond

// load is what the generator is told. With a processor of its own it keeps an
// open loop's timetable awake: asleep it would be some 20 µs late, and a wake
// costs the server's side, too.
func (r *runner) load(s *Scenario, asked Asked) load.Config {
	var look time.Duration
	if len(r.env.GeneratorCPUs) > 0 {
		look = looking
	}
	if s.Recording != "" {
		return load.Config{
			Kind: s.Kind, Recording: s.Recording, RecordingSpeed: s.Speed, Duration: s.Length, TLS: s.TLS,
			Threads: max(1, len(r.env.GeneratorCPUs)), Conns: max(s.Conns, len(r.env.GeneratorCPUs)),
		}
	}
	return load.Config{
		Look: look,
		Kind: s.Kind, PayloadBytes: payload(s.Payload), Conns: s.Conns, Depth: s.Depth, TLS: s.TLS, Handshakes: s.Handshakes,
		Rate: asked.rate(), Spin: s.Open != "" && len(r.env.GeneratorCPUs) > 0,
		WarmUp: max(r.WarmUp, s.WarmUp), Duration: r.Duration, DrainTimeout: r.Drain, Threads: min(max(1, len(r.env.GeneratorCPUs)), s.Conns),
	}
}

// payload is 0 bytes in load.Config's words.
func payload(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

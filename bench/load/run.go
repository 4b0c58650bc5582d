package load

import (
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"
)

// thread serves a share of the connections.
type thread interface {
	dial(server, source netip.AddrPort, id int, busy bool) error
	run()
	close()
}

// Result is what one run found. Times are nanoseconds.
type Result struct {
	Config  Config        `json:"config"`
	Started time.Time     `json:"started"`
	Window  time.Duration `json:"window"`

	Completed uint64  `json:"completed"` // requests answered inside the window
	Total     uint64  `json:"total"`     // requests answered at all
	Rate      float64 `json:"rate"`      // Completed per second
	// Achieved is Rate over the asked one; 0 in the closed loop.
	Achieved float64 `json:"achieved,omitempty"`

	// Latency counts from the moment a request was meant to leave: in the
	// closed loop when there was room for it, in the open one by the timetable.
	Latency Summary `json:"latency"`
	// Service counts from when the request was given to the socket, SendDelay
	// is the time before that; open loop only.
	Service   *Summary `json:"service,omitempty"`
	SendDelay *Summary `json:"send_delay,omitempty"`
	// Late is how many requests found InFlightMax in flight; open loop only.
	Late   uint64 `json:"late,omitempty"`
	Errors Errors `json:"errors"`
	// Slices are Latency by Config.Slice, in their order.
	Slices []Summary `json:"slices,omitempty"`
	// Company is what the connections beside the measured ones did.
	Company *Company `json:"company,omitempty"`

	// Realtime says that the process went before everything else.
	Realtime bool `json:"realtime,omitempty"`
	// GeneratorCPU is the busiest thread's share of a core.
	GeneratorCPU float64 `json:"generator_cpu"`
	// Invalid says why the figures are not the server's; empty means that they
	// are. Bound says that the generator's own speed is among the reasons.
	Invalid []string `json:"invalid,omitempty"`
	Bound   bool     `json:"generator_bound,omitempty"`

	// HDR is the latency histogram as HdrHistogram logs hold it.
	HDR string `json:"hdr"`
}

// Valid says whether the run's figures are the server's.
func (r *Result) Valid() bool { return len(r.Invalid) == 0 }

// BusyMax is the share of a core above which a generator thread is taken for
// the bottleneck, AchievedMin the share of the asked rate that an open loop
// must reach.
const (
	BusyMax     = 0.90
	AchievedMin = 0.99
)

// Run generates the load that c asks for, and returns when the last answer is
// in. While the window lasts it turns the garbage collector off.
func Run(c Config) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if c.Kind == Recording {
		return play(c)
	}
	server, err := resolve(c.Address)
	if err != nil {
		return nil, err
	}
	m, err := c.mix()
	if err != nil {
		return nil, err
	}
	ahead := c.Realtime && goFirst()
	tm := &timing{clock: clock{time.Now()}, cfg: &c}
	threads, cores, err := openThreads(tm, m, server)
	defer func() {
		for _, th := range threads {
			th.close()
		}
	}()
	if err != nil {
		return nil, err
	}
	beside, err := keepCompany(&c, server, m.templates[0])
	if err != nil {
		return nil, fmt.Errorf("load: connections beside the measured ones: %w", err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	tm.began = tm.now()
	tm.warmEnd = tm.began + int64(c.WarmUp)
	started := time.Now()
	var wg sync.WaitGroup
	for _, th := range threads {
		wg.Go(th.run)
	}
	wg.Wait()
	res := result(&c, started, tm.length(), cores)
	res.Realtime = ahead
	res.Company = beside.end()
	return res, nil
}

// mix is what the connections send.
func (c *Config) mix() (*mix, error) {
	if c.Kind != Frames {
		t, err := kafkaTemplate(c)
		return single(t), err
	}
	if c.Sizes == "" {
		return single(frameTemplate(c.payload())), nil
	}
	shares, err := parseSizes(c.Sizes)
	if err != nil {
		return nil, err // Validate has looked
	}
	return mixOf(shares), nil
}

// resolve finds the server's address.
func resolve(address string) (netip.AddrPort, error) {
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("load: Address: %w", err)
	}
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

// openThreads makes the threads and dials every connection, one after another,
// so that no listen queue overflows.
func openThreads(tm *timing, m *mix, server netip.AddrPort) ([]thread, []*core, error) {
	c := tm.cfg
	var threads []thread
	var cores []*core
	for i := range c.Threads {
		x := newCore(c, m, &tm.window)
		th, err := thread(nil), error(nil)
		if c.Handshakes != "" {
			th = newShakeThread(tm, x, i)
		} else if c.Portable {
			th = newPortableThread(tm, x, i)
		} else if th, err = newNativeThread(tm, x, i); err != nil {
			return threads, nil, err
		}
		threads, cores = append(threads, th), append(cores, x)
	}
	for i := range c.Conns + c.IdleConns {
		source := netip.AddrPortFrom(sourceFor(server.Addr(), i, c.Conns+c.IdleConns), 0)
		// Idle connections come first, as in life.
		if err := threads[i%c.Threads].dial(server, source, i, i >= c.IdleConns); err != nil {
			return threads, nil, fmt.Errorf("connection %d: %w", i, err)
		}
	}
	return threads, cores, nil
}

// result merges the threads' records.
func result(c *Config, started time.Time, window time.Duration, cores []*core) *Result {
	sum := newRecord(c.IsOpen())
	sum.slice(c.Slice, c.Duration)
	res := &Result{Config: *c, Started: started, Window: window}
	requests := uint64(cores[0].mix.templates[0].requests)
	for _, x := range cores {
		r := x.rec
		sum.latency.Merge(r.latency)
		if c.IsOpen() {
			sum.service.Merge(r.service)
			sum.sendDelay.Merge(r.sendDelay)
			for i, s := range r.slices {
				sum.slices[i].Merge(s)
			}
			res.Late += r.late
		}
		res.Completed += r.completed * requests
		res.Total += r.total * requests
		res.Errors.add(r.errors)
		busy := r.busy(c.Spin)
		if c.Portable || c.Handshakes != "" || !nativeThreads {
			busy /= float64(c.Threads) // the process's time, over the cores it was given
		}
		res.GeneratorCPU = max(res.GeneratorCPU, busy)
	}
	res.Rate = float64(res.Completed) / window.Seconds()
	res.Latency = summarize(sum.latency)
	res.HDR = encode(sum.latency)
	if c.IsOpen() {
		service, delay := summarize(sum.service), summarize(sum.sendDelay)
		res.Service, res.SendDelay = &service, &delay
		res.Achieved = res.Rate / c.Rate
		for _, s := range sum.slices {
			res.Slices = append(res.Slices, summarize(s))
		}
	}
	res.judge()
	return res
}

// judge finds what makes the run's figures not the server's.
func (r *Result) judge() {
	bad := func(format string, args ...any) { r.Invalid = append(r.Invalid, fmt.Sprintf(format, args...)) }
	if r.GeneratorCPU > BusyMax {
		r.Bound = true
		bad("the generator was busy %.0f %% of a core: give it more threads and cores", r.GeneratorCPU*100)
	}
	if r.Config.IsOpen() && r.Achieved < AchievedMin {
		who := "the server did not carry the rate"
		if r.Late == 0 && r.SendDelay.P99 > int64(r.Window)/100 {
			r.Bound = true
			who = "the generator fell behind its timetable"
		}
		bad("%.1f %% of the asked rate was reached: %s", r.Achieved*100, who)
	}
	if n := r.Errors.Count(); n > 0 {
		bad("%d errors, the first: %s", n, r.Errors.First)
	}
	if r.Completed == 0 {
		bad("nothing was answered inside the window")
	}
}

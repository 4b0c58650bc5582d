package compare

import (
	"context"

	"kring/bench/contestant"
	"kring/bench/load"
)

// measurement is one run: a server, a generator process, and the server's
// counters at both ends of the window.
type measurement struct {
	*runner
	turn
	record *Record

	server *contestant.Process
	count  *contestant.SyscallCounter
	before contestant.Sample
	own    contestant.Own
}

func (m *measurement) run(ctx context.Context, c load.Config) error {
	server, warmUp, err := m.serve(m.turn)
	if err != nil {
		return err
	}
	m.server = server
	c.Address, c.WarmUp = server.Addr, max(c.WarmUp, warmUp)
	err = m.accompanied(func() error { return m.generate(ctx, c) })
	m.leave(m.turn, server, err != nil)
	return err
}

func (m *measurement) generate(ctx context.Context, c load.Config) (err error) {
	server := m.server
	if m.record.Pass == Syscalls {
		if m.count, err = contestant.NewSyscallCounter(server.PID()); err != nil {
			return err
		}
		defer m.count.Close()
	}
	g := Generator{Self: m.site.Self, CPUs: m.env.GeneratorCPUs, Begin: m.begin, End: m.end}
	if m.record.Load, err = g.Run(ctx, c); err != nil {
		return err
	}
	// Not at the window's end: the last answers would wait for the generator
	// meanwhile, which would be in the longest latencies.
	if own := server.Own(); own != nil && m.own != nil {
		m.record.Own = own.Since(m.own)
	}
	if m.count != nil {
		if m.record.Syscalls, err = m.count.Count(); err != nil {
			return err
		}
	}
	m.record.ServerBusy = m.record.Server.CPUSeconds() / c.Duration.Seconds() / float64(max(1, len(m.env.ServerCPUs)))
	generator := m.record.Load.GeneratorCPU * float64(c.Threads)
	if c.Spin {
		generator = float64(c.Threads)
	}
	m.record.OtherCPU = max(0, (m.record.Server.BusySeconds+m.record.Server.StolenSeconds-m.record.Server.CPUSeconds())/c.Duration.Seconds()-generator)
	m.record.judge()
	return nil
}

// begin reads the counters, the cheapest last: what reading costs the server
// falls before the window.
func (m *measurement) begin() (err error) {
	m.own = m.server.Own()
	if m.count != nil {
		if err := m.count.Enable(); err != nil {
			return err
		}
	}
	m.before, err = contestant.TakeSample(m.server.PID())
	return err
}

// end is the same in the opposite order, but for what the server says of itself.
func (m *measurement) end() error {
	after, err := contestant.TakeSample(m.server.PID())
	if err != nil {
		return err
	}
	if m.count != nil {
		if err := m.count.Disable(); err != nil {
			return err
		}
	}
	m.record.Server = after.Since(m.before)
	return nil
}

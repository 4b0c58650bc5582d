package compare

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"kring/bench/contestant"
	"kring/bench/load"
)

// measurement is one run: a fresh server, a generator process, and the
// server's counters at both ends of the window.
type measurement struct {
	*runner
	scenario   *Scenario
	contestant *contestant.Contestant
	record     *Record

	server *contestant.Process
	count  *contestant.SyscallCounter
	before contestant.Sample
	own    contestant.Own
}

func (m *measurement) run(ctx context.Context, c load.Config) error {
	server, err := m.contestant.Start(m.site, m.scenario.shape())
	if err != nil {
		return err
	}
	defer server.Stop()
	m.server = server
	if m.record.Pass == Syscalls {
		if m.count, err = contestant.NewSyscallCounter(server.PID()); err != nil {
			return err
		}
		defer m.count.Close()
	}
	c.Address = server.Addr
	if err := m.generate(ctx, c); err != nil {
		return err
	}
	if m.count != nil {
		if m.record.Syscalls, err = m.count.Count(); err != nil {
			return err
		}
	}
	m.record.ServerBusy = m.record.Server.CPUSeconds() / c.Duration.Seconds() / float64(max(1, len(m.env.ServerCPUs)))
	generator := m.record.Load.GeneratorCPU * float64(c.Threads)
	m.record.OtherCPU = max(0, (m.record.Server.BusySeconds+m.record.Server.StolenSeconds-m.record.Server.CPUSeconds())/c.Duration.Seconds()-generator)
	m.record.judge()
	return nil
}

// generateLimit bounds what a generator may take beyond its own times.
const generateLimit = 60 * time.Second

// generate runs the generator process and follows its lines.
func (m *measurement) generate(ctx context.Context, c load.Config) error {
	config, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.WarmUp+c.Duration+generateLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.site.Self, "generate")
	said := &strings.Builder{}
	cmd.Stderr = said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if err := contestant.StartPinned(cmd, m.env.GeneratorCPUs); err != nil {
		return fmt.Errorf("compare: starting the generator: %w", err)
	}
	err = m.follow(stdin, stdout, append(config, '\n'))
	_ = stdin.Close()
	if wait := cmd.Wait(); wait != nil || err != nil {
		return fmt.Errorf("the generator failed (%v, %v): %s", err, wait, strings.TrimSpace(said.String()))
	}
	return nil
}

func (m *measurement) follow(stdin io.Writer, stdout io.Reader, config []byte) error {
	if _, err := stdin.Write(config); err != nil {
		return err
	}
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return err
		}
		switch string(line) {
		case "begin\n":
			err = m.begin()
		case "end\n":
			err = m.end()
		default:
			m.record.Load = &load.Result{}
			return json.Unmarshal(line, m.record.Load)
		}
		if err == nil {
			_, err = stdin.Write([]byte("\n"))
		}
		if err != nil {
			return err
		}
	}
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

// end is the same in the opposite order.
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
	if own := m.server.Own(); own != nil {
		m.record.Own = own.Since(m.own)
	}
	return nil
}

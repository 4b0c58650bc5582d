package compare

import (
	"fmt"
	"strconv"
	"time"

	"kring/bench/contestant"
)

const (
	// holdsMax is how many idle connections one process holds: it has a limit on
	// open files too, and one source address has so many ports.
	holdsMax = 15_000
	// roomShare is how much of the limit on open files idle connections may take
	// of a server: the rest is for everything else, and servers keep a reserve.
	roomShare = 0.75
)

// roomFor is how many of so many idle connections a server can hold, one
// descriptor for each.
func roomFor(idle int) int {
	if limit := contestant.OpenFilesMax(); limit > 0 {
		return min(idle, int(float64(limit)*roomShare))
	}
	return idle
}

// accompanied calls does beside the scenario's idle connections, which processes
// of their own hold.
func (m *measurement) accompanied(does func() error) error {
	if m.s.Idle == 0 {
		return does()
	}
	before, err := contestant.TakeSample(m.server.PID())
	if err != nil {
		return err
	}
	var holders []*contestant.Process
	defer func() {
		for _, h := range holders {
			h.Stop()
		}
	}()
	want := roomFor(m.s.Idle)
	for ; m.record.Idle < want; m.record.Idle += min(holdsMax, want-m.record.Idle) {
		h, err := contestant.StartProcess("who holds idle connections", []string{m.site.Self, "hold", m.server.Addr,
			"--conns", strconv.Itoa(min(holdsMax, want-m.record.Idle)), "--source", strconv.Itoa(len(holders))}, m.env.GeneratorCPUs)
		if err != nil {
			return err
		}
		holders = append(holders, h)
	}
	if m.record.IdleBytes, err = m.settledRSS(); err != nil {
		return err
	}
	m.record.IdleBytes -= before.RSSBytes
	if err := does(); err != nil {
		return err
	}
	return m.stillThere(holders)
}

// settledRSS is the server's resident memory once it does not grow any more: it
// may still be accepting what its peers have connected.
func (m *measurement) settledRSS() (int64, error) {
	const pause, same, tries = 50 * time.Millisecond, 4, 100 // 5 s at most
	last, times := int64(0), 0
	for range tries {
		now, err := contestant.TakeSample(m.server.PID())
		if err != nil {
			return 0, err
		}
		if times++; now.RSSBytes != last {
			last, times = now.RSSBytes, 0
		}
		if times == same {
			break
		}
		time.Sleep(pause)
	}
	return last, nil
}

// stillThere fails when the server ended a connection that did nothing.
func (m *measurement) stillThere(holders []*contestant.Process) error {
	const limit = 5 * time.Second
	for _, h := range holders {
		said, err := h.Ask("stats", limit)
		if err != nil {
			return err
		}
		if n := said["ended"]; n > 0 {
			return fmt.Errorf("the server ended %v idle connections", n)
		}
	}
	return nil
}

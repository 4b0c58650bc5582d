package kring

import (
	"maps"
	"net/netip"
	"time"

	"kring/acceptor"
	"kring/internal/handover"
)

// sendOpen says who is connected here, and begins to follow who leaves.
func (h *successor) sendOpen(c *handover.Conn) (*acceptor.Follower, error) {
	f, now := h.server.admission.Follow()
	return f, sendCounts(c, handover.Open, now, 0)
}

// sendCounts sends counts in as many messages as it takes; number is that of the last one.
func sendCounts(c *handover.Conn, kind handover.Kind, n acceptor.Counts, number uint64) error {
	m := &handover.Message{Kind: kind, Total: n.Total, ByName: n.Listeners}
	for ip, of := range n.Addresses {
		if len(m.ByIP) == handover.AddressesMax {
			if err := c.Send(m); err != nil {
				return err
			}
			m = &handover.Message{Kind: kind}
		}
		if m.ByIP == nil {
			m.ByIP = map[netip.Addr]int64{}
		}
		m.ByIP[ip] = of
	}
	m.Number = number
	return c.Send(m)
}

func countsOf(m *handover.Message) acceptor.Counts {
	return acceptor.Counts{Total: m.Total, Listeners: m.ByName, Addresses: m.ByIP}
}

func addCounts(to *acceptor.Counts, m *handover.Message) {
	if to.Addresses == nil {
		to.Listeners, to.Addresses = map[string]int64{}, map[netip.Addr]int64{}
	}
	to.Total += m.Total
	maps.Copy(to.Listeners, m.ByName)
	maps.Copy(to.Addresses, m.ByIP)
}

// tellLeft tells the successor which connections have ended, until the Server has; the end of
// c tells it that all have. Whoever wants the successor to know of those that have left so far
// sends a channel to flushes, which is closed when it does, or is gone.
func (h *successor) tellLeft(c *handover.Conn, f *acceptor.Follower) {
	s := h.server
	go func() {
		defer c.Close()
		defer f.Stop()
		for number := uint64(1); ; number++ {
			var wants chan struct{}
			select {
			case <-s.finished:
				return
			case <-f.Changed():
			case wants = <-h.flushes:
			}
			lost := !tell(c, f, number)
			if wants != nil {
				close(wants)
			}
			if lost {
				break
			}
		}
		for { // the successor is gone: nobody counts
			select {
			case <-s.finished:
				return
			case wants := <-h.flushes:
				close(wants)
			}
		}
	}()
}

// tell has the successor count what has left, and waits until it has.
func tell(c *handover.Conn, f *acceptor.Follower, number uint64) bool {
	left := f.Take()
	if left.Empty() {
		return true
	}
	if sendCounts(c, handover.Left, left, number) != nil {
		return false
	}
	for {
		m, err := c.Receive(time.Now().Add(messagePatience))
		switch {
		case err != nil:
			return false
		case m.Kind == handover.Ready || m.Kind == handover.Began:
			continue // this Server was shut down, and has not waited for them
		}
		handover.CloseAll(m.FDs)
		return m.Kind == handover.Noted && m.Number == number
	}
}

// flush has a successor know of everybody who has left so far, unless there is none; it waits
// for that until end. Server.finished ends after all that it may wait for.
func (h *successor) flush(end <-chan struct{}) {
	select {
	case <-h.over:
	default:
		return
	}
	done := make(chan struct{})
	select {
	case h.flushes <- done:
		comesBefore(done, end)
	case <-end:
	}
}

package load

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Company is what the connections beside the measured ones did. None of it is
// in the latencies.
type Company struct {
	// Churned connections were opened, asked once and closed again; ChurnFailed
	// could not be opened or were not answered.
	Churned     uint64 `json:"churned,omitempty"`
	ChurnFailed uint64 `json:"churn_failed,omitempty"`
	// SlowBytes were sent by connections that never read; SlowEnded of them were
	// ended by the server.
	SlowBytes uint64 `json:"slow_bytes,omitempty"`
	SlowEnded uint64 `json:"slow_ended,omitempty"`
}

// company keeps the server busy with what Config.ChurnRate and SlowConns ask
// for, from the start of the warm-up to the end of the window.
type company struct {
	server  netip.AddrPort
	request []byte
	reply   int    // bytes
	unread  []byte // what those ask that never read

	over  chan struct{}
	going sync.WaitGroup
	slow  []net.Conn

	churned, churnFailed, slowBytes, slowEnded atomic.Uint64
}

// churners is how many connections are being opened and closed at once.
const churners = 4

// keepCompany starts it; end ends it.
func keepCompany(c *Config, server netip.AddrPort, t *template) (*company, error) {
	k := &company{server: server, request: t.frame, reply: t.replyBytes, unread: t.frame, over: make(chan struct{})}
	if c.SlowPayloadBytes > 0 && c.Kind == Frames {
		k.unread = frameTemplate(c.SlowPayloadBytes).frame
	}
	for range c.SlowConns {
		conn, err := net.DialTimeout("tcp", server.String(), probeTimeout)
		if err != nil {
			k.end()
			return nil, err
		}
		k.slow = append(k.slow, conn)
		k.going.Go(func() { k.neverRead(conn) })
	}
	if c.ChurnRate > 0 {
		every := time.Duration(churners * float64(time.Second) / c.ChurnRate)
		for range churners {
			k.going.Go(func() { k.churn(every) })
		}
	}
	return k, nil
}

// neverRead asks as long as the server takes requests, and reads nothing.
func (k *company) neverRead(c net.Conn) {
	for {
		n, err := c.Write(k.unread)
		k.slowBytes.Add(uint64(n))
		if err != nil {
			select {
			case <-k.over:
			default:
				k.slowEnded.Add(1)
			}
			return
		}
	}
}

// churn opens, asks once and closes; every fourth connection ends with an RST.
func (k *company) churn(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-k.over:
			return
		case <-tick.C:
		}
		if k.visit(n%4 == 3) {
			k.churned.Add(1)
		} else {
			k.churnFailed.Add(1)
		}
	}
}

func (k *company) visit(reset bool) bool {
	conn, err := net.DialTimeout("tcp", k.server.String(), probeTimeout)
	if err != nil {
		return false
	}
	defer conn.Close()
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.SetDeadline(time.Now().Add(probeTimeout))
	if _, err := conn.Write(k.request); err != nil {
		return false
	}
	_, err = io.CopyN(io.Discard, conn, int64(k.reply))
	return err == nil
}

// end ends it and tells what it did.
func (k *company) end() *Company {
	close(k.over)
	for _, c := range k.slow {
		_ = c.Close()
	}
	k.going.Wait()
	return &Company{
		Churned: k.churned.Load(), ChurnFailed: k.churnFailed.Load(),
		SlowBytes: k.slowBytes.Load(), SlowEnded: k.slowEnded.Load(),
	}
}

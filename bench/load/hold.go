package load

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Held are connections on which nothing is sent.
type Held struct {
	conns   []net.Conn
	closing atomic.Bool
	ended   atomic.Int64
	reading sync.WaitGroup
}

// heldPerAddress is how many idle connections share one source address.
//
// Kernel: bind gives out every other port of ip_local_port_range, 14,116 by
// default, and searches long for the last ones.
const heldPerAddress = 8192

// Hold opens n connections to a server and leaves them alone. Those of different
// sources, 0 to 250, come from different loopback addresses, so that ports last
// for all.
func Hold(address string, n, source int) (*Held, error) {
	server, err := resolve(address)
	if err != nil {
		return nil, err
	}
	h := &Held{}
	d := net.Dialer{Timeout: probeTimeout}
	for i := range n {
		if server.Addr().Is4() && server.Addr().IsLoopback() {
			from := netip.AddrFrom4([4]byte{127, 1, byte(source), byte(1 + i/heldPerAddress)})
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		}
		c, err := d.Dial("tcp", server.String())
		if err != nil {
			h.Close()
			return nil, fmt.Errorf("load: idle connection %d of %d: %w", i, n, err)
		}
		h.conns = append(h.conns, c)
		h.reading.Go(func() { h.watch(c) })
	}
	return h, nil
}

// watch waits for the end of a connection.
func (h *Held) watch(c net.Conn) {
	var b [1]byte
	_, _ = c.Read(b[:]) // data that nobody asked for is as wrong as an end
	if !h.closing.Load() {
		h.ended.Add(1)
	}
}

// Ended is how many connections the server ended, or wrote to.
func (h *Held) Ended() int64 { return h.ended.Load() }

// Close ends them, by an RST each: their ports are free for the next at once.
func (h *Held) Close() {
	h.closing.Store(true)
	for _, c := range h.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	h.reading.Wait()
}

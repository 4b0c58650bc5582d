package load

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// portableThread is the same on Go's net: a reading and a writing goroutine per
// connection, because a read and a write that wait for one another at both ends
// would never end.
type portableThread struct {
	mu sync.Mutex // guards core
	*core
	tm     *timing
	number int
	idle   []net.Conn
	over   chan struct{}
	wg     sync.WaitGroup
}

func newPortableThread(tm *timing, x *core, number int) thread {
	return &portableThread{core: x, tm: tm, number: number, over: make(chan struct{})}
}

func (th *portableThread) dial(server, source netip.AddrPort, id int, busy bool) error {
	d := &net.Dialer{Timeout: probeTimeout}
	if source.Addr().IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(source)
	}
	c, err := th.cfg.dialTLS(d, server.String())
	if err != nil {
		return fmt.Errorf("load: %w: is the server running there?", err)
	}
	if !busy {
		th.idle = append(th.idle, c)
		return nil
	}
	cn := th.newConn(id)
	cn.Conn, cn.kick = c, make(chan struct{}, 1)
	return nil
}

func (th *portableThread) run() {
	for _, c := range th.conns {
		th.wg.Add(2)
		in := make([]byte, min(max(c.t.replyBytes, 16<<10), recvBytesPortable))
		c.out = th.scratch(c.t)
		go th.read(c, in)
		go th.write(c)
	}
	th.mu.Lock()
	th.begin(th.tm.began, th.number)
	th.mu.Unlock()
	for _, c := range th.conns {
		c.poke()
	}
	th.pace()
	close(th.over)
	th.close()
	th.finish()
}

const recvBytesPortable = 256 << 10

// pace keeps the phases and the timetable.
func (th *portableThread) pace() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for range timer.C {
		th.mu.Lock()
		// The boundary may take long, and holds the lock: nothing is sent, and
		// no answer recorded, while the caller looks at its counters.
		now, over := th.tm.phase(th.core, th.number, th.tm.now(), processCPU)
		if over {
			th.mu.Unlock()
			return
		}
		if th.cfg.IsOpen() {
			th.demandDue(now, (*conn).poke)
		}
		d := th.tm.pause(th.core, th.number, th.tm.now())
		if th.stopped {
			d = min(d, time.Millisecond) // the last answer does not wake us
		}
		th.mu.Unlock()
		timer.Reset(d)
	}
}

// poke tells the connection's writer that something may leave.
func (c *conn) poke() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

func (th *portableThread) read(c *conn, in []byte) {
	defer th.wg.Done()
	for {
		n, err := c.Read(in)
		now := th.tm.now()
		th.mu.Lock()
		switch {
		case !c.alive:
		case n > 0 && !th.got(c, in[:n], now):
			th.drop(c, &th.rec.errors.Mismatch, func() string {
				return fmt.Sprintf("connection %d: response %d is not the request's", c.id, c.done)
			})
		case err != nil && !th.ended():
			th.drop(c, &th.rec.errors.Closed, func() string { return "receiving: " + err.Error() })
		}
		alive := c.alive
		th.mu.Unlock()
		if !alive || err != nil {
			return
		}
		c.poke()
	}
}

func (th *portableThread) write(c *conn) {
	defer th.wg.Done()
	for {
		th.mu.Lock()
		b := th.toSend(c)
		alive := c.alive
		th.mu.Unlock()
		if !alive {
			return
		}
		if len(b) == 0 {
			select {
			case <-c.kick:
				continue
			case <-th.over:
				return
			}
		}
		// A response may be here before Write has returned: the requests count
		// as sent from now on.
		th.mu.Lock()
		th.took(c, len(b))
		th.mu.Unlock()
		if _, err := c.Write(b); err != nil {
			th.mu.Lock()
			if c.alive && !th.ended() {
				th.drop(c, &th.rec.errors.Closed, func() string { return "sending: " + err.Error() })
			}
			th.mu.Unlock()
			return
		}
	}
}

// ended says that the run is over, and an error of a socket is its closing.
func (th *portableThread) ended() bool {
	select {
	case <-th.over:
		return true
	default:
		return false
	}
}

func (th *portableThread) drop(c *conn, counter *uint64, why func() string) {
	th.rec.fail(counter, why)
	th.lose(c)
	c.Close()
	c.poke()
}

// close ends the connections and waits for their goroutines.
func (th *portableThread) close() {
	for _, c := range th.conns {
		c.Close()
	}
	for _, c := range th.idle {
		c.Close()
	}
	th.wg.Wait()
}

package acceptor

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/leaktest"
	"kring/internal/rate"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// rig has listeners with a clock of the test and sockets that are only numbers.
type rig struct {
	engine.Network // of which only what follows may be called
	t              testing.TB
	now            int64
	admission      *Admission
	queues         map[string]*AcceptQueue
	nextFD         engine.FD
	remote         map[engine.FD]netip.Addr
	served         map[engine.FD]engine.Slot
	last           engine.FD // served last
	closed         map[engine.FD]bool
	processorsTake bool // whether processors take connections
	evictions      int
}

func newRig(t testing.TB, l Limits, names ...string) *rig {
	t.Helper()
	d := &rig{
		t: t, now: int64(time.Hour), queues: map[string]*AcceptQueue{}, processorsTake: true,
		remote: map[engine.FD]netip.Addr{}, served: map[engine.FD]engine.Slot{}, closed: map[engine.FD]bool{},
	}
	var err error
	d.admission, err = NewAdmission(AdmissionConfig{
		Limits: l, Windows: rate.Windows{}, Clock: func() int64 { return d.now }, Evict: func() { d.evictions++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		quota, err := d.admission.OpenListener(name)
		if err != nil {
			t.Fatal(err)
		}
		d.queues[name] = quota.NewAcceptQueue(AcceptQueueConfig{Network: d, WaitingMax: 8, Wake: func() {}, Assign: func(c engine.Accepted) bool {
			if d.processorsTake {
				d.served[c.FD], d.last = c.Slot, c.FD
			}
			return d.processorsTake
		}})
	}
	t.Cleanup(d.mustBeEmpty)
	return d
}

func (d *rig) Addrs(fd engine.FD) (local, remote netip.AddrPort, err error) {
	ip, ok := d.remote[fd]
	if !ok {
		return local, remote, syscall.ENOTCONN
	}
	return netip.AddrPort{}, netip.AddrPortFrom(ip, 1), nil
}

func (d *rig) Discard(fd engine.FD) {
	if d.closed[fd] {
		d.t.Errorf("fd %d was closed twice", fd)
	}
	d.closed[fd] = true
}

// connect accepts a connection of ip on a listener.
func (d *rig) connect(listener, ip string) engine.FD {
	d.nextFD++
	d.remote[d.nextFD] = netip.MustParseAddr(ip)
	d.queues[listener].Accepted(d.nextFD)
	return d.nextFD
}

// connectServed connects and fails the test unless it is served at once.
func (d *rig) connectServed(listener, ip string) engine.FD {
	d.t.Helper()
	fd := d.connect(listener, ip)
	d.mustBe(fd, "served")
	return fd
}

// disconnect ends a served connection.
func (d *rig) disconnect(fd engine.FD) {
	d.t.Helper()
	d.mustBe(fd, "served")
	d.Discard(fd)
	d.served[fd].Release()
	delete(d.served, fd)
	d.proceed()
}

func (d *rig) proceed() {
	for _, l := range d.queues {
		l.Advance()
	}
}

// advanceClock lets time pass and wakes each queue when it asked for it.
func (d *rig) advanceClock(all time.Duration) {
	for end := d.now + int64(all); d.now < end; {
		step := time.Duration(end - d.now)
		for _, l := range d.queues {
			if wait := l.Advance(); wait >= 0 {
				step = min(step, max(wait, 1))
			}
		}
		d.now += int64(step)
	}
	d.proceed()
}

func (d *rig) state(fd engine.FD) string {
	switch {
	case d.served[fd] != nil:
		return "served"
	case d.closed[fd]:
		return "closed"
	}
	return "kept"
}

func (d *rig) mustBe(fd engine.FD, state string) {
	d.t.Helper()
	if got := d.state(fd); got != state {
		d.t.Fatalf("connection %d from %v is %s, want %s", fd, d.remote[fd], got, state)
	}
}

func (d *rig) stats(listener string) ListenerStats {
	for _, s := range d.admission.Stats() {
		if s.Name == listener {
			return s
		}
	}
	d.t.Fatalf("no stats of %s", listener)
	return ListenerStats{}
}

// mustBeEmpty ends everything: no slot, address or descriptor may be left.
func (d *rig) mustBeEmpty() {
	for fd, p := range d.served {
		d.Discard(fd)
		p.Release()
	}
	for name, l := range d.queues {
		l.Close()
		if n := l.quota.Open(); n != 0 {
			d.t.Errorf("listener %s: %d slots are still taken", name, n)
		}
	}
	a := d.admission
	if a.Open() != 0 || a.throttled.Load() != 0 || a.waiting.Load() != 0 || len(*a.queues.Load()) != 0 {
		d.t.Errorf("left: %d slots, %d throttled, %d waiting, %d queues", a.Open(), a.throttled.Load(), a.waiting.Load(), len(*a.queues.Load()))
	}
	for fd := range d.remote {
		if !d.closed[fd] {
			d.t.Errorf("fd %d is still open", fd)
		}
	}
	for i := range a.addresses.shards {
		for ip, of := range a.addresses.shards[i].counts {
			if of.conns != 0 {
				d.t.Errorf("%v still counts %d", ip, of.conns)
			}
		}
	}
}

// storm connects clients to listeners, perSecond to each that accepts, and counts
// who was served. Clients disconnect at once.
func (d *rig) storm(seconds int, perSecond int, from map[string]string) map[string]int {
	served := map[string]int{}
	for range seconds * perSecond {
		for listener, ip := range from {
			if l := d.queues[listener]; !l.Blocked() {
				d.connect(listener, ip)
			}
		}
		d.advanceClock(time.Second / time.Duration(perSecond))
		for fd := range d.served {
			served[d.remote[fd].String()]++
			d.disconnect(fd)
		}
	}
	return served
}

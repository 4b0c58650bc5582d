package acceptor

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kring/engine"
	"kring/internal/rate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// doors are listeners with a clock of the test's and sockets that are only
// numbers.
type doors struct {
	engine.Network // of which only what follows may be called
	t              testing.TB
	now            int64
	admission      *Admission
	lines          map[string]*Line
	nextFD         engine.FD
	remote         map[engine.FD]netip.Addr
	served         map[engine.FD]engine.Place
	last           engine.FD // served last
	closed         map[engine.FD]bool
	takes          bool // whether processors take connections
	evictions      int
}

func newDoors(t testing.TB, l Limits, names ...string) *doors {
	t.Helper()
	d := &doors{
		t: t, now: int64(time.Hour), lines: map[string]*Line{}, takes: true,
		remote: map[engine.FD]netip.Addr{}, served: map[engine.FD]engine.Place{}, closed: map[engine.FD]bool{},
	}
	var err error
	d.admission, err = NewAdmission(AdmissionConfig{
		Limits: l, Windows: rate.Windows{}, Clock: func() int64 { return d.now }, Evict: func() { d.evictions++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		gate, err := d.admission.Gate(name)
		if err != nil {
			t.Fatal(err)
		}
		d.lines[name] = gate.NewLine(LineConfig{Network: d, WaitingMax: 8, Wake: func() {}, Assign: func(c engine.Accepted) bool {
			if d.takes {
				d.served[c.FD], d.last = c.Place, c.FD
			}
			return d.takes
		}})
	}
	t.Cleanup(d.mustBeEmpty)
	return d
}

func (d *doors) Addrs(fd engine.FD) (local, remote netip.AddrPort, err error) {
	ip, ok := d.remote[fd]
	if !ok {
		return local, remote, syscall.ENOTCONN
	}
	return netip.AddrPort{}, netip.AddrPortFrom(ip, 1), nil
}

func (d *doors) Discard(fd engine.FD) {
	if d.closed[fd] {
		d.t.Errorf("fd %d was closed twice", fd)
	}
	d.closed[fd] = true
}

// connect accepts a connection of ip on a listener.
func (d *doors) connect(listener, ip string) engine.FD {
	d.nextFD++
	d.remote[d.nextFD] = netip.MustParseAddr(ip)
	d.lines[listener].Accepted(d.nextFD)
	return d.nextFD
}

// enter connects and wants it served at once.
func (d *doors) enter(listener, ip string) engine.FD {
	d.t.Helper()
	fd := d.connect(listener, ip)
	d.mustBe(fd, "served")
	return fd
}

// leave ends a served connection.
func (d *doors) leave(fd engine.FD) {
	d.t.Helper()
	d.mustBe(fd, "served")
	d.Discard(fd)
	d.served[fd].Leave()
	delete(d.served, fd)
	d.proceed()
}

func (d *doors) proceed() {
	for _, l := range d.lines {
		l.Proceed()
	}
}

// pass lets time pass, waking each line when it asked to be.
func (d *doors) pass(all time.Duration) {
	for end := d.now + int64(all); d.now < end; {
		step := time.Duration(end - d.now)
		for _, l := range d.lines {
			if wait := l.Proceed(); wait >= 0 {
				step = min(step, max(wait, 1))
			}
		}
		d.now += int64(step)
	}
	d.proceed()
}

func (d *doors) state(fd engine.FD) string {
	switch {
	case d.served[fd] != nil:
		return "served"
	case d.closed[fd]:
		return "closed"
	}
	return "kept"
}

func (d *doors) mustBe(fd engine.FD, state string) {
	d.t.Helper()
	if got := d.state(fd); got != state {
		d.t.Fatalf("connection %d from %v is %s, want %s", fd, d.remote[fd], got, state)
	}
}

func (d *doors) stats(listener string) ListenerStats {
	for _, s := range d.admission.Stats() {
		if s.Name == listener {
			return s
		}
	}
	d.t.Fatalf("no stats of %s", listener)
	return ListenerStats{}
}

// mustBeEmpty ends everything: no place, address or descriptor may be left.
func (d *doors) mustBeEmpty() {
	for fd, p := range d.served {
		d.Discard(fd)
		p.Leave()
	}
	for name, l := range d.lines {
		l.Close()
		if n := l.gate.Open(); n != 0 {
			d.t.Errorf("listener %s: %d places are still taken", name, n)
		}
	}
	a := d.admission
	if a.Open() != 0 || a.parked.Load() != 0 || a.waiting.Load() != 0 || len(*a.lines.Load()) != 0 {
		d.t.Errorf("left: %d places, %d parked, %d waiting, %d lines", a.Open(), a.parked.Load(), a.waiting.Load(), len(*a.lines.Load()))
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

// storm has clients connect to listeners, so many a second each, whenever the
// listener accepts, and counts who was served. Clients leave at once.
func (d *doors) storm(seconds int, perSecond int, from map[string]string) map[string]int {
	served := map[string]int{}
	for range seconds * perSecond {
		for listener, ip := range from {
			if l := d.lines[listener]; !l.Blocked() {
				d.connect(listener, ip)
			}
		}
		d.pass(time.Second / time.Duration(perSecond))
		for fd := range d.served {
			served[d.remote[fd].String()]++
			d.leave(fd)
		}
	}
	return served
}

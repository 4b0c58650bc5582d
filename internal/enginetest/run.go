package enginetest

import (
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kring/engine"
	"kring/internal/invariants"
)

// patience is how long anything may take. It only bounds failures. It is shorter in this
// package's own tests, whose engines fail on purpose.
var patience = 3 * time.Minute

// grace is how long a case may take beyond its waits before it counts as hanging inside
// the engine.
const grace = 60 * time.Second

// Peer is the other end of a connection.
type Peer interface {
	net.Conn
	// CloseWrite finishes sending; reading goes on.
	CloseWrite() error
	// Reset ends the connection with an RST.
	Reset() error
}

// Option changes what Run assumes of the engines.
type Option func(*suite)

// DialWith gives the suite peers for a Network whose listeners are not on TCP.
func DialWith(dial func(n engine.Network, addr netip.AddrPort) (Peer, error)) Option {
	return func(s *suite) { s.dial = dial }
}

// PeerListener is where connections of the engines lead to: Accept gives the other ends.
type PeerListener interface {
	AddrPort() netip.AddrPort
	Accept() (Peer, error)
	Close() error
}

// ListenWith gives the suite peers that an engine connects to, for a Network whose
// connections are not on TCP. A silent listener never answers.
func ListenWith(listen func(n engine.Network, silent bool) (PeerListener, error)) Option {
	return func(s *suite) { s.listen, s.listensItself = listen, true }
}

// ExhaustWith has no descriptor be left for another connection, until restore is called.
func ExhaustWith(exhaust func(n engine.Network) (restore func(), err error)) Option {
	return func(s *suite) { s.exhaust = exhaust }
}

// Allocates is for an engine that allocates in Poll: the case that forbids it is left
// out.
func Allocates() Option { return func(s *suite) { s.allocates = true } }

// Light makes the long cases shorter, as -short and the invariants do. It is for engines
// that are slow on purpose.
func Light() Option { return func(s *suite) { s.light = true } }

// Unentered is for an engine whose kernel thread takes operations and gives completions
// without a system call, so that Enters need not grow.
func Unentered() Option { return func(s *suite) { s.unentered = true } }

// AtEnd sets a check that runs after each case, when everything was closed.
func AtEnd(check func(t testing.TB, n engine.Network)) Option {
	return func(s *suite) { s.atEnd = check }
}

// Arrived lets the suite see how many bytes of a connection have arrived in this system,
// received or not. Without it (descriptors are not sockets, or the system can't tell) a
// few late deliveries are allowed.
func Arrived(bytes func(n engine.Network, fd engine.FD) int64) Option {
	return func(s *suite) { s.arrived, s.floodLateMax = bytes, 0 }
}

type suite struct {
	open   func(t testing.TB) engine.Network
	dial   func(n engine.Network, addr netip.AddrPort) (Peer, error)
	listen func(n engine.Network, silent bool) (PeerListener, error)
	// listensItself: the Network has peers of its own to connect to.
	listensItself bool
	exhaust       func(n engine.Network) (restore func(), err error)
	atEnd         func(t testing.TB, n engine.Network)
	allocates     bool
	light         bool
	unentered     bool
	arrived       func(n engine.Network, fd engine.FD) int64
	// floodLateMax is in how many rounds a delivery may be late.
	floodLateMax int
}

// property is one case of the suite.
type property struct {
	name   string
	run    func(o *owner)
	unless func(s *suite) bool // it does not apply
}

// properties are all cases, in the order of the contract's methods.
var properties = [][]property{
	acceptProperties, connectProperties, receiveProperties, largeProperties, cancelProperties, sendProperties,
	closeProperties, pollProperties, wakeProperties, loadProperties, memoryProperties,
}

// Run checks that the engines of a Network keep the contract, for both waits.
// open is called once for each case.
func Run(t *testing.T, open func(t testing.TB) engine.Network, options ...Option) {
	s := newSuite(open, options)
	for _, w := range []engine.Wait{engine.WaitParked, engine.WaitLocked} {
		t.Run(w.String(), func(t *testing.T) {
			for _, group := range properties {
				for _, p := range group {
					if p.unless != nil && p.unless(s) {
						continue
					}
					t.Run(p.name, func(t *testing.T) { s.check(t, w, p) })
				}
			}
		})
	}
}

func newSuite(open func(t testing.TB) engine.Network, options []Option) *suite {
	s := &suite{
		open: open, dial: dialTCP, listen: listenTCP, exhaust: exhaustDescriptors,
		light:   testing.Short() || invariants.Enabled, // the assertions take their time
		atEnd:   func(testing.TB, engine.Network) {},
		arrived: func(engine.Network, engine.FD) int64 { return 1 << 62 }, floodLateMax: 5,
	}
	for _, o := range options {
		o(s)
	}
	return s
}

// check runs one case and then everything that must hold after any case.
func (s *suite) check(t testing.TB, w engine.Wait, p property) {
	if w == engine.WaitLocked {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	warmUp()
	descriptors := openDescriptors()
	goroutines := goleak.IgnoreCurrent()

	n := s.open(t)
	o := newOwner(t, s, n, w)
	watchdog := time.AfterFunc(patience+grace, func() {
		// The owner is stuck inside the engine, so no goroutine changes what is read here.
		panic("enginetest: " + t.Name() + " hangs inside the engine\n" + o.outstanding())
	})
	defer watchdog.Stop()
	defer o.abandon()

	p.run(o)
	o.finish()

	s.atEnd(t, n)
	awaitGoroutines(t, goroutines)
	awaitDescriptors(t, descriptors)
}

// awaitGoroutines gives those that are about to end the time of a machine that runs others
// first: goleak itself waits for a second or two.
func awaitGoroutines(t testing.TB, before goleak.Option) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if err = goleak.Find(before); err == nil {
			return
		}
	}
	t.Errorf("goroutines left behind: %v", err)
}

// tcpPeer is a Peer on the system's own TCP.
type tcpPeer struct{ *net.TCPConn }

func (p tcpPeer) Reset() error {
	_ = p.SetLinger(0)
	return p.Close()
}

func dialTCP(_ engine.Network, addr netip.AddrPort) (Peer, error) {
	c, err := net.DialTimeout("tcp", addr.String(), patience)
	if err != nil {
		return nil, err
	}
	return tcpPeer{c.(*net.TCPConn)}, nil
}

package tlsconn

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kring/internal/tlstest"
	"kring/reqchan"
)

// TestABurstOfHandshakesLetsOthersGoFirst: on one P, between what two of them compute, whoever
// else is ready to run has run, unless Go's monitor has just interrupted it.
func TestABurstOfHandshakesLetsOthersGoFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	server, _ := tlstest.Configs()
	all := New(Settings{Config: func() *tls.Config { return server }, RunningMax: 1, WaitingMax: 100})
	const burst = 20
	var others atomic.Int64 // rounds of whoever else there is
	var over atomic.Bool
	var other, shakes sync.WaitGroup
	other.Go(func() {
		for !over.Load() {
			others.Add(1)
			runtime.Gosched()
		}
	})
	for others.Load() == 0 {
		runtime.Gosched()
	}
	last, together := int64(-1), 0 // of who had the turn before; a turn is of one
	for range burst {
		h := &handshake{of: &Transport{all: all, work: func(int32) {}}, gone: make(chan struct{}), rank: rankNew}
		all.places.take(netip.Prefix{}, h)
		shakes.Go(func() {
			if !h.takeTurn() {
				t.Error("no turn")
				return
			}
			if now := others.Load(); now == last {
				together++
			} else {
				last = now
			}
			h.endTurn()
			all.places.end(h.place)
		})
	}
	shakes.Wait()
	over.Store(true)
	other.Wait()
	if together > burst/2 {
		t.Errorf("%d of %d turns followed one another at once, and somebody waited for the P", together, burst)
	}
}

// TestWhoWaitsForItsPeerHasNothingToDo: a processor is told of the goroutines that need a P, and
// of none that waits for its peer, or has ended.
func TestWhoWaitsForItsPeerHasNothingToDo(t *testing.T) {
	server, client := tlstest.Configs()
	s := newSide(t, server)
	var work atomic.Int32
	changed := make(chan struct{}, 1)
	tell := func(n int32) {
		if now := work.Add(n); now < 0 || now > 1 {
			t.Errorf("%d goroutines have something to do, and there is one", now)
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	s.of.TellWork(tell)
	idle := func(when string) {
		t.Helper()
		for deadline := time.After(time.Minute); work.Load() != 0; {
			select {
			case <-changed:
			case <-deadline:
				t.Fatalf("%s: %d goroutines have something to do", when, work.Load())
			}
		}
	}
	near, far := net.Pipe()
	s.shake(tls.Client(near, client), far, func(n int) int { return 1 + n/2 })
	idle("the handshake is over")
	near.Close()
	far.Close()
	s.close()

	var hello bytes.Buffer
	_ = tls.Client(&kept{bytes: &hello, Conn: broken{}}, client).Handshake()
	s = newSide(t, server)
	s.of.TellWork(tell)
	s.feed(hello.Bytes())
	idle("another waits for its peer")
	s.close()
	idle("it was closed")
}

// TestAHandshakeGivesWayUntilOthersAreIdle: a request passes a processor, a handler and the
// processor again, and goes to the end of the line each time; it is answered before the next
// handshake computes. That is so unless it took too long, which another try shows.
func TestAHandshakeGivesWayUntilOthersAreIdle(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const hops = 4
	for began := time.Now(); time.Since(began) < time.Minute; {
		var hop atomic.Int64
		var request sync.WaitGroup
		request.Go(func() {
			for hop.Load() < hops {
				for at := time.Now(); time.Since(at) < 4*othersAreIdle; {
				}
				hop.Add(1)
				runtime.Gosched()
			}
		})
		giveWay()
		done := hop.Load()
		request.Wait()
		if done == hops {
			return
		}
	}
	t.Error("no request came to its end while a handshake gave way")
}

// TestTheWaitForATurnIsTheServersTime, and that for the peer is not.
func TestTheWaitForATurnIsTheServersTime(t *testing.T) {
	server, client := tlstest.Configs()
	s := newSide(t, server)
	hour := int64(time.Hour)
	later := func() int64 { return s.of.Worked(reqchan.Now() + hour) }
	if n := later(); n != 0 {
		t.Errorf("before its first message it has %d ns", n)
	}
	held := s.all.turns.take(rankNew, netip.Prefix{}, nil) // the only one
	var hello bytes.Buffer
	_ = tls.Client(&kept{bytes: &hello, Conn: broken{}}, client).Handshake()
	s.feed(hello.Bytes())
	if n := later(); n < hour {
		t.Errorf("it waits for its turn, and has %d ns after an hour", n)
	}
	held()
	for deadline := time.After(time.Minute); later() >= hour; s.goOn() { // it computes, and waits for its peer
		select {
		case <-s.moved:
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatal("it waits for its peer, and that time is the server's")
		}
	}
	held = s.all.turns.take(rankNew, netip.Prefix{}, nil)
	before := later()
	s.feed([]byte{handshakeRecord})
	if n := later(); n < before+hour {
		t.Errorf("it waits for its turn again, and has %d ns after an hour; before it had %d", n, before)
	}
	held()
	s.close()
}

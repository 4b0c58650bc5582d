package faultengine_test

import (
	"net/netip"
	"testing"

	"kring/engine"
	"kring/internal/enginetest"
	"kring/internal/faultengine"
)

// runSuite runs the engines' own suite, whose owner must break no rule either.
func runSuite(t *testing.T, c faultengine.Config, more ...enginetest.Option) {
	options := append(more,
		enginetest.DialWith(func(n engine.Network, addr netip.AddrPort) (enginetest.Peer, error) {
			return n.(*faultengine.Network).Dial(addr)
		}),
		enginetest.ListenWith(func(n engine.Network, silent bool) (enginetest.PeerListener, error) {
			return peerListener{n.(*faultengine.Network).ListenPeer(silent)}, nil
		}),
		enginetest.ExhaustWith(func(n engine.Network) (func(), error) {
			n.(*faultengine.Network).Exhaust(true)
			return func() { n.(*faultengine.Network).Exhaust(false) }, nil
		}),
		enginetest.AtEnd(func(t testing.TB, n engine.Network) {
			if err := n.(*faultengine.Network).Check(); err != nil {
				t.Error(err)
			}
		}),
		enginetest.Allocates())
	enginetest.Run(t, func(testing.TB) engine.Network { return faultengine.New(c) }, options...)
}

// peerListener gives its peers by the suite's type.
type peerListener struct{ *faultengine.PeerListener }

func (l peerListener) Accept() (enginetest.Peer, error) { return l.PeerListener.Accept() }

func TestConformanceWithoutFaults(t *testing.T) { runSuite(t, faultengine.Config{}) }

func TestConformanceWithFaultsThatBreakNothing(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		c := faultengine.Gentle(seed)
		t.Run(faultengine.New(c).Features(), func(t *testing.T) { runSuite(t, c, enginetest.Light()) })
	}
}

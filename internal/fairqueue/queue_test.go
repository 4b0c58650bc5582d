package fairqueue

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func key(s string) netip.Prefix { return KeyOf(netip.MustParseAddr(s)) }

func TestAnIPv6NetworkIsOneClient(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"10.0.0.1", "10.0.0.2", false},
		{"10.0.0.1", "::ffff:10.0.0.1", true},
		{"2001:db8::1", "2001:db8::2", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
	} {
		if got := key(c.a) == key(c.b); got != c.same {
			t.Errorf("%s and %s are the same: %v", c.a, c.b, got)
		}
	}
	if KeyOf(netip.Addr{}) != (netip.Prefix{}) {
		t.Error("no address is not a key of its own")
	}
}

func TestEachAddressHasItsTurn(t *testing.T) {
	var q Queue[string]
	for _, v := range []string{"a1", "a2", "a3"} {
		q.Push(key("10.0.0.1"), v)
	}
	q.Push(key("10.0.0.2"), "b1")
	got := ""
	for v, ok := q.Pop(); ok; v, ok = q.Pop() {
		got += v + " "
	}
	if got != "a1 b1 a2 a3 " || q.Len() != 0 || len(q.own) != 0 {
		t.Errorf("%s, %d are left", got, q.Len())
	}
}

func TestWhoHasMostMakesWay(t *testing.T) {
	var q Queue[string]
	q.Push(key("10.0.0.1"), "a1")
	if v, ok := q.DropFor(key("10.0.0.2")); ok {
		t.Errorf("%s made way for an equal", v)
	}
	q.Push(key("10.0.0.1"), "a2")
	if v, ok := q.DropFor(key("10.0.0.1")); ok {
		t.Errorf("%s made way for its own address", v)
	}
	if v, ok := q.DropFor(key("10.0.0.2")); !ok || v != "a2" {
		t.Errorf("%q made way", v)
	}
}

// Whatever is done, each value comes out exactly once, and the turns are those of the
// addresses that have something there.
func TestEveryValueComesOutOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var q Queue[int]
	in := map[int]*Item[int]{}
	out := func(v int) {
		if in[v] == nil {
			t.Fatalf("%d came out twice", v)
		}
		delete(in, v)
	}
	for n := range 20_000 {
		k := key(fmt.Sprintf("10.0.0.%d", r.IntN(5)))
		switch r.IntN(5) {
		case 0, 1:
			in[n] = q.Push(k, n)
		case 2:
			if v, ok := q.Pop(); ok {
				out(v)
			}
		case 3:
			if v, ok := q.DropFor(k); ok {
				out(v)
			}
		default:
			for v, it := range in {
				if !q.Remove(it) || q.Remove(it) {
					t.Fatalf("%d was not there once", v)
				}
				out(v)
				break
			}
		}
		if q.Len() != len(in) || len(q.turns) != len(q.own) {
			t.Fatalf("%d wait of %d, %d turns of %d", q.Len(), len(in), len(q.turns), len(q.own))
		}
	}
}

package acceptor

import (
	"net/netip"
	"syscall"
	"testing"
)

// Only EMFILE and ENFILE are a reason to refuse clients. (The reserve was /dev/null
// once, which is missing in a chroot: every connection was refused.)
func TestClientsAreServedWhereNoSpareDescriptorCanBeHad(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{{syscall.ENOENT, "served"}, {syscall.EACCES, "served"}, {syscall.EPERM, "served"}, {syscall.EMFILE, "closed"}, {syscall.ENFILE, "closed"}} {
		d := newRig(t, Limits{}, "A")
		a := &Acceptor{queue: d.queues["A"], reserve: reserve{open: func() (func(), error) { return nil, c.err }}}
		d.nextFD++
		d.remote[d.nextFD] = netip.MustParseAddr("192.0.2.1")
		a.handleAccepted(d.nextFD)
		if served := d.served[d.nextFD] != nil; served != (c.want == "served") || d.closed[d.nextFD] == served {
			t.Errorf("%v: served %v, closed %v; want it %s", c.err, served, d.closed[d.nextFD], c.want)
		}
		if d.served[d.nextFD] != nil {
			d.disconnect(d.nextFD)
		}
	}
}

func TestTheReserveGivesItsDescriptorBackAndTakesItAgain(t *testing.T) {
	r := reserve{open: openSpare}
	for range 2 {
		if err := r.acquire(); err != nil {
			t.Fatal(err)
		}
		if !r.release() || r.release() {
			t.Fatal("a held reserve is released once")
		}
	}
}

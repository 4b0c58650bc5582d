package portable

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/enginetest"
)

func TestAcceptEndsWithEMFILEAndGoesOnWhenArmedAgain(t *testing.T) {
	r := newRig(t, Config{})
	r.Connect()
	var old unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	// Nobody accepts while the next peer connects, so its connection needs its
	// descriptor when there is none.
	r.e.Cancel(r.Listener.FD, enginetest.ListenerToken)
	r.Await(enginetest.ListenerToken, engine.OpAccept)
	late, err := net.Dial("tcp", r.Listener.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = late.Close() }()
	none := unix.Rlimit{Cur: 3, Max: old.Max}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &none, nil); err != nil {
		t.Fatal(err)
	}
	r.e.Accept(r.Listener.FD, enginetest.ListenerToken)
	c := r.Await(enginetest.ListenerToken, engine.OpAccept)
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &old, nil); err != nil {
		t.Fatal(err)
	}
	r.Want(c, engine.Failed(unix.EMFILE), false)
	r.e.Accept(r.Listener.FD, enginetest.ListenerToken)
	if c := r.Await(enginetest.ListenerToken, engine.OpAccept); c.Res < 0 || !c.More {
		t.Fatalf("%+v", c)
	}
}

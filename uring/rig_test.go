//go:build linux

package uring

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/slab"
)

// patience bounds failures; nothing that works takes it.
const patience = time.Minute

func newTestNetwork(t testing.TB, c Config) *Network {
	t.Helper()
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// rig is an engine with its owner: the test's goroutine.
type rig struct {
	t       testing.TB
	network *Network
	engine  *ringEngine
	pool    *slab.Pool
	done    []engine.Completion
	alone   bool // nobody else is at work for the owner
}

// onBothWaits runs a test on a locked and on a parked engine, and checks that
// no descriptor is left.
func onBothWaits(t *testing.T, c Config, test func(r *rig)) {
	for _, w := range []engine.Wait{engine.WaitLocked, engine.WaitParked} {
		t.Run(w.String(), func(t *testing.T) { onWait(t, c, w, test) })
	}
}

// onBothWaitsOfOneThread is onBothWaits where a parked engine does not change threads
// either. It is for what the kernel keeps by thread, and for what a test counts: the
// kernel completes an operation on the thread that armed it, and an owner that has left
// that thread waits until the system has scheduled it again.
func onBothWaitsOfOneThread(t *testing.T, c Config, test func(r *rig)) {
	for _, w := range []engine.Wait{engine.WaitLocked, engine.WaitParked} {
		t.Run(w.String(), func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			onWait(t, c, w, test)
		})
	}
}

// onAllWaits is onBothWaits, and beside it a parked engine that need not share its P.
func onAllWaits(t *testing.T, c Config, test func(r *rig)) {
	onBothWaits(t, c, test)
	t.Run("alone", func(t *testing.T) {
		onWait(t, c, engine.WaitParked, func(r *rig) {
			r.alone = true
			test(r)
		})
	})
}

func onWait(t *testing.T, c Config, w engine.Wait, test func(r *rig)) {
	if w == engine.WaitLocked {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	onOpened(t, newTestNetwork(t, c), w, test)
}

// onOpened is the part of onWait with an engine of n, on its thread.
func onOpened(t *testing.T, n *Network, w engine.Wait, test func(r *rig)) {
	before := descriptors(t)
	r := openRig(t, n, w)
	test(r)
	r.close()
	awaitDescriptors(t, before)
}

// awaitDescriptors waits until no more than before are open: the kernel closes a ring a
// while after its last user. Fewer is no leak: a finalizer may have closed what another
// test left.
func awaitDescriptors(t *testing.T, before int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); descriptors(t) > before; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors, %d before", descriptors(t), before)
		}
	}
}

// inItsOwnProcess runs a test in a child, for what is counted or set by process: other
// tests leave threads, descriptors and limits behind.
func inItsOwnProcess(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	const child = "KRING_TEST_CHILD"
	if os.Getenv(child) == t.Name() {
		test(t)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.count=1")
	c.Env = append(os.Environ(), child+"="+t.Name())
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func openRig(t testing.TB, n *Network, w engine.Wait) *rig {
	t.Helper()
	e, err := n.open(w)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, network: n, engine: e, pool: &slab.Pool{}, done: make([]engine.Completion, 64)}
}

func (r *rig) close() {
	r.t.Helper()
	if err := r.engine.Close(); err != nil {
		r.t.Error(err)
	}
	r.pool.Close()
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// pair is a connection: our end's descriptor, and the peer's.
func (r *rig) pair() (engine.FD, *net.TCPConn) {
	r.t.Helper()
	l, err := r.network.Listen(engine.ListenConfig{Address: "127.0.0.1:0"})
	if err != nil {
		r.t.Fatal(err)
	}
	defer r.network.Discard(l.FD)
	c, err := net.DialTimeout("tcp", l.Addr.String(), patience)
	if err != nil {
		r.t.Fatal(err)
	}
	fd, _, err := unix.Accept4(int(l.FD), unix.SOCK_CLOEXEC)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	return engine.FD(fd), c.(*net.TCPConn)
}

func (r *rig) poll(wait time.Duration) int {
	r.t.Helper()
	if r.alone {
		r.engine.AllowBlockingP()
	}
	n, err := r.engine.Poll(r.done, wait)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// until polls, gives every completion to f, and ends when f says so.
func (r *rig) until(f func(c *engine.Completion) bool) {
	r.t.Helper()
	ended := false
	for deadline := time.Now().Add(patience); !ended; {
		for i := range r.done[:r.poll(time.Second)] {
			ended = f(&r.done[i]) || ended
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("nothing after %v; %d outstanding", patience, r.engine.inflight)
		}
	}
}

// next is the next completion, which must be of op. Only where one is due.
func (r *rig) next(op engine.Op) engine.Completion {
	r.t.Helper()
	var got engine.Completion
	r.until(func(c *engine.Completion) bool {
		if got.Op != 0 {
			r.t.Fatalf("a second completion %+v where one %v was due", *c, op)
		}
		got = *c
		return true
	})
	if got.Op != op {
		r.t.Fatalf("%+v where a %v was due", got, op)
	}
	return got
}

// finish ends a connection with nothing outstanding.
func (r *rig) finish(fd engine.FD, t engine.Token, peer net.Conn) {
	r.t.Helper()
	r.engine.CloseFD(fd, t)
	if c := r.next(engine.OpClose); c.Res != 0 || c.More || c.Token != t {
		r.t.Fatalf("close: %+v", c)
	}
	_ = peer.Close()
}

func (r *rig) copyOf(s []byte) []byte {
	b := r.pool.Get(len(s))
	copy(b, s)
	return b
}

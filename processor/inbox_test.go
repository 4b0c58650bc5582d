package processor

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"kring/engine"
	"kring/reqchan"
)

// gone runs f, which may end its goroutine as a handler does that calls t.FailNow.
func gone(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// TestWhoEndsTheGoroutineOfAnInboxTakesNothingElseAlong: the tasks behind it are done, once, and
// no connection is adopted twice.
func TestWhoEndsTheGoroutineOfAnInboxTakesNothingElseAlong(t *testing.T) {
	var i inbox
	i.make(func() {})
	var did []string
	for k := range 4 {
		i.submit(func() {
			if did = append(did, fmt.Sprint("task ", k)); k == 1 {
				runtime.Goexit()
			}
		})
		if !i.expect(100) {
			t.Fatal("it takes no connection")
		}
		i.post(message{socket: engine.Accepted{FD: engine.FD(k)}})
	}
	gone(i.open)
	i.open()
	adopt := func(m message) {
		if did = append(did, fmt.Sprint("connection ", m.socket.FD)); m.socket.FD == 2 {
			runtime.Goexit()
		}
	}
	gone(func() { i.adopt(adopt, 100) })
	i.refuse(adopt)
	if want := []string{"task 0", "task 1", "task 2", "task 3", "connection 0", "connection 1", "connection 2", "connection 3"}; !slices.Equal(did, want) {
		t.Errorf("done: %q", did)
	}
	if n := i.expected.Load(); n != 0 || i.waiting() != 0 {
		t.Errorf("%d are expected, %d wait", n, i.waiting())
	}
}

// dropping is a network and an engine that note what they are given back.
type dropping struct {
	engine.Network
	idleEngine
	recycled  int
	discarded []engine.FD
}

func (d *dropping) Recycle(*engine.Completion) { d.recycled++ }
func (d *dropping) Discard(fd engine.FD)       { d.discarded = append(d.discarded, fd) }

// TestWhatAPollBroughtLastIsGivenBack when nobody will take it any more: memory, and sockets.
func TestWhatAPollBroughtLastIsGivenBack(t *testing.T) {
	p, d := idleProcessor(1), &dropping{}
	p.engine, p.cfg.Network = opened{Engine: d}, d
	p.reap(p.slots.all[0], "data")
	p.reaped.done[1] = engine.Completion{Op: engine.OpAccept, Token: hostedToken(0), Res: 77}
	p.reaped.done[2] = engine.Completion{Op: engine.OpAccept, Token: hostedToken(0), Res: -1}
	p.reaped.n = 3
	p.dropReaped()
	if p.reaped.left() || d.recycled != 3 || !slices.Equal(d.discarded, []engine.FD{77}) {
		t.Errorf("%d were recycled, %v closed; more is left: %v", d.recycled, d.discarded, p.reaped.left())
	}
}

// TestAnAnswerOfAnotherConnectionIsDropped: tokens come around after 16 million uses of a slot.
func TestAnAnswerOfAnotherConnectionIsDropped(t *testing.T) {
	p := idleProcessor(1)
	c := p.slots.all[0]
	p.reap(c, "\x00\x00\x00\x01r")
	p.completeSome()
	if len(p.handlers.ordinary.pending) != 1 {
		t.Fatal("nothing was asked")
	}
	j := p.handlers.ordinary.pending[0]
	p.handedOn(1, 0)
	j.Conn = &reqchan.Conn{} // of the one that had the slot before
	j.Request().Respond([]byte("secret"))
	j.HandleReturned()
	p.takeAnswers(j)
	if n := c.Describe().InFlight; n != 1 || p.shared.Counts().Responses != 0 {
		t.Errorf("%d requests are in flight, %d were answered", n, p.shared.Counts().Responses)
	}
}

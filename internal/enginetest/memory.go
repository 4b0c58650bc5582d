package enginetest

import (
	"testing"

	"kring/engine"
	"kring/internal/invariants"
)

var memoryProperties = []property{
	{name: "PollDoesNotAllocate", run: pollDoesNotAllocate, unless: func(s *suite) bool {
		return s.allocates || invariants.Enabled // assertions and the race detector allocate
	}},
}

// exchange sends and receives on one connection without an allocation of its own.
type exchange struct {
	o        *owner
	c        *conn
	hello    []byte
	answer   []byte
	bufs     [][]byte
	received int
	sent     int
	ended    bool // the receive ended
}

// pollDoesNotAllocate counts the allocations of receive, recycle, gathered send,
// cancel, re-arm and wake together.
func pollDoesNotAllocate(o *owner) {
	c := o.pair()
	x := &exchange{
		o: o, c: c, hello: make([]byte, 64), answer: make([]byte, 128),
		bufs: [][]byte{o.pool.Get(64), o.pool.Get(64)},
	}
	for range 100 {
		x.run()
	}
	if perRun := testing.AllocsPerRun(500, x.run); perRun >= 1 {
		o.Fatalf("an exchange allocates %v times", perRun)
	}
	for _, b := range x.bufs {
		o.pool.Put(b)
	}
}

func (x *exchange) run() {
	o, c := x.o, x.c
	x.received, x.sent, x.ended = 0, 0, false
	o.e.Recv(c.fd, c.token)
	o.e.Send(c.fd, c.token, x.bufs)
	if _, err := c.peer.Write(x.hello); err != nil {
		o.Fatal(err)
	}
	for x.received < len(x.hello) || x.sent < len(x.answer) {
		x.poll()
	}
	if _, err := c.peer.Read(x.answer); err != nil {
		o.Fatal(err)
	}
	o.e.Cancel(c.fd, c.token)
	for !x.ended {
		x.poll()
	}
	o.e.Wake()
	x.poll()
}

func (x *exchange) poll() {
	o := x.o
	n, err := o.e.Poll(o.done, patience)
	if err != nil {
		o.Fatal(err)
	}
	for i := range o.done[:n] {
		o.completed++
		switch d := &o.done[i]; {
		case d.Op == engine.OpSend:
			x.sent += int(d.Res)
		case d.Res > 0:
			x.received += int(d.Res)
			o.e.Recycle(d)
			x.ended = !d.More
		default:
			x.ended = true
		}
	}
}

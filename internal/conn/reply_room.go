package conn

import (
	"fmt"

	"kring/internal/budget"
	"kring/reqchan"
)

// The peer of a connection that this side makes decides how large its replies are. So the
// memory of a reply is taken of the budget of all responses before its body is read: while
// there is none, the connection stands in the budget's line, nothing of it is read, and TCP
// pushes back. Small replies have their share of the budget, so they pass large ones that
// wait. Whoever keeps the memory (a client that does not read) is hurried by the line, and
// FrameTimeout ends the wait.
//
// Invariant: a reply in line holds no memory but what has come of it, and what it waits for
// is given back without it: by clients that read, by replies that end, and by the timeouts
// of both. Requests that wait for their reply hold nothing of the budget.

// replyFreeBytes is how large a reply may be that takes nothing of the budget: its memory is
// what the job of its request keeps anyway.
const replyFreeBytes = 16 << 10

// roomError says that there was no memory for a reply.
type roomError struct {
	size int
	most int64
}

func (e *roomError) Error() string {
	if int64(e.size) > e.most {
		return fmt.Sprintf("a frame of %d bytes: all responses together may take %d; raise Memory.ResponseBytesMax (--response-memory-max)", e.size, e.most)
	}
	return fmt.Sprintf("a frame of %d bytes: responses that clients have not read left no room for it in time, of %d bytes", e.size, e.most)
}

// hasRoom says that a reply of n bytes may be taken; false: it stands in line, or the
// connection has ended.
func (c *Conn) hasRoom(n int) bool {
	b, t := c.shared.cfg.Responses, c.waits.ticket
	switch {
	case t != nil:
		return t.Granted()
	case n <= replyFreeBytes, n <= budget.SmallBytes && !b.Tight():
		return true
	}
	if most := b.Max(); most > 0 && int64(n) > most {
		c.noRoom(n)
		return false
	}
	c.waits.ticket = c.line(int64(n), (*Conn).Resume)
	if c.waits.ticket.Granted() {
		return true
	}
	c.waits.since = c.shared.now
	c.EndStream()
	return false
}

// roomTaken says that the memory of the reply is counted by now: by whoever gave it, or, with
// keep, by the place in the budget, until letRoomGo.
func (c *Conn) roomTaken(keep bool) {
	t := c.waits.ticket
	if c.waits.ticket, c.waits.since = nil, 0; t == nil {
		return
	}
	if keep {
		c.up.room = t
	} else {
		t.Release()
	}
}

// letRoomGo gives back what the reply begun has of the budget.
func (u *upstream) letRoomGo() {
	if u.room != nil {
		u.room.Release()
		u.room = nil
	}
}

// waitsForRoom says that a reply is in line: nothing is read meanwhile.
func (c *Conn) waitsForRoom() bool {
	return c.up != nil && c.waits.ticket != nil && !c.waits.ticket.Granted()
}

// roomUntil is when a reply has waited long enough.
func (c *Conn) roomUntil() (at int64, waits bool) {
	if c.set.FrameTimeout <= 0 || !c.waitsForRoom() {
		return 0, false
	}
	return c.waits.since + int64(c.set.FrameTimeout), true
}

// noRoom ends a connection whose reply of n bytes finds no memory.
func (c *Conn) noRoom(n int) {
	c.up.broke(&roomError{n, c.shared.cfg.Responses.Max()})
	c.terminate(reqchan.ResponseMemoryFull)
}

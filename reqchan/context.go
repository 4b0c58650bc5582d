package reqchan

import (
	"context"
	"sync/atomic"
)

// Gone is the cause of a connection's Context (context.Cause): why nobody waits
// for its answers any more.
type Gone struct{ Why CloseReason }

// Error names the reason.
func (g Gone) Error() string { return "the connection ended: " + g.Why.String() }

// Context ends when nobody waits for an answer any more: the client reset the
// connection or finished sending (a client of this protocol does that only to
// go), or the server cuts it. context.Cause tells which, as a Gone. A long poll
// should end with it; work that was asked for without an answer (Produce with
// acks 0) should not, because it may still arrive after the client went.
//
// A connection that is muted for what it sent ahead (HeldBytesMax) shows its
// end only when it is read again.
//
// It is made when it is first asked for; until then it costs nothing. Any
// goroutine may ask, at any time. The server ends it on a processor's goroutine:
// what is attached to it must not block there, and context.AfterFunc doesn't.
func (c *Conn) Context() context.Context { return c.life.context() }

// Done is closed when Context ends.
func (c *Conn) Done() <-chan struct{} { return c.life.context().Done() }

// ConnGone is for the processor: nobody waits for answers of c.
func ConnGone(c *Conn, why CloseReason) { c.life.end(why) }

// life is a connection's context, while nobody has asked for it no more than
// the place for it.
type life struct {
	// why: Order: it is stored before made is looked at; whoever makes the
	// context publishes it before it loads why. One of the two sees the other.
	why  atomic.Uint32 // a CloseReason; ReasonNone while somebody may wait
	made atomic.Pointer[lifeContext]
}

type lifeContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

func (l *life) context() context.Context {
	made := l.made.Load()
	if made == nil {
		ctx, cancel := context.WithCancelCause(context.Background())
		made = &lifeContext{ctx, cancel}
		if !l.made.CompareAndSwap(nil, made) {
			cancel(nil)
			made = l.made.Load()
		}
		if why := CloseReason(l.why.Load()); why != ReasonNone {
			made.cancel(Gone{why})
		}
	}
	return made.Context
}

// end ends it, for the first reason that is given.
func (l *life) end(why CloseReason) {
	if l.why.CompareAndSwap(uint32(ReasonNone), uint32(why)) {
		if made := l.made.Load(); made != nil {
			made.cancel(Gone{why})
		}
	}
}

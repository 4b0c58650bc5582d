package conn

import "kring/internal/invariants"

// life is how far a connection's life has come. What it does, and what an input does to
// it, follows from its life and from the four things that are apart from it: what stands
// on the receiving side (receiveState), whether a Send is outstanding, whether a file is
// being read, and how many requests are in flight.
//
// They are apart because they are not the connection's to choose: each ends when its
// completion or its answer comes, in whatever life the connection is then. A connection is
// closed when none of the first three is outstanding: see join.
type life uint8

// In this order: each later one has less left to do.
const (
	// vacant: there is no connection.
	vacant life = iota
	// connecting: this side makes it, and Connect is outstanding.
	connecting
	// serving: bytes are received, frames are cut, and requests are answered. If the peer
	// has finished sending (receiveOver) what it sent is served first, and then it ends.
	serving
	// leaving: nothing more is cut, and what stands on the receiving side is cancelled.
	// When nothing is outstanding or in flight it goes on with another processor.
	leaving
	// draining: nothing more is cut. When nothing is in flight and all is sent, it ends.
	draining
	// finishing: nothing more is cut, and no answer is sent that comes from here on. When
	// all is sent that was queued before, it ends.
	finishing
	// delayed: as finishing, and its last response waits for the alarm, or for draining.
	delayed
	// ending: the socket was shut down, and the last completions are awaited.
	ending
	// closing: nothing is outstanding but the descriptor's close.
	closing
	lives

	// noLife is where an illegal step leads.
	noLife
)

var lifeNames = [...]string{"vacant", "connecting", "serving", "leaving", "draining", "finishing", "delayed", "ending", "closing", "", "illegal"}

func (l life) String() string { return lifeNames[l] }

// lifeStep is what happens to a life.
type lifeStep uint8

const (
	toServe     lifeStep = iota // opened, attached, or it is to stay
	toLeave                     // it is to go on with another processor
	toDrain                     // its processor or its listener is draining
	toFinish                    // a handler closes it, or its bytes can't be cut
	toDelay                     // a handler closes it, later
	delayOver                   // the alarm rang
	toEnd                       // it has nothing more to do, or broke, or is cut off
	allComplete                 // nothing is outstanding any more
	closed                      // the descriptor is closed, or the engine
	toConnect                   // this side is to make it
	connected                   // it has
	lifeSteps
)

// lifeTable says what each step leads to. A step that leads where the life is changes
// nothing: what is asked of a connection that is closing anyway is not done.
var lifeTable = [lives][lifeSteps]life{
	//          toServe    toLeave    toDrain    toFinish   toDelay    delayOver  toEnd    allComplete closed  toConnect   connected
	vacant:     {serving, noLife, noLife, noLife, noLife, noLife, noLife, noLife, noLife, connecting, noLife},
	connecting: {noLife, noLife, noLife, noLife, noLife, noLife, ending, noLife, noLife, noLife, serving},
	serving:    {serving, leaving, draining, finishing, delayed, noLife, ending, noLife, noLife, noLife, noLife},
	leaving:    {serving, leaving, draining, finishing, noLife, noLife, ending, noLife, noLife, noLife, noLife},
	draining:   {noLife, noLife, draining, finishing, noLife, noLife, ending, noLife, noLife, noLife, noLife},
	finishing:  {finishing, finishing, finishing, finishing, noLife, noLife, ending, noLife, noLife, noLife, noLife},
	delayed:    {delayed, delayed, finishing, delayed, noLife, finishing, ending, noLife, noLife, noLife, noLife},
	ending:     {ending, ending, ending, ending, noLife, noLife, ending, closing, vacant, noLife, noLife},
	closing:    {closing, closing, closing, closing, noLife, noLife, closing, closing, vacant, noLife, noLife},
}

// become makes one step, and says whether it changed anything. An illegal one is a fault of
// ours, and changes nothing.
func (c *Conn) become(s lifeStep) (changed bool) {
	to := lifeTable[c.life][s]
	invariants.Assert(to != noLife, "conn: step %d of a connection that is %v", s, c.life)
	if to == c.life || to == noLife {
		return false
	}
	c.life = to
	return true
}

// receiveState is what stands on the receiving side of a connection.
type receiveState uint8

const (
	// receiveNone: nothing, until arm puts something up.
	receiveNone receiveState = iota
	// receiveOver: nothing ever again, because the peer has finished sending.
	receiveOver
	// receiveStream: Loop.Receive.
	receiveStream
	// receiveSize: Loop.ReceiveInto the size of the next frame.
	receiveSize
	// receiveFrame: Loop.ReceiveInto the rest of a frame.
	receiveFrame
	// receiveLarge: Loop.ReceiveLarge.
	receiveLarge
)

// up says that something stands: a completion will come.
func (r receiveState) up() bool { return r >= receiveStream }

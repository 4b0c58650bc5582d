package reqchan

import (
	"testing"
	"time"
)

// TestTheZeroRequestDoesNothing: a handler that kept none, or a field that was never
// set, must not end the process.
func TestTheZeroRequestDoesNothing(t *testing.T) {
	var r Request
	r.Respond([]byte("nobody gets it"))
	r.NoResponse()
	r.CloseConnection(HandlerClosed)
	r.CloseConnectionAfter(HandlerClosed, time.Hour, nil)
	r.SetErrorCode(7)
	r.Throttle(time.Hour)
	r.Truncate(0)
	r.PaceResponse()
	r.LoseMemory()
	r.BeforeAnswer(nil)
	r.WatchAnswer(nil)
	released := false
	if err := r.RespondParts([]Part{{Bytes: []byte("nor this")}}, func() { released = true }); err != nil || !released {
		t.Errorf("RespondParts: %v, files released %v", err, released)
	}
	if r.Payload() != nil || r.Conn() != nil || r.ErrorCode() != 0 || r.ClosedByPanic() || r.API() != 0 || r.Version() != 0 {
		t.Error("the zero Request shows something")
	}
	if _, known := r.Age(); known {
		t.Error("the zero Request has an age")
	}
	if _, known := r.Seq(); known || r.Context().Err() != nil || len(r.Buffer(9)) != 9 || r.ResponseRoom() < 0 {
		t.Error("a method of the zero Request does not do what it says")
	}
}

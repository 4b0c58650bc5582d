package conn

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"kring/engine"
	"kring/reqchan"
)

// The table as sentences: what is not here changes nothing, or is illegal.
func TestTheStepsOfALifeLeadForward(t *testing.T) {
	names := [lifeSteps]string{"serve", "leave", "drain", "finish", "delay", "over", "end", "complete", "closed", "connect", "connected"}
	moves := map[string]string{
		"vacant serve":   "serving",
		"vacant connect": "connecting", "connecting connected": "serving", "connecting end": "ending",
		"serving leave": "leaving", "serving drain": "draining", "serving finish": "finishing", "serving delay": "delayed", "serving end": "ending",
		"leaving serve": "serving", "leaving drain": "draining", "leaving finish": "finishing", "leaving end": "ending",
		"draining finish": "finishing", "draining end": "ending",
		"finishing end": "ending",
		"delayed over":  "finishing", "delayed drain": "finishing", "delayed end": "ending",
		"ending complete": "closing", "ending closed": "vacant", "closing closed": "vacant",
	}
	found := 0
	for from := range lives {
		for step := range lifeSteps {
			got, want := lifeTable[from][step], moves[from.String()+" "+names[step]]
			switch {
			case want != "":
				if found++; got.String() != want {
					t.Errorf("%v, %s: %v, want %s", from, names[step], got, want)
				}
			case got != from && got != noLife:
				t.Errorf("%v, %s: %v, want nothing", from, names[step], got)
			}
			if got < from && want != "serving" && want != "vacant" && want != "finishing" {
				t.Errorf("%v, %s: back to %v", from, names[step], got)
			}
		}
		if from != vacant && lifeTable[from][toEnd] < ending {
			t.Errorf("%v can't end", from)
		}
	}
	if found != len(moves) {
		t.Errorf("%d of %d moves", found, len(moves))
	}
}

func eof() *engine.Completion {
	return &engine.Completion{Op: engine.OpRecv, Token: testToken}
}

func TestWhatThePeerSentBeforeItsEndIsServedFirst(t *testing.T) {
	l := newTestLoop(t, Settings{}, nil)
	defer l.end()
	l.wants("at first", "receive")
	l.receive(append(testFrame("one"), testFrame("two")...), true)
	l.conn.Received(eof())
	l.wants("one is in flight")
	l.answer(echo)
	l.flush()
	l.wants("two is in flight", "send 7")
	l.sent(7)
	l.answer(echo)
	l.flush()
	l.wants("all is answered", "send 7")
	l.sent(7)
	l.wants("all is sent", "close")
	if l.conn.Closed(); l.why != reqchan.PeerFinished {
		t.Errorf("closed for %v", l.why)
	}
}

func TestAHalfReceivedFrameOfAPeerThatResetsGivesItsMemoryBack(t *testing.T) {
	for _, n := range []int{3, 1000} { // in the framer, and in its own memory
		l := newTestLoop(t, Settings{}, nil)
		l.receive(testFrame(strings.Repeat("x", 100_000))[:n], false)
		l.wanted = nil
		l.conn.Filled(&engine.Completion{Op: engine.OpRecvInto, Token: testToken, Res: engine.Failed(syscall.ECONNRESET)})
		l.wants("reset", "close")
		if l.conn.Closed(); l.why != reqchan.PeerReset {
			t.Errorf("closed for %v", l.why)
		}
		l.end()
	}
}

func TestACloseWaitsForWhatIsOutstanding(t *testing.T) {
	l := newTestLoop(t, Settings{}, nil)
	l.receive(testFrame("a"), true)
	l.answer(echo)
	l.flush()
	l.wants("answered", "receive", "send 5")
	l.conn.Evict()
	l.wants("evicted", "shutdown")
	l.receiveEnds(0)
	l.wants("a Send is outstanding")
	l.sent(5)
	l.wants("nothing is", "close")
	l.conn.Closed()
	l.end()
}

func TestADelayedCloseKeepsItsResponseUntilTheAlarmOrTheDrain(t *testing.T) {
	for _, drain := range []bool{false, true} {
		l := newTestLoop(t, Settings{}, nil)
		l.receive(testFrame("a"), true)
		l.answer(func(r reqchan.Request) {
			r.CloseConnectionAfter(reqchan.HandlerClosed, time.Second, []byte("no"))
		})
		l.flush()
		l.wants("delayed", "receive", "cancel")
		if drain {
			l.from.Drain()
			l.conn.ApplySettings()
		} else {
			l.shared.Tick(l.alarm, 0)
			l.conn.AlarmRang()
		}
		l.flush()
		l.wants("over", "send 6")
		l.receiveEnds(engine.Failed(syscall.ECANCELED))
		l.sent(6)
		l.wants("sent", "close")
		l.conn.Closed()
		l.end()
	}
}

// TestAFileStaysOpenUntilNothingIsReadOfIt: its handler closes it when it is told that it is
// not needed, and then its descriptor may be anything.
func TestAFileStaysOpenUntilNothingIsReadOfIt(t *testing.T) {
	l := newTestLoop(t, Settings{}, nil)
	defer l.end()
	l.receive(testFrame("file"), true)
	released := false
	l.answer(func(r reqchan.Request) {
		if err := r.RespondParts([]reqchan.Part{{File: os.Stdin, Length: 400_000}}, func() { released = true }); err != nil {
			t.Fatal(err)
		}
	})
	l.flush() // sends the size
	l.wants("answered", "receive", "read file 131072 at 0", "send 4")
	l.conn.Sent(&engine.Completion{Op: engine.OpSend, Token: testToken, Res: engine.Failed(syscall.EPIPE)})
	if released {
		t.Error("it was released while a piece of it was being read")
	}
	l.receiveEnds(engine.Failed(syscall.EPIPE))
	l.conn.FileRead(&engine.Completion{Op: engine.OpReadFile, Token: testToken, Res: 131072})
	l.wants("nothing is outstanding", "shutdown", "close")
	if !released {
		t.Error("it was not released at the end")
	}
	l.conn.Closed()
}

// TestARequestIsNotDroppedTwice: that of a connection which had ended before was not in
// flight when it was evicted.
func TestARequestIsNotDroppedTwice(t *testing.T) {
	l := newTestLoop(t, Settings{}, nil)
	l.receive(testFrame("slow"), true)
	l.conn.Evict()
	l.conn.Evict()
	if n := l.shared.count.Dropped; n != 1 {
		t.Errorf("%d requests were dropped, not 1", n)
	}
	l.receiveEnds(0)
	l.conn.Closed()
	l.end()
}

// TestAFileIsReleasedThoughTheKernelKeepsWhatWasReadOfIt: whoever gave it waits for that,
// and nobody else tells.
func TestAFileIsReleasedThoughTheKernelKeepsWhatWasReadOfIt(t *testing.T) {
	l := newTestLoop(t, Settings{}, nil)
	l.receive(testFrame("file"), true)
	released := 0
	l.answer(func(r reqchan.Request) {
		if err := r.RespondParts([]reqchan.Part{{File: os.Stdin, Length: 400_000}}, func() { released++ }); err != nil {
			t.Fatal(err)
		}
	})
	l.flush()
	l.conn.EngineFailed()
	l.conn.Abandon(true)
	if l.conn.Closed(); released != 1 {
		t.Errorf("it was released %d times", released)
	}
	if l.shared.count.Lost == 0 {
		t.Error("nothing is lost: the kernel should keep what is read and sent")
	}
}

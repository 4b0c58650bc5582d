package conn

import (
	"bytes"
	"testing"
	"time"

	"kring/engine"
	"kring/reqchan"
)

// TestWhatIsCutAndNotBegunIsBoundedOverAllConnections: a throttle in the middle of a run
// leaves the rest of it with its connection, for as long as that is throttled.
func TestWhatIsCutAndNotBegunIsBoundedOverAllConnections(t *testing.T) {
	l := newTestLoop(t, Settings{ThrottleMax: time.Minute}, nil)
	frames := bytes.Repeat([]byte{0, 0, 0, 1, 'x'}, reqchan.RunMax)
	cut := 0
	for i := range 4 * followersMax / reqchan.RunMax {
		c := &Conn{}
		token := engine.MakeToken(uint32(i)+100, 0)
		c.Open(l.shared, token, &reqchan.Conn{}, l.from, engine.PrefaceNone)
		c.ApplySettings()
		c.Received(&engine.Completion{Op: engine.OpRecv, Token: token, Res: int32(len(frames)), Data: bytes.Clone(frames), More: true})
		l.conn = c
		l.answer(func(r reqchan.Request) {
			r.Throttle(time.Minute)
			r.NoResponse()
		})
		if c.pipeline.unbegun != nil {
			cut += c.pipeline.unbegun.InRun()
		}
	}
	if cut == 0 || cut > followersMax {
		t.Errorf("%d requests are cut and not begun, at most %d were to be", cut, followersMax)
	}
}

package pace

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNobodyComputesForLongerThanATurnAndAPiece, whatever the pieces are.
func TestNobodyComputesForLongerThanATurnAndAPiece(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now, awake := int64(1), int64(0)
		p := Pace{Now: func() int64 { return now }, Sleep: func(d time.Duration) {
			if d != Rest {
				t.Fatalf("it rests for %v", d)
			}
			now, awake = now+int64(d), 0
		}}
		p.Step()
		for _, piece := range rapid.SliceOf(rapid.Int64Range(0, 3*int64(Turn))).Draw(t, "pieces") {
			was := awake
			now, awake = now+piece, awake+piece
			p.Step()
			switch over := was+piece >= int64(Turn); {
			case over && awake != 0:
				t.Fatalf("it has computed for %v and goes on", time.Duration(awake))
			case !over && awake != was+piece:
				t.Fatalf("it rests after %v", time.Duration(was+piece))
			}
		}
	})
}

func BenchmarkStep(b *testing.B) {
	p := Pace{Sleep: func(time.Duration) {}}
	for range b.N {
		p.Step()
	}
}

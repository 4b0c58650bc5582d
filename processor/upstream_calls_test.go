package processor

import (
	"errors"
	"slices"
	"testing"

	"kring/reqchan"
)

// toldOwner writes down what it is told.
type toldOwner struct{ told *[]string }

func (o toldOwner) Opened()                                {}
func (o toldOwner) FrameBegins(int, int32) ([]byte, error) { return nil, nil }
func (o toldOwner) Frame([]byte)                           {}
func (o toldOwner) Closed(reqchan.CloseReason, error)      { *o.told = append(*o.told, "closed") }

// TestAFrameBehindAnEndIsDoneBeforeIt: Closed is the last that is said of what was asked for
// together.
func TestAFrameBehindAnEndIsDoneBeforeIt(t *testing.T) {
	var told []string
	u := NewUpstream(toldOwner{&told})
	u.Close(errors.New("enough"))
	u.Write(Outgoing{Parts: [][]byte{{1}}, Done: func(begun bool, _ error) {
		if begun {
			t.Error("it counts as begun")
		}
		told = append(told, "done")
	}})
	u.runCalls()
	if want := []string{"done", "closed"}; !slices.Equal(told, want) {
		t.Errorf("%q, want %q", told, want)
	}
}

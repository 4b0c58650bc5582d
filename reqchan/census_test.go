package reqchan

import (
	"fmt"
	"sync"
	"testing"
)

// Whatever clients call themselves, and in whatever order they say so and go, as
// many names are kept as may be and nobody is counted twice.
func TestTheCensusIsBoundedAndComesBackToNothing(t *testing.T) {
	var s Census
	conns := make([]*Conn, 3*LabelsMax)
	for i := range conns {
		conns[i] = new(Conn)
		s.Enter(conns[i])
		conns[i].SetSoftware(Software{fmt.Sprint(i), "1"})
	}
	counts := s.Counts()
	if len(counts) != LabelsMax+1 || counts[OtherSoftware] != 2*LabelsMax {
		t.Errorf("%d names, %d others", len(counts), counts[OtherSoftware])
	}
	var both sync.WaitGroup
	for _, c := range conns {
		both.Go(func() { c.SetSoftware(Software{"same", "2"}) })
		both.Go(func() { LeaveCensus(c) })
	}
	both.Wait()
	if counts := s.Counts(); len(counts) != 0 {
		t.Errorf("left: %v", counts)
	}
	if got := conns[0].Software().Name; got != "same" {
		t.Errorf("it says %q", got)
	}
}

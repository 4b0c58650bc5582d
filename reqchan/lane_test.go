package reqchan

import (
	"testing"

	"kring/internal/queue"
)

func TestAFullLaneKeepsNobodyFromTheOther(t *testing.T) {
	c := New(Config{RequestsMax: 4, PriorityMax: 2})
	calls := 0
	wakeFlag := queue.NewWakeFlag(func() { calls++ })
	ordinary, priority := c.NewSender(wakeFlag), c.NewPrioritySender(wakeFlag)
	send := func(s *Sender, n int) int {
		reqs := make([]*Job, n)
		for i := range reqs {
			reqs[i] = new(Job)
		}
		n, _ = s.TrySend(reqs)
		return n
	}
	if n := send(ordinary, 6); n != 4 {
		t.Errorf("%d ordinary requests accepted, there is room for 4", n)
	}
	if n := send(priority, 3); n != 2 || c.Len() != 6 || c.PriorityLen() != 2 {
		t.Errorf("%d requests with priority accepted, there is room for 2; %d and %d wait", n, c.Len(), c.PriorityLen())
	}
	v := c.NewReceiver(nil)
	into := make([]*Job, 8)
	if n, _ := v.Receive(into); n != 2 || calls != 1 {
		t.Errorf("%d taken first, and %d calls: want the 2 with priority, and their sender called", n, calls)
	}
	if n, _ := v.Receive(into); n != 4 || calls != 2 {
		t.Errorf("%d taken then, and %d calls", n, calls)
	}
	send(priority, 1)
	c.Close()
	if n, ok := v.Receive(into); n != 1 || !ok {
		t.Errorf("%d taken of the closed channel, %v", n, ok)
	}
	if n, ok := v.Receive(into); n != 0 || ok {
		t.Errorf("%d taken of the empty channel, %v", n, ok)
	}
}

// However much has priority, the others get their turn.
//
// Kafka: Q-15.
func TestPriorityStarvesNobody(t *testing.T) {
	c := New(Config{RequestsMax: 100, PriorityMax: 1000})
	wakeFlag := queue.NewWakeFlag(func() {})
	ordinary, priority := c.NewSender(wakeFlag), c.NewPrioritySender(wakeFlag)
	fill := func(s *Sender, seq uint64, n int) {
		for range n {
			r := NewJob(nil, nil)
			r.Seq = seq
			s.TrySend([]*Job{r})
		}
	}
	fill(ordinary, 0, 10)
	fill(priority, 1, 200)
	v := c.NewReceiver(nil)
	into := make([]*Job, 1)
	since := 0
	for left := 10; left > 0; {
		v.Receive(into)
		if into[0].Seq == 0 {
			left--
			since = 0
		} else if since++; since > priorityStreakMax {
			t.Fatalf("%d requests with priority, one after the other, and %d others wait", since, left)
		}
	}
	if n := c.PriorityLen(); n != 200-10*priorityStreakMax {
		t.Errorf("%d with priority are left: they did not go first", n)
	}
}

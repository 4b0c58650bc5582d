package reqchan

import (
	"testing"

	"kring/internal/budget"
)

// counted is a supply with a budget of max bytes.
func counted(max int64) *supply {
	s := &supply{owner: newOwner()}
	s.jobs.Budget = budget.New(max)
	return s
}

func (s *supply) used() int64 { return s.jobs.Budget.Stats().Used }

// What a response takes beyond what jobs keep is counted as long as it is there, however
// it was answered and whoever else answers.
func TestWhatAResponseTakesIsCountedUntilItIsGivenBack(t *testing.T) {
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			s := counted(64 << 20)
			for range 20 {
				aside := s.used()
				j, r := s.begun("....mine")
				r.Buffer(200_000)
				if n := s.used() - aside; n < 200_000 || n > 200_100 {
					t.Fatalf("%d bytes are counted", n)
				}
				r.Buffer(300_000)
				answer(r)
				if n := s.used() - aside; n < 300_000 || n > 450_000 {
					t.Fatalf("%d bytes are counted", n)
				}
				s.done(j)
			}
			if n := s.used(); n > 64<<20/asidePart {
				t.Errorf("%d bytes are put aside", n)
			}
			if s.jobs.Tidy(Now() + asideTime + 1); s.used() != 0 {
				t.Errorf("%d bytes are counted of nothing", s.used())
			}
			s.jobs.Free()
			if n := s.pool.Lent(); n != 0 {
				t.Errorf("%d pieces did not come home", n)
			}
		})
	}
}

// What waits until nobody writes there any more is given back when it is time, without
// another answer.
func TestMemoryThatIsPutAsideIsGivenBackInTime(t *testing.T) {
	s := counted(64 << 20)
	if s.jobs.Tidy(Now()) >= 0 {
		t.Error("there is something to wait for")
	}
	j, r := s.begun("....mine")
	r.Buffer(1 << 20)
	r.NoResponse()
	s.done(j)
	now := Now()
	due := s.jobs.Tidy(now)
	if s.used() < 1<<20 || due <= 0 || int64(due) > asideTime {
		t.Errorf("%d bytes wait, for %v", s.used(), due)
	}
	if due = s.jobs.Tidy(now + int64(due)); s.used() != 0 || due >= 0 {
		t.Errorf("%d bytes wait, for %v", s.used(), due)
	}
}

// A request that comes too early goes home and comes again, with what its response may
// take, which it has until it takes it.
func TestARequestThatComesEarlyComesAgainWithItsShare(t *testing.T) {
	s := counted(64 << 20)
	b := s.jobs.Budget
	large, first := s.begunOf(1)
	first.Buffer(48 << 20) // all there is
	if j, _ := s.begunOf(3); j.Early() {
		t.Error("a request of an API that nothing large is known of comes early")
	}
	j, _ := s.begunOf(1)
	if !j.Early() {
		t.Fatal("it does not come early")
	}
	j.Postpone()
	Return([]*Job{j})
	if s.home.Take() != j || !j.Postponed() || j.Plain() != nil {
		t.Fatal("it did not come home unanswered")
	}
	j.Begin(s.home, &s.pool)
	turn := b.Queue(b.Expect(1), func() {})
	j.TakeTicket(turn)
	if turn.Granted() || j.Early() {
		t.Error("there is room, or it comes early again")
	}
	first.NoResponse()
	s.done(large)
	s.jobs.Tidy(Now() + asideTime + 1)
	if !turn.Granted() || s.used() != b.Expect(1) {
		t.Errorf("%d bytes are counted for it", s.used())
	}
	r := j.Request()
	r.Respond(r.Buffer(1 << 20))
	if n := s.used(); n > 1<<20+100 {
		t.Errorf("%d bytes are counted for a response of 1 MiB", n)
	}
	s.done(j)
	if n := s.used(); n != 0 {
		t.Errorf("%d bytes are counted of nothing", n)
	}
}

// TestAStaleRequestPacesNobody: whoever is late says nothing about the request that has
// the job now.
func TestAStaleRequestPacesNobody(t *testing.T) {
	s := counted(64 << 20)
	j, old := s.begun("....mine")
	old.PaceResponse()
	old.NoResponse()
	s.done(j)
	next, r := s.begun("....mine")
	old.PaceResponse()
	if next != j || j.paced {
		t.Errorf("the job is another: %t, or paced by who had it before", next != j)
	}
	if r.PaceResponse(); !j.paced {
		t.Error("it is not paced by who has it")
	}
	r.NoResponse()
	s.done(j)
}

// begunOf is begun for a request of an API.
func (s *supply) begunOf(api int16) (*Job, Request) {
	j := s.jobs.Take(&Conn{}, 0)
	j.Frame, j.API = []byte("....mine"), api
	j.Begin(s.home, &s.pool)
	return j, j.Request()
}

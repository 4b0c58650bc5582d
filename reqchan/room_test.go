package reqchan

import (
	"testing"

	"kring/internal/budget"
)

// counted is a supply with a budget of max bytes.
func counted(max int64) *supply {
	s := &supply{owner: newOwner()}
	s.requests.Budget = budget.New(max)
	return s
}

func (s *supply) used() int64 { return s.requests.Budget.Stats().Used }

// What a response takes beyond what jobs keep is counted as long as it is there, however
// it was answered and whoever else answers.
func TestWhatAResponseTakesIsCountedUntilItIsGivenBack(t *testing.T) {
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			s := counted(64 << 20)
			for range 20 {
				aside := s.used()
				r := s.begun("....mine")
				r.Buffer(200_000)
				if n := s.used() - aside; n < 200_000 || n > 200_100 {
					t.Fatalf("%d bytes are counted", n)
				}
				r.Buffer(300_000)
				answer(r)
				if n := s.used() - aside; n < 300_000 || n > 450_000 {
					t.Fatalf("%d bytes are counted", n)
				}
				s.done(r)
			}
			if n := s.used(); n > 64<<20/asidePart {
				t.Errorf("%d bytes are put aside", n)
			}
			if s.requests.Tidy(Now() + asideTime + 1); s.used() != 0 {
				t.Errorf("%d bytes are counted of nothing", s.used())
			}
			s.requests.Free()
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
	if s.requests.Tidy(Now()) >= 0 {
		t.Error("there is something to wait for")
	}
	r := s.begun("....mine")
	r.Buffer(1 << 20)
	r.NoResponse()
	s.done(r)
	now := Now()
	due := s.requests.Tidy(now)
	if s.used() < 1<<20 || due <= 0 || int64(due) > asideTime {
		t.Errorf("%d bytes wait, for %v", s.used(), due)
	}
	if due = s.requests.Tidy(now + int64(due)); s.used() != 0 || due >= 0 {
		t.Errorf("%d bytes wait, for %v", s.used(), due)
	}
}

// A request that comes too early goes home and comes again, with what its response may
// take, which it has until it takes it.
func TestARequestThatComesEarlyComesAgainWithItsShare(t *testing.T) {
	s := counted(64 << 20)
	b := s.requests.Budget
	first := s.begun("....mine")
	first.API = 1
	first.Buffer(48 << 20) // all there is
	r := s.begun("....mine")
	if r.API = 3; r.Early() {
		t.Error("a request of an API that nothing large is known of comes early")
	}
	if r.API = 1; !r.Early() {
		t.Fatal("it does not come early")
	}
	r.Postpone()
	Return([]*Request{r})
	if s.home.Take() != r || !r.Postponed() || r.Plain() != nil {
		t.Fatal("it did not come home unanswered")
	}
	r.Begin(s.home, &s.pool)
	turn := b.Line(b.Expect(1), func() {})
	r.TakeTurn(turn)
	if turn.Granted() || r.Early() {
		t.Error("there is room, or it comes early again")
	}
	first.NoResponse()
	s.done(first)
	s.requests.Tidy(Now() + asideTime + 1)
	if !turn.Granted() || s.used() != b.Expect(1) {
		t.Errorf("%d bytes are counted for it", s.used())
	}
	r.Respond(r.Buffer(1 << 20))
	if n := s.used(); n > 1<<20+100 {
		t.Errorf("%d bytes are counted for a response of 1 MiB", n)
	}
	s.done(r)
	if n := s.used(); n != 0 {
		t.Errorf("%d bytes are counted of nothing", n)
	}
}

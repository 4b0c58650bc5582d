package reqchan

import (
	"reflect"
	"sync"
	"testing"
	"time"
)

// With one word more, the compiler keeps a Request in memory, and each call of one
// of its methods costs several nanoseconds.
func TestARequestFitsIntoRegisters(t *testing.T) {
	if n, most := reflect.TypeFor[Request]().Size(), 4*reflect.TypeFor[uintptr]().Size(); n > max(most, 24) {
		t.Errorf("a Request has %d bytes, want at most %d", n, most)
	}
}

// A handler's goroutine writes the first line of a job, and no line of another.
func TestAJobBeginsOnALineOfTheCache(t *testing.T) {
	var jobs Jobs
	for range 100 {
		if at := reflect.ValueOf(jobs.Take(nil, 0)).Pointer(); at%64 != 0 {
			t.Fatalf("a job of %d bytes lies at %#x", reflect.TypeFor[Job]().Size(), at)
		}
	}
}

// What a Request says once it is answered is nothing, or its own, whatever its job
// has become: in Handle of the next, and when that is answered.
func TestAStaleRequestShowsNothingOfAnother(t *testing.T) {
	s := &supply{owner: newOwner()}
	for life := range 10 {
		mine, next := &Conn{}, &Conn{}
		j := s.jobs.Take(mine, 0)
		j.Frame, j.API, j.Version, j.Seq = []byte("....mine"), 1, 2, 3
		j.Begin(s.home, &s.pool)
		old := j.Request()
		if seq, ok := old.Seq(); string(old.Payload()) != "mine" || old.Conn() != mine || old.API() != 1 || old.Version() != 2 || seq != 3 || !ok {
			t.Fatalf("life %d: %q of API %d, number %d", life, old.Payload(), old.API(), seq)
		}
		old.SetErrorCode(7)
		if old.ErrorCode() != 7 {
			t.Fatalf("error code %d", old.ErrorCode())
		}
		old.NoResponse()
		wantStale(t, old, mine)
		if j.ErrorCode() != 7 {
			t.Errorf("counted by %d", j.ErrorCode())
		}
		s.done(j)
		wantStale(t, old, mine)

		if j != s.jobs.Take(next, 0) {
			t.Fatal("another job")
		}
		j.Frame, j.API, j.Version, j.Seq = []byte("....another's"), -1, -1, 9
		j.Begin(s.home, &s.pool)
		r := j.Request()
		wantStale(t, old, mine)
		if r.API() != -1 || r.Version() != -1 || r.ErrorCode() != 0 {
			t.Errorf("API %d, version %d, error code %d", r.API(), r.Version(), r.ErrorCode())
		}
		r.SetErrorCode(8)
		wantStale(t, old, mine)
		old.SetErrorCode(9)
		old.Truncate(1)
		old.Throttle(time.Hour)
		old.BeforeAnswer(bad{})
		if string(r.Payload()) != "another's" || r.ErrorCode() != 8 {
			t.Errorf("%q, error code %d", r.Payload(), r.ErrorCode())
		}
		r.Respond(r.Payload())
		wantStale(t, old, mine)
		if _, got, _ := j.Answer(); string(got[SizeBytes:]) != "another's" || j.ErrorCode() != 8 || j.ThrottledUntil() != 0 {
			t.Errorf("answered %q, error code %d", got, j.ErrorCode())
		}
		s.done(j)
	}
}

func wantStale(t *testing.T, r Request, mine *Conn) {
	t.Helper()
	if seq, ok := r.Seq(); r.Payload() != nil || r.ErrorCode() != 0 || seq != 0 || ok || r.ClosedByPanic() {
		t.Errorf("a stale request shows %q, error code %d, number %d", r.Payload(), r.ErrorCode(), seq)
	}
	if r.Conn() != mine || r.API() != 1 || r.Version() != 2 {
		t.Errorf("a stale request is of API %d", r.API())
	}
}

// Somebody who does not know that the request is answered asks and says all that
// there is, while its job serves others: it gets what is its own, or nothing, and
// changes nothing of theirs.
func TestAStaleRequestRacesWithNobody(t *testing.T) {
	s := &supply{owner: newOwner()}
	latest := make(chan Request, 1)
	var late sync.WaitGroup
	late.Go(func() {
		for r := range latest {
			for range 3 {
				if p := r.Payload(); p != nil && len(p) != int(r.API()) {
					t.Errorf("a payload of %d bytes, want %d", len(p), r.API())
				}
				if code := r.ErrorCode(); code != 0 && code != r.API() {
					t.Errorf("error code %d of request %d", code, r.API())
				}
				if n, ok := r.Seq(); ok && n != uint64(r.API()) {
					t.Errorf("number %d of request %d", n, r.API())
				}
				r.SetErrorCode(r.API())
				r.ClosedByPanic()
				r.Buffer(10)
			}
		}
	})
	for i := range 20_000 {
		n := 1 + i%50
		j := s.jobs.Take(&Conn{}, 0)
		j.Frame = make([]byte, SizeBytes+n)
		j.API, j.Seq = int16(n), uint64(n)
		j.Begin(s.home, &s.pool)
		r := j.Request()
		select {
		case latest <- r:
		default:
		}
		r.SetErrorCode(int16(n))
		switch i % 4 {
		case 0:
			r.Respond(r.Payload())
		case 1:
			r.Respond(r.Buffer(3))
		case 2:
			r.NoResponse()
		case 3:
			r.Respond([]byte("abc"))
		}
		if !j.HandleReturned() || j.ErrorCode() != int16(n) {
			t.Fatalf("request %d: error code %d", n, j.ErrorCode())
		}
		if kind, _, _ := j.Answer(); (kind == AnswerNoResponse) != (i%4 == 2) {
			t.Fatalf("answered %d", kind)
		}
		s.done(j)
	}
	close(latest)
	late.Wait()
	if n := s.jobs.Extra(); n != 0 {
		t.Errorf("%d answers too many", n)
	}
}

// A request that the processor drops, because its connection ended before a handler
// had it, can't be answered any more by whoever saw it before (Config.Priority).
func TestARequestThatWasDroppedIsOver(t *testing.T) {
	s := &supply{owner: newOwner()}
	j, dropped := s.begun("....mine")
	s.done(j)
	j, r := s.begun("....another's")
	dropped.Respond([]byte("A's SECRET"))
	dropped.Throttle(time.Hour)
	if j.Answered() || dropped.Payload() != nil {
		t.Fatal("answered by a request before")
	}
	r.NoResponse()
	if kind, _, _ := j.Answer(); kind != AnswerNoResponse || j.ThrottledUntil() != 0 || s.jobs.Extra() != 1 {
		t.Errorf("answered %d, %d answers too many", kind, s.jobs.Extra())
	}
}

// No job serves so many requests that a stale one could take another for itself.
func TestAJobHasSoManyLivesAndNoMore(t *testing.T) {
	s := &supply{owner: newOwner()}
	j, first := s.begun("....mine")
	first.NoResponse()
	j.Reset()
	j.life = ^uint64(0) - 6*lifeOne + 1
	j.state.Store(j.life | claimed | answered)
	for _, left := range []bool{true, false} {
		j.Frame = []byte("....mine")
		j.Begin(s.home, &s.pool)
		j.Postpone() // that takes another life
		j.Begin(s.home, &s.pool)
		r := j.Request()
		first.Respond([]byte("A's SECRET"))
		if j.Answered() || j.Worn() == left {
			t.Fatalf("answered: %t, worn: %t", j.Answered(), j.Worn())
		}
		r.Respond(r.Payload())
		r.Respond([]byte("again"))
		if string(j.Plain()) != "\x00\x00\x00\x04mine" || r.Payload() != nil {
			t.Errorf("answered %q", j.Plain())
		}
		s.done(j)
		if again := s.jobs.Take(&Conn{}, 0); (again == j) != left {
			t.Errorf("used again: %t, want %t", again == j, left)
		}
	}
	s.jobs.Free()
	if n := s.pool.Lent(); n != 0 {
		t.Errorf("%d pieces of memory lost", n)
	}
}

package reqchan

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// answers are the ways to answer, each with what it leaves behind.
var answers = map[string]func(r Request){
	"Respond":              func(r Request) { r.Respond([]byte("A's SECRET")) },
	"Respond, of Buffer":   func(r Request) { r.Respond(append(r.Buffer(100)[:0], "A's SECRET"...)) },
	"Respond, large":       func(r Request) { r.Respond(append(r.Buffer(100_000)[:0], "A's SECRET"...)) },
	"Respond, of Payload":  func(r Request) { r.Respond(r.Payload()) },
	"NoResponse":           func(r Request) { r.NoResponse() },
	"CloseConnection":      func(r Request) { r.CloseConnection(HandlerClosed) },
	"CloseConnectionAfter": func(r Request) { r.CloseConnectionAfter(HandlerClosed, time.Hour, []byte("A's SECRET")) },
	"RespondParts":         func(r Request) { _ = r.RespondParts([]Part{{Bytes: []byte("A's SECRET")}}, nil) },
}

// supply is where a test has its requests from.
type supply struct {
	*owner
	jobs Jobs
}

func (s *supply) begun(frame string) (*Job, Request) {
	j := s.jobs.Take(&Conn{}, 0)
	j.Frame = []byte(frame)
	j.Begin(s.home, &s.pool)
	return j, j.Request()
}

func (s *supply) done(j *Job) {
	j.Reset()
	s.jobs.Put(j)
}

// A second answer does nothing but be counted: in Handle, behind it, and when
// another request is made of what the first was made of, whatever has become of
// that. Nothing panics.
//
// Kafka: SE-02, F-41, F-42.
func TestAnAnswerThatIsNotTheFirstIsDroppedAndCounted(t *testing.T) {
	for name, again := range answers {
		t.Run(name, func(t *testing.T) {
			s := &supply{owner: newOwner()}
			var stale []Request
			for life := range 20 {
				j, r := s.begun("....mine")
				for _, old := range stale { // r is in Handle
					again(old)
					old.Throttle(time.Hour)
				}
				if j.Answered() {
					t.Fatal("answered by a request before")
				}
				if life%2 == 0 {
					r.Respond([]byte("right"))
					again(r)
				}
				if j.HandleReturned() != (life%2 == 0) {
					t.Fatal("whoever called Handle is told wrong")
				}
				if life%2 == 1 {
					for _, old := range stale { // r is away
						again(old)
						old.Throttle(time.Hour)
					}
					r.Respond([]byte("right"))
					again(r)
					if s.home.Take() != j {
						t.Fatal("not home, or another")
					}
				}
				for _, old := range stale { // r is answered
					again(old)
				}
				again(r)
				if kind, got, why := j.Answer(); kind != AnswerSend || string(got) != "\x00\x00\x00\x05right" || why != ReasonNone ||
					j.ThrottledUntil() != 0 || j.CloseAt() != 0 || len(j.Parts()) != 0 || string(j.Frame[SizeBytes:]) != "mine" {
					t.Fatalf("life %d: answered %d %q, %s", life, kind, got, why)
				}
				s.done(j)
				again(r)
				stale = append(stale, r)
			}
			if s.home.Waiting() {
				t.Error("home twice")
			}
			if n := s.jobs.Extra(); n != 190+190+100+3*20 { // earlier ones in Handle, answered and away; itself
				t.Errorf("%d answers too many counted, want 540", n)
			}
			s.jobs.Free()
			if n := s.pool.Lent(); n != 0 {
				t.Errorf("%d pieces of memory lost", n)
			}
		})
	}
}

// Of a timeout and the work that it is for, which answer at the same time, one
// answers, and the other does nothing to the requests that follow.
func TestOfTwoWhoAnswerAtOnceOneDoes(t *testing.T) {
	s := &supply{owner: newOwner()}
	var late sync.WaitGroup
	for range 5000 {
		j, r := s.begun("....mine")
		late.Go(func() { r.Respond([]byte("A's SECRET")) })
		late.Go(func() { r.Throttle(time.Hour); r.CloseConnection(HandlerClosed) })
		if j.HandleReturned() {
			Return([]*Job{j})
		}
		for !s.home.Waiting() {
			if !s.sleep(t, "the owner of a request") {
				return
			}
		}
		home := s.home.Take()
		if home != j || home.Next() != nil {
			t.Fatal("another came home, or more than one")
		}
		kind, got, why := j.Answer()
		if (kind != AnswerSend || string(got) != "\x00\x00\x00\x0aA's SECRET" || why != ReasonNone) && (kind != AnswerClose || got != nil || why != HandlerClosed) {
			t.Fatalf("answered %d %q %s", kind, got, why)
		}
		s.done(j)
	}
	late.Wait()
	if s.home.Waiting() || s.jobs.Extra() != 5000 {
		t.Errorf("%d answers too many, want 5000; somebody came home: %t", s.jobs.Extra(), s.home.Waiting())
	}
}

// Whoever has memory of Buffer, and has not learned yet that another goroutine
// answered, writes into no other response.
func TestALateWriterOfABufferWritesIntoNoOtherResponse(t *testing.T) {
	s := &supply{owner: newOwner()}
	j, r := s.begun("....mine")
	b := r.Buffer(100)
	r.Respond([]byte("time is up"))
	copy(b, "A's SECRET")
	if _, got, _ := j.Answer(); !bytes.HasSuffix(got, []byte("time is up")) {
		t.Errorf("its own answer is %q", got)
	}
	s.done(j)
	for range 3 {
		job, next := s.begun("....mine")
		own := next.Buffer(10)
		copy(own, "0123456789")
		copy(b, "A's SECRET, again")
		next.Respond(own)
		if _, got, _ := job.Answer(); string(got[SizeBytes:]) != "0123456789" {
			t.Fatalf("another's answer is %q", got)
		}
		s.done(job)
	}
}

// Nor does whoever asks for its Buffer again at the moment at which another goroutine
// answers, and the next request begins.
func TestABufferIsOfItsRequestWhoeverAnswersMeanwhile(t *testing.T) {
	s := &supply{owner: newOwner()}
	lent := make(chan Request)
	var late sync.WaitGroup
	late.Go(func() {
		for r := range lent {
			for n, going := 1, true; going; n++ {
				going = r.Payload() != nil
				copy(r.Buffer(10), "A's SECRET")
				if n%64 == 0 { // with one thread the other would have to wait for the scheduler's clock
					runtime.Gosched()
				}
			}
		}
	})
	for i := range 10_000 {
		j, r := s.begun("....mine")
		r.Buffer(10)
		lent <- r
		r.Respond([]byte("time is up"))
		s.done(j)
		j.SendsCopied(100 + i%2) // the next is another connection's
		next, r := s.begun("....mine")
		own := r.Buffer(10)
		copy(own, "0123456789")
		r.Respond(own)
		if _, got, _ := next.Answer(); string(got[SizeBytes:]) != "0123456789" {
			t.Fatalf("another's answer is %q", got)
		}
		s.done(next)
	}
	close(lent)
	late.Wait()
}

// The same for much memory, which is of the pool: it is put aside for a while.
func TestALateWriterOfALargeBufferWritesIntoNoOtherResponse(t *testing.T) {
	s := &supply{owner: newOwner()}
	for _, size := range []int{10_000, 100_000} {
		for _, answer := range []func(r Request){
			func(r Request) { r.CloseConnection(HandlerClosed) },
			func(r Request) { r.Respond([]byte("time is up")) },
		} {
			j, r := s.begun("....mine")
			b := r.Buffer(size)
			answer(r)
			s.done(j)
			for range 20 {
				job, next := s.begun("....mine")
				own := next.Buffer(size)
				clear(own)
				copy(b, "A's SECRET")
				next.Respond(own)
				if _, got, _ := job.Answer(); bytes.Contains(got, []byte("SECRET")) {
					t.Fatal("another's answer has it")
				}
				s.done(job)
			}
		}
	}
	for range 1000 { // and it has a bound
		j, r := s.begun("....mine")
		r.Buffer(100_000)
		r.NoResponse()
		s.done(j)
	}
	if s.jobs.asideBytes > asideBytesMax {
		t.Errorf("%d bytes are put aside", s.jobs.asideBytes)
	}
	s.jobs.Free()
	if n := s.pool.Lent(); n != 0 {
		t.Errorf("%d pieces of memory lost", n)
	}
}

// One who looks at an answer and panics leaves the request without one.
func TestWhoseHookPanicsHasNotAnswered(t *testing.T) {
	s := &supply{owner: newOwner()}
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, answer := range answers {
		if name == "CloseConnection" || name == "CloseConnectionAfter" {
			continue // nobody looks at these
		}
		j, r := s.begun("....mine")
		r.BeforeAnswer(bad{})
		func() {
			defer func() { _ = recover() }()
			answer(r)
			t.Errorf("%s: no panic", name)
		}()
		r.CloseConnection(HandlerPanicked)
		if kind, _, why := j.Answer(); !j.HandleReturned() || kind != AnswerClose || why != HandlerPanicked {
			t.Errorf("%s: answered %d %s", name, kind, why)
		}
		s.done(j)
	}
}

// bad is an Answering that panics.
type bad struct{}

func (bad) Answering(Request, AnswerKind, []byte) []byte { panic("bad") }
func (bad) AnsweringParts(Request, []byte, int) []byte   { panic("bad") }

// The files of an answer that came too late are released all the same.
func TestALateAnswerReleasesItsFiles(t *testing.T) {
	s := &supply{owner: newOwner()}
	j, r := s.begun("....mine")
	released := 0
	r.NoResponse()
	if err := r.RespondParts([]Part{{Bytes: []byte("x")}}, func() { released++ }); err != nil || released != 1 {
		t.Errorf("released %d times, %v", released, err)
	}
	s.done(j)
	if released != 1 {
		t.Errorf("released %d times", released)
	}
}

// However many were out at a time, few jobs wait for reuse afterwards.
func TestFewJobsAreKept(t *testing.T) {
	var jobs Jobs
	out := make([]*Job, 3*jobsKeptMax)
	for range 3 {
		for i := range out {
			out[i] = jobs.Take(nil, 0)
		}
		for _, r := range out {
			jobs.Put(r)
		}
	}
	if n := len(jobs.free); n != jobsKeptMax {
		t.Errorf("%d jobs are kept, want %d", n, jobsKeptMax)
	}
}

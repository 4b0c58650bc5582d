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
var answers = map[string]func(r *Request){
	"Respond":              func(r *Request) { r.Respond([]byte("A's SECRET")) },
	"Respond, of Buffer":   func(r *Request) { r.Respond(append(r.Buffer(100)[:0], "A's SECRET"...)) },
	"Respond, large":       func(r *Request) { r.Respond(append(r.Buffer(100_000)[:0], "A's SECRET"...)) },
	"Respond, of Payload":  func(r *Request) { r.Respond(r.Payload) },
	"NoResponse":           func(r *Request) { r.NoResponse() },
	"CloseConnection":      func(r *Request) { r.CloseConnection(HandlerClosed) },
	"CloseConnectionAfter": func(r *Request) { r.CloseConnectionAfter(HandlerClosed, time.Hour, []byte("A's SECRET")) },
	"RespondParts":         func(r *Request) { _ = r.RespondParts([]Part{{Bytes: []byte("A's SECRET")}}, nil) },
}

// supply is where a test has its Requests from.
type supply struct {
	*owner
	requests Requests
}

func (s *supply) begun(frame string) *Request {
	r := s.requests.Take(&Conn{}, 0)
	r.Frame = []byte(frame)
	r.Payload = r.Frame[SizeBytes:]
	r.Begin(s.home, &s.pool)
	return r
}

func (s *supply) done(r *Request) {
	r.Reset()
	s.requests.Put(r)
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
			var stale []*Request
			for life := range 20 {
				r := s.begun("....mine")
				for _, old := range stale { // r is in Handle
					again(old)
					old.Throttle(time.Hour)
				}
				if r.Answered() {
					t.Fatal("answered by a request before")
				}
				if life%2 == 0 {
					r.Respond([]byte("right"))
					again(r)
				}
				if r.HandleReturned() != (life%2 == 0) {
					t.Fatal("whoever called Handle is told wrong")
				}
				if life%2 == 1 {
					for _, old := range stale { // r is away
						again(old)
						old.Throttle(time.Hour)
					}
					r.Respond([]byte("right"))
					again(r)
					if s.home.Take() != r {
						t.Fatal("not home, or another")
					}
				}
				for _, old := range stale { // r is answered
					again(old)
				}
				again(r)
				if kind, got, why := r.Answer(); kind != AnswerSend || string(got) != "\x00\x00\x00\x05right" || why != ReasonNone ||
					r.ThrottledUntil() != 0 || r.CloseAt() != 0 || len(r.Parts()) != 0 || string(r.Frame[SizeBytes:]) != "mine" {
					t.Fatalf("life %d: answered %d %q, %s", life, kind, got, why)
				}
				s.done(r)
				again(r)
				stale = append(stale, r)
			}
			if s.home.Waiting() {
				t.Error("home twice")
			}
			if n := s.requests.Extra(); n != 190+190+100+3*20 { // earlier ones in Handle, answered and away; itself
				t.Errorf("%d answers too many counted, want 540", n)
			}
			s.requests.Free()
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
		r := s.begun("....mine")
		late.Go(func() { r.Respond([]byte("A's SECRET")) })
		late.Go(func() { r.Throttle(time.Hour); r.CloseConnection(HandlerClosed) })
		if r.HandleReturned() {
			Return([]*Request{r})
		}
		for !s.home.Waiting() {
			if !s.sleep(t, "the owner of a request") {
				return
			}
		}
		home := s.home.Take()
		if home != r || home.Next() != nil {
			t.Fatal("another came home, or more than one")
		}
		kind, got, why := r.Answer()
		if (kind != AnswerSend || string(got) != "\x00\x00\x00\x0aA's SECRET" || why != ReasonNone) && (kind != AnswerClose || got != nil || why != HandlerClosed) {
			t.Fatalf("answered %d %q %s", kind, got, why)
		}
		s.done(r)
	}
	late.Wait()
	if s.home.Waiting() || s.requests.Extra() != 5000 {
		t.Errorf("%d answers too many, want 5000; somebody came home: %t", s.requests.Extra(), s.home.Waiting())
	}
}

// Whoever has memory of Buffer, and has not learned yet that another goroutine
// answered, writes into no other response.
func TestALateWriterOfABufferWritesIntoNoOtherResponse(t *testing.T) {
	s := &supply{owner: newOwner()}
	r := s.begun("....mine")
	b := r.Buffer(100)
	r.Respond([]byte("time is up"))
	copy(b, "A's SECRET")
	if _, got, _ := r.Answer(); !bytes.HasSuffix(got, []byte("time is up")) {
		t.Errorf("its own answer is %q", got)
	}
	s.done(r)
	for range 3 {
		next := s.begun("....mine")
		own := next.Buffer(10)
		copy(own, "0123456789")
		copy(b, "A's SECRET, again")
		next.Respond(own)
		if _, got, _ := next.Answer(); string(got[SizeBytes:]) != "0123456789" {
			t.Fatalf("another's answer is %q", got)
		}
		s.done(next)
	}
}

// The same for much memory, which is of the pool: it is put aside for a while.
func TestALateWriterOfALargeBufferWritesIntoNoOtherResponse(t *testing.T) {
	s := &supply{owner: newOwner()}
	for _, size := range []int{10_000, 100_000} {
		for _, answer := range []func(r *Request){
			func(r *Request) { r.CloseConnection(HandlerClosed) },
			func(r *Request) { r.Respond([]byte("time is up")) },
		} {
			r := s.begun("....mine")
			b := r.Buffer(size)
			answer(r)
			s.done(r)
			for range 20 {
				next := s.begun("....mine")
				own := next.Buffer(size)
				clear(own)
				copy(b, "A's SECRET")
				next.Respond(own)
				if _, got, _ := next.Answer(); bytes.Contains(got, []byte("SECRET")) {
					t.Fatal("another's answer has it")
				}
				s.done(next)
			}
		}
	}
	for range 1000 { // and it has a bound
		r := s.begun("....mine")
		r.Buffer(100_000)
		r.NoResponse()
		s.done(r)
	}
	if s.requests.asideBytes > asideBytesMax {
		t.Errorf("%d bytes are put aside", s.requests.asideBytes)
	}
	s.requests.Free()
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
		r := s.begun("....mine")
		r.BeforeAnswer(bad{})
		func() {
			defer func() { _ = recover() }()
			answer(r)
			t.Errorf("%s: no panic", name)
		}()
		r.CloseConnection(HandlerPanicked)
		if kind, _, why := r.Answer(); !r.HandleReturned() || kind != AnswerClose || why != HandlerPanicked {
			t.Errorf("%s: answered %d %s", name, kind, why)
		}
		s.done(r)
	}
}

// bad is an Answering that panics.
type bad struct{}

func (bad) Answering(*Request, AnswerKind, []byte) []byte { panic("bad") }
func (bad) AnsweringParts(*Request, []byte, int) []byte   { panic("bad") }

// The files of an answer that came too late are released all the same.
func TestALateAnswerReleasesItsFiles(t *testing.T) {
	s := &supply{owner: newOwner()}
	r, released := s.begun("....mine"), 0
	r.NoResponse()
	if err := r.RespondParts([]Part{{Bytes: []byte("x")}}, func() { released++ }); err != nil || released != 1 {
		t.Errorf("released %d times, %v", released, err)
	}
	s.done(r)
	if released != 1 {
		t.Errorf("released %d times", released)
	}
}

// Requests that are held for long keep little of those around them.
func TestHeldRequestsKeepLittleMemory(t *testing.T) {
	var requests Requests
	held := make([]*Request, 0, 20_000)
	for i := range 200_000 {
		r := requests.Take(nil, 0)
		if i%10 == 0 {
			held = append(held, r)
		} else {
			requests.Put(r)
		}
	}
	if n := cap(requests.block); n > blocksHeldMax/20_000+blockMin {
		t.Errorf("a block of %d while 20000 requests are out", n)
	}
	runtime.KeepAlive(held)
}

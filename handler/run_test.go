package handler

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kring/reqchan"
)

// oneRun has a run of n requests handled and says in which order they came home.
func oneRun(t *testing.T, n int, handle func(reqchan.Request)) (home []uint64) {
	t.Helper()
	ch, p := start(Config{Handlers: 3, Handle: handle}, reqchan.Config{})
	o := newOwner(ch)
	o.exchange(t, runOf(o.begun(n)), func(r *reqchan.Job) { home = append(home, r.Seq) })
	stop(ch, p)
	return home
}

func wantInOrder(t *testing.T, home []uint64, n int) {
	t.Helper()
	if len(home) != n {
		t.Fatalf("%d of %d came home", len(home), n)
	}
	for i, seq := range home {
		if seq != uint64(i) {
			t.Fatalf("answer %d is that of request %d: %v", i, seq, home)
		}
	}
}

func TestARunIsHandledOneAfterTheOtherAndComesHomeTogether(t *testing.T) {
	var away atomic.Int32
	next := int16(0)
	wantInOrder(t, oneRun(t, 40, func(r reqchan.Request) {
		if away.Add(1) != 1 || r.API() != next {
			t.Errorf("request %d is handled, want %d alone", r.API(), next)
		}
		next++
		away.Add(-1)
		r.NoResponse()
	}), 40)
}

// A request that Handle returned from without an answer keeps those behind it, whoever
// answers, and whenever.
func TestInARunNothingIsBegunBeforeTheAnswerToTheRequestBefore(t *testing.T) {
	var open atomic.Int32
	var late sync.WaitGroup
	wantInOrder(t, oneRun(t, 60, func(r reqchan.Request) {
		if n := open.Add(1); n != 1 {
			t.Errorf("%d requests of the run are open", n)
		}
		answer := func() {
			open.Add(-1)
			r.NoResponse()
		}
		switch r.API() % 3 {
		case 0:
			answer()
		case 1:
			late.Go(answer) // before or after Handle returns
		case 2:
			late.Go(func() {
				for range 100 {
					runtime.Gosched()
				}
				answer()
			})
		}
	}), 60)
	late.Wait()
}

// What speaks against going on ends the run: what is behind comes home unbegun.
func TestWhatSpeaksAgainstTheNextRequestEndsTheRun(t *testing.T) {
	ended := &reqchan.Conn{}
	for name, answer := range map[string]func(reqchan.Request){
		"a throttle":         func(r reqchan.Request) { r.Throttle(time.Hour); r.NoResponse() },
		"a close":            func(r reqchan.Request) { r.CloseConnection(reqchan.HandlerClosed) },
		"a close later":      func(r reqchan.Request) { r.CloseConnectionAfter(reqchan.HandlerClosed, time.Hour, nil) },
		"a panic":            func(reqchan.Request) { panic("as asked") },
		"a panic afterwards": func(r reqchan.Request) { r.NoResponse(); panic("as asked") },
		"a Goexit":           func(reqchan.Request) { runtime.Goexit() },
		"the end":            func(r reqchan.Request) { reqchan.EndConn(ended, reqchan.Evicted); r.NoResponse() },
		"a long one":         func(r reqchan.Request) { busy(worthNanos); r.NoResponse() },
	} {
		var begun atomic.Int32
		ch, p := start(Config{Handlers: 1, Handle: func(r reqchan.Request) {
			begun.Add(1)
			if r.API() == 2 {
				answer(r)
				return
			}
			r.NoResponse()
		}}, reqchan.Config{})
		o := newOwner(ch)
		reqs := o.begun(6)
		for _, r := range reqs {
			r.Conn = ended
			if name != "the end" {
				r.Conn = &reqchan.Conn{}
			}
		}
		var home []*reqchan.Job
		for send := runOf(reqs); len(home) < 3; {
			p.pace.Store(worthNanos) // each is timed, whatever is learned meanwhile
			sent, _ := o.sender.TrySend(send)
			send = send[sent:]
			o.sleepUntilHome(t)
			for r := o.home.Take(); r != nil; r = r.Next() {
				if home = append(home, r); r.Seq < 2 { // it took long, and ended the run before
					if rest := r.Unbegun(); rest != nil {
						send = append(send, rest)
					}
				}
			}
		}
		stop(ch, p)
		if len(home) > 3 || begun.Load() != 3 {
			t.Errorf("%s: %d came home, %d were begun, want 3", name, len(home), begun.Load())
		}
		rest := home[2].Unbegun()
		if rest == nil || rest.InRun() != 3 || rest.Seq != 3 || rest.Behind().Seq != 4 || rest.Behind().Behind().Seq != 5 {
			t.Errorf("%s: what was not begun did not come home", name)
		}
	}
}

// busy takes so many nanoseconds by the clock that the pool goes by.
func busy(nanos int64) {
	for start := reqchan.Now(); reqchan.Now()-start < nanos; {
		runtime.Gosched()
	}
}

// sleepUntilHome waits until something is home.
func (o *owner) sleepUntilHome(t *testing.T) {
	t.Helper()
	await(t, "an answer", o.home.Waiting)
}

func TestAnswersOfARunComeHomePastARequestThatIsStuck(t *testing.T) {
	for _, at := range []int16{1, 20, 39} {
		release := make(chan struct{})
		ch, p := start(Config{Handlers: 1, Handle: func(r reqchan.Request) {
			if r.API() == at {
				<-release
			}
			r.NoResponse()
		}}, reqchan.Config{})
		o := newOwner(ch)
		var home []uint64
		o.exchange(t, runOf(o.begun(40)), func(r *reqchan.Job) {
			if home = append(home, r.Seq); len(home) == int(at) {
				close(release)
			}
		})
		stop(ch, p)
		wantInOrder(t, home, 40)
	}
}

// A handler goroutine that is stuck has nothing that another could handle.
func TestARunThatIsStuckHoldsUpNobodyElse(t *testing.T) {
	release := make(chan struct{})
	ch, p := start(Config{Handlers: 2, Handle: func(r reqchan.Request) {
		if r.API() == 0 {
			<-release
		}
		r.NoResponse()
	}}, reqchan.Config{})
	o, other := newOwner(ch), newOwner(ch)
	o.sender.TrySend(runOf(o.begun(30)))
	reqs := other.begun(200)
	for _, r := range reqs {
		r.API = 1
		r.Begin(other.home, &other.pool)
	}
	other.exchange(t, reqs, func(*reqchan.Job) {})
	close(release)
	stop(ch, p)
}

func TestResizingInTheMiddleOfRunsLosesNothing(t *testing.T) {
	ch, p := start(Config{Handlers: 2, Handle: misbehave}, reqchan.Config{RequestsMax: 200})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			p.Resize(1 + i*i%7)
			runtime.Gosched()
		}
	}()
	o := newOwner(ch)
	for range 100 {
		var runs []*reqchan.Job
		for n := 1; n < 30; n++ {
			runs = append(runs, runOf(o.begun(n))...)
		}
		o.exchange(t, runs, func(r *reqchan.Job) { checkMisbehaved(t, r) })
	}
	<-done
	stop(ch, p)
}

// An answer that is given after Handle has returned comes home behind those before it in its
// run, however long the goroutine has something else to do.
func TestALateAnswerDoesNotOvertakeThoseBeforeItInItsRun(t *testing.T) {
	var kept reqchan.Request
	ch := reqchan.New(reqchan.Config{})
	p := NewPool(Config{Handle: func(r reqchan.Request) {
		if r.API() == 2 {
			kept = r
			return
		}
		r.NoResponse()
	}}, ch)
	o, h := newOwner(ch), newRunner(p)
	h.taken[0] = runOf(o.begun(4))[0]
	h.begin(1)
	h.cursor.Add(uint64(runOne))
	h.handleRun(h.taken[0])
	kept.NoResponse()
	h.bringHome()
	var home []uint64
	for r := o.home.Take(); r != nil; {
		next := r.Next()
		if home = append(home, r.Seq); r.Seq == 2 && (r.Behind() == nil || r.Behind().Seq != 3) {
			t.Error("the fourth did not come home behind the third")
		}
		r = next
	}
	wantInOrder(t, home, 3)
}

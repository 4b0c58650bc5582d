package handler

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kring/internal/leaktest"
	"kring/internal/queue"
	"kring/internal/slab"
	"kring/reqchan"
)

const deadline = time.Minute

func TestMain(m *testing.M) { leaktest.Main(m) }

// failer is what testing.T and rapid.T have in common here.
type failer interface {
	Helper()
	Errorf(string, ...any)
}

// owner is a processor reduced to its wake flag and its response queue.
type owner struct {
	wakeFlag *queue.WakeFlag
	woken    chan struct{}
	home     *reqchan.ResponseQueue
	sender   *reqchan.Sender
	pool     slab.Pool
}

func newOwner(ch *reqchan.Channel) *owner {
	o := &owner{woken: make(chan struct{}, 1)}
	o.wakeFlag = queue.NewWakeFlag(func() {
		select {
		case o.woken <- struct{}{}:
		default:
		}
	})
	o.home = reqchan.NewResponseQueue(o.wakeFlag)
	o.sender = ch.NewSender(o.wakeFlag)
	return o
}

// begun returns n requests of o that are ready to be sent.
func (o *owner) begun(n int) []*reqchan.Job {
	reqs := make([]*reqchan.Job, n)
	for i := range reqs {
		reqs[i] = reqchan.NewJob(nil, nil)
		reqs[i].Seq, reqs[i].API = uint64(i), int16(i) // API is what a handler sees
		reqs[i].Begin(o.home, &o.pool)
	}
	return reqs
}

// runOf links reqs to one run and returns its first.
func runOf(reqs []*reqchan.Job) []*reqchan.Job {
	for i, r := range reqs[1:] {
		reqs[0].Append(reqs[i], r)
	}
	return reqs[:1]
}

// exchange sends all reqs, which may begin runs, and gives f every answer; it returns
// when all are home. What comes home without having been begun is sent again.
func (o *owner) exchange(t failer, reqs []*reqchan.Job, f func(*reqchan.Job)) {
	t.Helper()
	late := time.NewTimer(deadline)
	defer late.Stop()
	all := 0
	for _, r := range reqs {
		all += r.InRun()
	}
	for home := 0; home < all; {
		sent, _ := o.sender.TrySend(reqs)
		reqs = reqs[sent:]
		o.wakeFlag.BeforeSleep()
		if !o.home.Waiting() {
			select {
			case <-o.woken:
			case <-late.C:
				t.Errorf("%d of %d answers came home", home, all)
				return
			}
		}
		o.wakeFlag.AfterSleep()
		for r := o.home.Take(); r != nil; home++ {
			next := r.Next()
			if rest := r.Unbegun(); rest != nil {
				reqs = append(reqs, rest)
			}
			f(r)
			r = next
		}
	}
}

// start runs a pool that takes large batches from the first request on.
func start(cfg Config, chCfg reqchan.Config) (*reqchan.Channel, *Pool) {
	ch := reqchan.New(chCfg)
	p := NewPool(cfg, ch)
	p.pace.Store(1)
	p.Start()
	return ch, p
}

func stop(ch *reqchan.Channel, p *Pool) {
	ch.Close()
	p.Close()
}

func noResponse(r reqchan.Request) { r.NoResponse() }

func TestEveryRequestComesHomeOnce(t *testing.T) {
	for _, places := range []int{1, 10, 1000} {
		ch, p := start(Config{Handlers: 4, Handle: noResponse}, reqchan.Config{RequestsMax: places})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				o := newOwner(ch)
				seen := make([]bool, 5_000)
				o.exchange(t, o.begun(len(seen)), func(r *reqchan.Job) {
					if seen[r.Seq] {
						t.Errorf("%d came home twice", r.Seq)
					}
					seen[r.Seq] = true
				})
			})
		}
		wg.Wait()
		stop(ch, p)
	}
}

func TestASlowRequestHoldsNoNeighbour(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(4, 64).Draw(t, "batch") // more than there are handlers that block
		handlers := rapid.IntRange(2, 4).Draw(t, "handlers")
		slow := map[uint64]bool{}
		for range handlers - 1 { // one handler is left for the others
			slow[uint64(rapid.IntRange(0, n-1).Draw(t, "slow"))] = true
		}
		release := make(chan struct{})
		ch, p := start(Config{Handlers: handlers, Handle: func(r reqchan.Request) {
			if slow[uint64(r.API())] {
				<-release
			}
			r.NoResponse()
		}}, reqchan.Config{})
		defer stop(ch, p)
		o := newOwner(ch)
		home := 0
		open := sync.OnceFunc(func() { close(release) })
		defer open()
		o.exchange(t, o.begun(n), func(r *reqchan.Job) {
			if home++; home <= n-len(slow) && slow[r.Seq] {
				t.Errorf("slow request %d came home before its neighbours", r.Seq)
			}
			if home == n-len(slow) {
				open()
			}
		})
	})
}

func TestAnswersBeforeASlowRequestComeHomeThoughNobodyIsIdle(t *testing.T) {
	release := make(chan struct{})
	ch, p := start(Config{Handlers: 1, Handle: func(r reqchan.Request) {
		if r.API() == 20 {
			<-release
		}
		r.NoResponse()
	}}, reqchan.Config{})
	o := newOwner(ch)
	home := 0
	o.exchange(t, o.begun(40), func(r *reqchan.Job) {
		if home++; home == 20 {
			close(release)
		}
	})
	stop(ch, p)
}

// A goroutine that is at the same request when the watchdog looks a second time keeps that
// request alone of its batch.
func TestWhatWasTakenBehindASlowRequestIsFreed(t *testing.T) {
	var p *Pool
	ch := reqchan.New(reqchan.Config{})
	o, home := newOwner(ch), 0
	p = NewPool(Config{Handle: func(r reqchan.Request) {
		if r.API() == 20 {
			p.watchdog.look()
			p.watchdog.look()
			for r := o.home.Take(); r != nil; r = r.Next() {
				home++
			}
		}
		r.NoResponse()
	}}, ch)
	h := newRunner(p)
	p.runners = append(p.runners, h)
	h.begin(copy(h.taken, o.begun(40)))
	h.handleBatch()
	if freed := p.Stats().Freed; home != 20 || freed != 19 {
		t.Errorf("%d answers came home, and %d requests were freed, want 20 and 19", home, freed)
	}
}

func TestRequestsThatTakeLongAreTakenOneByOne(t *testing.T) {
	ch := reqchan.New(reqchan.Config{})
	p := NewPool(Config{Handle: noResponse}, ch)
	took := func(each time.Duration, length int) {
		for range 100 {
			n := p.batch()
			p.took(n*length, n, time.Duration(n*length)*each)
		}
	}
	if n := p.batch(); n != 1 {
		t.Errorf("batch of %d while nothing is known", n)
	}
	if took(100*time.Nanosecond, 1); p.batch() != batchMaxDefault {
		t.Errorf("batch of %d of requests that take 100 ns", p.batch())
	}
	if took(10*time.Microsecond, 1); p.batch() < 4 || p.batch() > 6 {
		t.Errorf("batch of %d of requests that take 10 µs", p.batch())
	}
	if took(100*time.Nanosecond, 50); p.batch() < 8 || p.batch() > 12 {
		t.Errorf("batch of %d of runs of 50 requests that take 100 ns", p.batch())
	}
	if took(time.Second, 1); p.batch() != 1 {
		t.Errorf("batch of %d of requests that take a second", p.batch())
	}
}

// TestAHandlerThatDoesNotReturnLosesNothing lets handlers answer at once, later,
// not at all but panic, panic after the answer, or leave their goroutine.
func TestAHandlerThatDoesNotReturnLosesNothing(t *testing.T) {
	const n = 3_000
	var told atomic.Int64
	ch, p := start(Config{Handlers: 3, Handle: misbehave, Panicked: func(r reqchan.Request, v any, stack []byte) {
		told.Add(1)
		if (r.API()%7 == 3) != (v == ErrGoexit) || len(stack) == 0 {
			t.Errorf("request %d: told %v", r.API(), v)
		}
	}}, reqchan.Config{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			o := newOwner(ch)
			o.exchange(t, o.begun(n), func(r *reqchan.Job) { checkMisbehaved(t, r) })
		})
	}
	wg.Wait()
	if s := p.Stats(); s.Handlers != 3 {
		t.Errorf("%d places left of 3", s.Handlers)
	}
	stop(ch, p)
	want := int64(0)
	for i := range n {
		if k := i % 7; k == 1 || k == 2 || k == 3 {
			want += 2
		}
	}
	if told.Load() != want || p.Stats().Panics != uint64(want) {
		t.Errorf("told of %d panics, counted %d, want %d", told.Load(), p.Stats().Panics, want)
	}
}

func misbehave(r reqchan.Request) {
	switch r.API() % 7 {
	case 1:
		panic("before the answer")
	case 2:
		r.NoResponse()
		panic("after the answer")
	case 3:
		runtime.Goexit()
	case 4:
		go r.NoResponse()
	default:
		r.NoResponse()
	}
}

func checkMisbehaved(t *testing.T, r *reqchan.Job) {
	kind, _, why := r.Answer()
	wantKind, wantWhy := reqchan.AnswerNoResponse, reqchan.ReasonNone
	if k := r.Seq % 7; k == 1 || k == 3 {
		wantKind, wantWhy = reqchan.AnswerClose, reqchan.HandlerPanicked
	}
	if kind != wantKind || why != wantWhy {
		t.Errorf("request %d: answered %d (%s)", r.Seq, kind, why)
	}
}

// A second answer is dropped, in Handle and behind it, and nothing panics.
func TestOfSeveralAnswersTheFirstCounts(t *testing.T) {
	var told atomic.Int64
	var late sync.WaitGroup
	ch, p := start(Config{Handlers: 2, Handle: func(r reqchan.Request) {
		switch r.API() % 3 {
		case 0:
			r.NoResponse()
			r.CloseConnection(reqchan.HandlerClosed)
		case 1: // home with its batch, and then once more
			r.NoResponse()
			late.Go(func() { r.Respond([]byte("late")) })
		case 2: // the other goroutine has the request, and may be at it
			answering := make(chan struct{})
			late.Go(func() { close(answering); r.NoResponse() })
			<-answering
			panic("as asked")
		}
	}, Panicked: func(reqchan.Request, any, []byte) { told.Add(1) }}, reqchan.Config{})
	o := newOwner(ch)
	for range 50 {
		o.exchange(t, o.begun(30), func(r *reqchan.Job) {
			kind, _, why := r.Answer()
			if kind != reqchan.AnswerNoResponse && (r.Seq%3 != 2 || kind != reqchan.AnswerClose || why != reqchan.HandlerPanicked) {
				t.Errorf("request %d: answered %d, %s", r.Seq, kind, why)
			}
		})
	}
	late.Wait()
	stop(ch, p)
	if told.Load() != 500 {
		t.Errorf("told of %d panics, want 500", told.Load())
	}
}

func TestResizingUnderLoadLosesNothing(t *testing.T) {
	ch, p := start(Config{Handlers: 2, Handle: misbehave}, reqchan.Config{RequestsMax: 50})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			p.Resize(1 + i*i%7)
			runtime.Gosched()
		}
		p.Resize(3)
	}()
	o := newOwner(ch)
	o.exchange(t, o.begun(20_000), func(r *reqchan.Job) {})
	<-done
	await(t, "3 handlers, all idle", func() bool {
		s := p.Stats()
		return s.Handlers == 3 && s.Idle == 3 && s.Busy == 0
	})
	o.exchange(t, o.begun(100), func(r *reqchan.Job) {})
	stop(ch, p)
	if n := p.Stats().Handlers; n != 0 {
		t.Errorf("%d handlers after Close", n)
	}
}

func TestCloseWaitsForWhatWasAccepted(t *testing.T) {
	for _, cfg := range []Config{{Handlers: 1}, {Handlers: 4}} {
		var handled atomic.Int64
		release := make(chan struct{})
		cfg.Handle = func(r reqchan.Request) {
			<-release
			handled.Add(1)
			r.NoResponse()
		}
		ch, p := start(cfg, reqchan.Config{RequestsMax: 30})
		o := newOwner(ch)
		accepted, _ := o.sender.TrySend(o.begun(50))
		ch.Close()
		closed := make(chan struct{})
		go func() { p.Close(); close(closed) }()
		select {
		case <-closed:
			t.Error("Close returned while requests were in Handle")
		case <-time.After(5 * time.Millisecond):
		}
		close(release)
		<-closed
		if got := handled.Load(); got != int64(accepted) || accepted < 30 {
			t.Errorf("handled %d of %d", got, accepted)
		}
		if n, _ := o.sender.TrySend(o.begun(1)); n != 0 {
			t.Error("accepted after Close")
		}
	}
	ch := reqchan.New(reqchan.Config{})
	p := NewPool(Config{Handle: noResponse}, ch)
	p.Close() // never started
	p.Start()
	if n := p.Stats().Handlers; n != 0 {
		t.Errorf("%d handlers started after Close", n)
	}
	ch, p = start(Config{Handle: noResponse}, reqchan.Config{})
	stop(ch, p) // empty
}

func TestARequestAllocatesNothing(t *testing.T) {
	ch, p := start(Config{Handlers: 2, Handle: noResponse}, reqchan.Config{})
	o := newOwner(ch)
	reqs := o.begun(64)
	o.exchange(t, reqs, func(*reqchan.Job) {})
	allocs := testing.AllocsPerRun(200, func() {
		for _, r := range reqs {
			r.Begin(o.home, &o.pool)
		}
		o.sender.TrySend(reqs)
		for home := 0; home < len(reqs); {
			o.wakeFlag.BeforeSleep()
			if !o.home.Waiting() {
				<-o.woken
			}
			o.wakeFlag.AfterSleep()
			for r := o.home.Take(); r != nil; r = r.Next() {
				home++
			}
		}
	})
	stop(ch, p)
	if allocs > 1 { // of 64 requests; the runtime's own timers may need one
		t.Errorf("%v allocations in 64 requests", allocs)
	}
}

func TestTheWatchdogSleepsWhenThereIsNothingToWatch(t *testing.T) {
	ch, p := start(Config{Handlers: 1, Handle: noResponse}, reqchan.Config{})
	o := newOwner(ch)
	o.exchange(t, o.begun(64), func(*reqchan.Job) {})
	await(t, "the watchdog to sleep", func() bool { return !p.watchdog.awake.Load() })
	stop(ch, p)
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !ok(); <-tick.C {
		if time.Since(start) > deadline {
			t.Fatalf("waited %v for %s", deadline, what)
		}
	}
}

// TestABatchCursorGivesEveryRequestToOneOwner lets a goroutine and a watchdog take turns
// in any way and looks who brings what home.
func TestABatchCursorGivesEveryRequestToOneOwner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.IntRange(1, 5), 2, 40).Draw(t, "runs")
		c := newBatchCursor(rapid.IntRange(0, 1<<14).Draw(t, "round"), len(lengths))
		guarded := func() bool { return c.holds() && rapid.Bool().Draw(t, "watchdog") }
		home, freed := 0, map[int]int{} // answers, and runs that were taken away
		begun, ended := 0, map[int]int{}
		watchdog := func() {
			home += c.finished() - c.returned()
			for i := c.run(); i < c.end(); i++ {
				freed[i]++
			}
			if c = c.freed(); c.holds() || !c.lent() {
				t.Fatalf("still holds what is others': %x", c)
			}
		}
		for {
			if guarded() {
				watchdog()
			}
			if c += runOne; !c.open() {
				break
			}
			run := c.run() - 1
			for k := range lengths[run] {
				if k > 0 {
					c += begunOne
				}
				if begun++; guarded() {
					watchdog()
				}
			}
			ended[run]++
		}
		home += begun - c.returned()
		for i, n := range lengths {
			if ended[i]+freed[i] != 1 {
				t.Fatalf("run %d of %d: handled %d times, taken away %d times", i, n, ended[i], freed[i])
			}
			if ended[i] == 1 {
				home -= n
			}
		}
		if home != 0 {
			t.Fatalf("%d answers too many came home", home)
		}
	})
}

package enginetest

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/faultengine"
)

// sabotages are engines that break one rule each, and the case that must notice.
// A suite that nothing fails proves nothing.
var sabotages = []struct {
	rule     string
	property string
	faults   faultengine.Config
	wrap     func(engine.Engine) engine.Engine
}{
	{rule: "Wake is sticky", property: "WakeIsSticky",
		wrap: func(e engine.Engine) engine.Engine { return &deafBeforePoll{Engine: e} }},
	{rule: "a Wake is not lost", property: "HandOversAreNeverLost",
		wrap: func(e engine.Engine) engine.Engine { return &deafAtTimes{Engine: e} }},
	{rule: "an operation ends once", property: "PeerFinishEndsReceivesWithZero",
		wrap: editing(func(c *engine.Completion, more func(engine.Completion)) {
			if c.Op == engine.OpRecv && !c.More {
				more(*c)
			}
		})},
	{rule: "a connect ends once", property: "ConnectThatIsRefusedSaysSo",
		wrap: editing(func(c *engine.Completion, more func(engine.Completion)) {
			if c.Op == engine.OpConnect {
				more(*c)
			}
		})},
	{rule: "a pending connect ends with Cancel", property: "ConnectIsCancelledWhilePending",
		wrap: func(e engine.Engine) engine.Engine { return &withoutCancel{Engine: e} }},
	{rule: "an operation ends", property: "CancelInTheSamePollAsItsReceive",
		wrap: func(e engine.Engine) engine.Engine { return &withoutCancel{Engine: e} }},
	{rule: "Shutdown ends everything", property: "ShutdownEndsEverythingOnce",
		wrap: func(e engine.Engine) engine.Engine { return &withoutShutdown{Engine: e} }},
	{rule: "a failure ends the operation", property: "SendAfterResetFails",
		wrap: editing(func(c *engine.Completion, _ func(engine.Completion)) {
			if c.Res < 0 {
				c.More = true
			}
		})},
	{rule: "no byte is lost", property: "ReceivedBytesEqualSentBytes",
		wrap: editing(func(c *engine.Completion, _ func(engine.Completion)) {
			if len(c.Data) > 100 {
				c.Data, c.Res = c.Data[:len(c.Data)-1:len(c.Data)-1], c.Res-1
			}
		})},
	{rule: "lent data ends where its length does", property: "OneByteWritesArriveInOrder",
		wrap: editing(func(c *engine.Completion, _ func(engine.Completion)) {
			if len(c.Data) > 0 {
				c.Res--
			}
		})},
	{rule: "lent data stays", property: "LentDataStaysIntactUntilRecycle",
		wrap: func(e engine.Engine) engine.Engine { return &reusing{Engine: e} }},
	{rule: "lent data outlives the engine", property: "LentDataOutlivesTheEngine",
		wrap: func(e engine.Engine) engine.Engine { return &tidy{Engine: e} }},
	{rule: "a short send is short", property: "SendGathersInOrder", faults: faultengine.Config{ShortSend: 1},
		wrap: func(e engine.Engine) engine.Engine { return &boasting{Engine: e, totals: map[engine.Token]int32{}} }},
	{rule: "completions that do not fit are kept", property: "SmallDoneSliceLosesNothing",
		wrap: func(e engine.Engine) engine.Engine { return &forgetful{Engine: e} }},
	{rule: "a slot's old use gets nothing", property: "CloseFDIsTheLastWord",
		wrap: editing(func(c *engine.Completion, more func(engine.Completion)) {
			if c.Op == engine.OpClose {
				more(*c)
			}
		})},
	{rule: "a RecvInto is full", property: "RecvIntoFillsExactly",
		wrap: editing(func(c *engine.Completion, _ func(engine.Completion)) {
			if c.Op == engine.OpRecvInto && c.Res > 1 {
				c.Res--
			}
		})},
	{rule: "Poll(0) does not block", property: "PollZeroDoesNotBlock",
		wrap: func(e engine.Engine) engine.Engine {
			// A thousand of them are longer than the case allows, which depends on the machine.
			return &waitingAtLeast{e, max(time.Millisecond, patience/1500)}
		}},
	{rule: "Poll waits", property: "PollTimesOut",
		wrap: func(e engine.Engine) engine.Engine { return &neverWaiting{e} }},
	{rule: "the counters count", property: "CountersAdvance",
		wrap: func(e engine.Engine) engine.Engine { return &uncounted{e} }},
	{rule: "Close frees everything", property: "EngineCloseWithoutAnyOperation",
		wrap: func(e engine.Engine) engine.Engine { return &unclosed{e} }},
	{rule: "a flood does not starve others", property: "FloodingPeerDoesNotStarveOthers",
		wrap: func(e engine.Engine) engine.Engine { return &unfair{Engine: e} }},
}

func TestSuiteNoticesEveryBrokenRule(t *testing.T) {
	defer func(p time.Duration) { patience = p }(patience)
	all := patience
	for _, s := range sabotages {
		t.Run(strings.ReplaceAll(s.rule, " ", "_"), func(t *testing.T) {
			patience = all
			begun := time.Now()
			if said := runCase(t, s.property, s.faults, func(e engine.Engine) engine.Engine { return e }); said != "" {
				t.Fatalf("%s fails for an engine that keeps the rule: %s", s.property, said)
			}
			// Most broken ones hang. An engine that keeps the rule has just shown
			// how long this machine takes for it now.
			patience = max(5*time.Since(begun), 300*time.Millisecond)
			said := runCase(t, s.property, s.faults, s.wrap)
			if said == "" {
				t.Fatalf("%s does not notice", s.property)
			}
			t.Logf("%s says: %s", s.property, said)
		})
	}
}

// faultListener gives the fault engine's peers by the suite's type.
type faultListener struct{ *faultengine.PeerListener }

func (l faultListener) Accept() (Peer, error) { return l.PeerListener.Accept() }

// runCase runs one case and returns what it complained of.
func runCase(t *testing.T, name string, c faultengine.Config, wrap func(engine.Engine) engine.Engine) string {
	c.Seed = 1
	c.Report = func(error) {} // Check tells; a saboteur's owner may break rules
	s := newSuite(
		func(testing.TB) engine.Network { return &sabotaged{faultengine.New(c), wrap} },
		[]Option{
			Light(),
			DialWith(func(n engine.Network, a netip.AddrPort) (Peer, error) { return n.(*sabotaged).Dial(a) }),
			ListenWith(func(n engine.Network, silent bool) (PeerListener, error) {
				return faultListener{n.(*sabotaged).ListenPeer(silent)}, nil
			}),
			AtEnd(func(t testing.TB, n engine.Network) {
				if err := n.(*sabotaged).Check(); err != nil {
					t.Error(err)
				}
			}),
		})
	for _, group := range properties {
		for _, p := range group {
			if p.name != name {
				continue
			}
			r := &recorder{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				s.check(r, engine.WaitParked, p)
			}()
			<-done
			return strings.Join(r.said, "; ")
		}
	}
	t.Fatalf("there is no case %s", name)
	return ""
}

// recorder is a testing.TB whose failures do not fail the test around it.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Error(args ...any)            { r.said = append(r.said, fmt.Sprint(args...)) }
func (r *recorder) Errorf(f string, args ...any) { r.said = append(r.said, fmt.Sprintf(f, args...)) }
func (r *recorder) Fatal(args ...any)            { r.Error(args...); runtime.Goexit() }
func (r *recorder) Fatalf(f string, args ...any) { r.Errorf(f, args...); runtime.Goexit() }

type sabotaged struct {
	*faultengine.Network
	wrap func(engine.Engine) engine.Engine
}

func (n *sabotaged) Open(w engine.Wait) (engine.Engine, error) {
	e, err := n.Network.Open(w)
	if err != nil {
		return nil, err
	}
	return n.wrap(e), nil
}

// editor changes completions on their way out.
type editor struct {
	engine.Engine
	edit  func(c *engine.Completion, more func(engine.Completion))
	extra []engine.Completion
}

func editing(edit func(*engine.Completion, func(engine.Completion))) func(engine.Engine) engine.Engine {
	return func(e engine.Engine) engine.Engine { return &editor{Engine: e, edit: edit} }
}

func (e *editor) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	if n := copy(done, e.extra); n > 0 {
		e.extra = e.extra[n:]
		return n, nil
	}
	n, err := e.Engine.Poll(done, wait)
	for i := range done[:n] {
		e.edit(&done[i], func(c engine.Completion) { e.extra = append(e.extra, c) })
	}
	return n, err
}

// deafBeforePoll forgets what woke it before Poll.
type deafBeforePoll struct{ engine.Engine }

func (e *deafBeforePoll) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	if n, err := e.Engine.Poll(done, 0); n > 0 || err != nil || wait == 0 {
		return n, err
	}
	if wait < 0 || wait > patience {
		wait = patience // or the test would hang, as it should
	}
	start := time.Now()
	n, err := e.Engine.Poll(done, wait)
	if n == 0 && time.Since(start) >= patience {
		err = fmt.Errorf("hangs")
	}
	return n, err
}

// deafAtTimes loses one Wake in a thousand.
type deafAtTimes struct {
	engine.Engine
	wakes atomic.Int64
}

func (e *deafAtTimes) Wake() {
	if e.wakes.Add(1)%1000 != 0 {
		e.Engine.Wake()
	}
}

type withoutCancel struct{ engine.Engine }

func (e *withoutCancel) Cancel(engine.FD, engine.Token) {}

type withoutShutdown struct{ engine.Engine }

func (e *withoutShutdown) Shutdown(engine.FD, engine.Token) {}

// reusing writes to the first lent memory at each Poll.
type reusing struct {
	engine.Engine
	first []byte
}

func (e *reusing) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	n, err := e.Engine.Poll(done, wait)
	if e.first != nil {
		e.first[0]++
	}
	for i := range done[:n] {
		if e.first == nil && len(done[i].Data) > 0 {
			e.first = done[i].Data
		}
	}
	return n, err
}

// tidy takes what it has lent last with it.
type tidy struct {
	engine.Engine
	last []byte
}

func (e *tidy) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	n, err := e.Engine.Poll(done, wait)
	for _, c := range done[:n] {
		if len(c.Data) > 0 {
			e.last = c.Data
		}
	}
	return n, err
}

func (e *tidy) Close() error {
	for i := range e.last {
		e.last[i]++
	}
	return e.Engine.Close()
}

// boasting says that every send took everything.
type boasting struct {
	engine.Engine
	totals map[engine.Token]int32
}

func (e *boasting) Send(fd engine.FD, t engine.Token, bufs [][]byte) {
	e.totals[t] = 0
	for _, b := range bufs {
		e.totals[t] += int32(len(b))
	}
	e.Engine.Send(fd, t, bufs)
}

func (e *boasting) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	n, err := e.Engine.Poll(done, wait)
	for i := range done[:n] {
		if done[i].Op == engine.OpSend && done[i].Res > 0 {
			done[i].Res = e.totals[done[i].Token]
		}
	}
	return n, err
}

// forgetful drops what does not fit.
type forgetful struct {
	engine.Engine
	all [64]engine.Completion
}

func (e *forgetful) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	n, err := e.Engine.Poll(e.all[:], wait)
	return copy(done, e.all[:n]), err
}

type waitingAtLeast struct {
	engine.Engine
	least time.Duration
}

func (e *waitingAtLeast) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	return e.Engine.Poll(done, max(wait, e.least))
}

type neverWaiting struct{ engine.Engine }

func (e *neverWaiting) Poll(done []engine.Completion, _ time.Duration) (int, error) {
	return e.Engine.Poll(done, 0)
}

type uncounted struct{ engine.Engine }

func (e *uncounted) Counters() *engine.Counters { return &engine.Counters{} }

type unclosed struct{ engine.Engine }

func (e *unclosed) Close() error { return nil }

// unfair lets a flood of 3,000 completions go before each small one.
type unfair struct {
	engine.Engine
	kept  []engine.Completion
	since int
}

func (e *unfair) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	if e.since > 3000 && len(e.kept) > 0 {
		n := copy(done, e.kept)
		e.kept, e.since = e.kept[n:], 0
		return n, nil
	}
	n, err := e.Engine.Poll(done, wait)
	k := 0
	for _, c := range done[:n] {
		if c.Op == engine.OpRecv && len(c.Data) == 1 {
			e.kept = append(e.kept, c)
			continue
		}
		done[k] = c
		k++
	}
	if e.since += k; len(e.kept) == 0 {
		e.since = 0
	}
	return k, err
}

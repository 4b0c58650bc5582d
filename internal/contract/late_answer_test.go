package contract

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// lateAnswers are all that a goroutine may do that does not know that its request
// has been answered.
var lateAnswers = []func(r kring.Request, secret []byte){
	func(r kring.Request, secret []byte) { r.Respond(secret) },
	func(r kring.Request, secret []byte) { r.Respond(append(r.Buffer(len(secret))[:0], secret...)) },
	func(r kring.Request, secret []byte) { r.Respond(append(r.Buffer(50_000)[:0], secret...)) },
	func(r kring.Request, secret []byte) { _ = r.RespondParts([]kring.Part{{Bytes: secret}}, nil) },
	func(r kring.Request, _ []byte) { r.Throttle(time.Hour); r.NoResponse() },
	func(r kring.Request, _ []byte) {
		r.SetErrorCode(42)
		r.Truncate(1)
		r.CloseConnection(reqchan.HandlerClosed)
	},
	func(r kring.Request, _ []byte) { r.Respond(r.Payload()) },
	func(r kring.Request, secret []byte) {
		r.CloseConnectionAfter(reqchan.AuthenticationFailed, time.Hour, secret)
	},
}

// A timeout answers, and the work that it was for answers as well, when other
// requests have come long since: no client sees anything of it, no connection is
// closed or throttled for it, nothing panics, and it is counted. Whether the first
// answer came inside Handle or from another goroutine.
//
// Kafka: SE-02, Q-12.
func TestALateAnswerReachesNobody(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		for _, depth := range []int{1, 8} {
			for _, batch := range []int{1, 64} {
				t.Run(fmt.Sprintf("pipeline %d, batches of %d", depth, batch), func(t *testing.T) {
					cfg := cfg
					cfg.Limits.PipelineMax, cfg.Dispatch.BatchMax = depth, batch
					latecomers(t, cfg)
				})
			}
		}
	})
}

func latecomers(t *testing.T, cfg kring.Config) {
	var mu sync.Mutex
	var stale []kring.Request // guarded by mu
	var works sync.WaitGroup
	var late int // guarded by mu
	s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
		text := string(r.Payload())
		mu.Lock()
		for _, old := range stale { // this one is in Handle, others are away or done
			for range 2 {
				late++
				answer, secret := lateAnswers[late%len(lateAnswers)], []byte("A's SECRET "+text)
				works.Go(func() { answer(old, secret) })
			}
		}
		stale = append(stale, r)
		if len(stale) > 5 {
			stale = stale[1:]
		}
		if strings.HasSuffix(text, "7") { // the timeout is another goroutine's
			works.Go(func() { r.Respond([]byte(text)) })
			stale = stale[:len(stale)-1]
		} else {
			r.Respond([]byte(text))
			answer := lateAnswers[late%len(lateAnswers)]
			answer(r, []byte("A's SECRET"))
			late++
		}
		mu.Unlock()
	}))
	a, b := servertest.Dial(t, s), servertest.Dial(t, s)
	for i := range 60 {
		a.Ask(fmt.Sprint("a", i), fmt.Sprint("a", i))
		for k := range 4 {
			b.Send(fmt.Sprint("b", i, k))
		}
		for k := range 4 {
			if got, want := b.Receive(), fmt.Sprint("b", i, k); got != want {
				t.Fatalf("the answer is %q, want %q", got, want)
			}
		}
	}
	mu.Lock()
	works.Wait()
	mu.Unlock()
	a.Ask("still", "still")
	b.Ask("here", "here")
	mu.Lock()
	defer mu.Unlock()
	works.Wait()
	servertest.Eventually(t, "every answer too many is counted", func() bool { return s.Stats().Total.ExtraAnswers == uint64(late) })
	if st := s.Stats(); st.Total.Panics+st.Handlers.Panics+st.Total.Throttles != 0 {
		t.Errorf("%d and %d panics, %d throttles", st.Total.Panics, st.Handlers.Panics, st.Total.Throttles)
	}
}

package conn

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"kring/reqchan"
)

// answerAs answers as the payload says.
func answerAs(r reqchan.Request) {
	payload := string(r.Payload())
	kind, _, _ := strings.Cut(payload, " ")
	switch kind {
	case "none":
		r.NoResponse()
		return
	case "error":
		r.SetErrorCode(int16(len(payload)))
	case "large":
		b := r.Buffer(6000)
		for n := copy(b, payload); n < len(b); n *= 2 {
			copy(b[n:], b[:n])
		}
		r.Respond(b)
		return
	case "close":
		r.CloseConnectionAfter(reqchan.HandlerClosed, 0, []byte("goodbye "+payload))
		return
	case "copied":
		r.Respond([]byte("somebody else's " + payload))
		return
	}
	r.Respond(r.Payload())
}

// TestAnAnswerLeavesAlikeWhoeverGaveIt: at once on the processor, from another goroutine, or
// from several out of order. What the peer gets, what is counted, and how it ends is the same.
func TestAnAnswerLeavesAlikeWhoeverGaveIt(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		kinds := []string{"small", "small", "small", "error", "copied", "large", "none"}
		var in []byte
		n := 1 + random.IntN(20)
		for i := range n {
			kind := kinds[random.IntN(len(kinds))]
			if i == n-1 && random.IntN(2) == 0 {
				kind = "close"
			}
			in = append(in, testFrame(fmt.Sprintf("%s %d", kind, i))...)
		}
		want := answersOf(t, in, 1, answerAs, nil)
		for name, got := range map[string]left{
			"one by one":   answersOf(t, in, 1, nil, random),
			"pipelined":    answersOf(t, in, 8, answerAs, random),
			"out of order": answersOf(t, in, 8, nil, random),
		} {
			if !bytes.Equal(got.out, want.out) || got.counts != want.counts || got.why != want.why {
				t.Fatalf("seed %d, %s:\n%q\n%+v\nand not\n%q\n%+v", seed, name, got.out, got, want.out, want)
			}
		}
	}
}

// left is what a connection sent, and what is known of it.
type left struct {
	out    []byte
	counts string
	why    reqchan.CloseReason
}

// answersOf has in answered: by handle on the processor, or by others in any order.
func answersOf(t *testing.T, in []byte, pipeline int, handle func(reqchan.Request), random *rand.Rand) (got left) {
	l := newTestLoop(t, Settings{PipelineMax: pipeline}, handle)
	defer l.end()
	l.receive(in, true)
	for {
		if l.flush(); len(l.sending) > 0 {
			got.out = append(got.out, l.sending...)
			n := len(l.sending)
			l.sending = nil
			l.sent(n)
			continue
		}
		if len(l.request) == 0 {
			break
		}
		at := random.IntN(len(l.request))
		l.request[0], l.request[at] = l.request[at], l.request[0]
		l.answer(answerAs)
	}
	c := l.shared.Counts()
	l.shared.PublishTimes()
	errors := map[int16]uint64{}
	for _, s := range l.shared.Requests() {
		for code, n := range s.Errors {
			errors[code] += n
		}
	}
	got.counts = fmt.Sprint(c.Requests, c.Responses, c.BytesOut, errors)
	got.why = l.conn.reason
	return got
}

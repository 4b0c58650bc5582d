package reqchan

import (
	"os"
	"testing"
	"time"

	"kring/internal/slab"
)

// watching is an AnswerWatcher, and an Answering that doubles what is answered.
type watching struct {
	kind AnswerKind
	head string
	size int
	n    int
}

func (w *watching) Answered(_ Request, k AnswerKind, head []byte, size int) {
	w.kind, w.head, w.size, w.n = k, string(head), size, w.n+1
}

func (w *watching) Answering(_ Request, _ AnswerKind, payload []byte) []byte {
	return append(payload[:len(payload):len(payload)], payload...)
}

func (w *watching) AnsweringParts(Request, []byte, int) []byte { return nil }

// TestAWatcherIsToldOfEveryKindOfAnswerOnce: of what is sent, after others have changed it, and
// of the next request of the same job nothing.
func TestAWatcherIsToldOfEveryKindOfAnswerOnce(t *testing.T) {
	file, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, c := range []struct {
		name    string
		answer  func(Request)
		changed bool
		kind    AnswerKind
		head    string
		size    int
	}{
		{"Respond", func(r Request) { r.Respond([]byte("abc")) }, false, AnswerSend, "abc", 3},
		{"Respond in place", func(r Request) { r.Respond(r.Payload()[:2]) }, false, AnswerSend, "re", 2},
		{"Respond, changed", func(r Request) { r.Respond([]byte("abc")) }, true, AnswerSend, "abcabc", 6},
		{"RespondParts", func(r Request) {
			_ = r.RespondParts([]Part{{Bytes: []byte("abc")}, {File: file, Length: 7}}, nil)
		}, false, AnswerSend, "abc", 10},
		{"NoResponse", func(r Request) { r.NoResponse() }, false, AnswerNoResponse, "", 0},
		{"CloseConnection", func(r Request) { r.CloseConnection(HandlerClosed) }, false, AnswerClose, "", 0},
		{"CloseConnectionAfter", func(r Request) { r.CloseConnectionAfter(HandlerClosed, time.Hour, []byte("ab")) }, false, AnswerClose, "ab", 2},
	} {
		var w watching
		var pool slab.Pool
		j := NewJob(&Conn{}, append(make([]byte, SizeBytes), "request"...))
		j.Begin(nil, &pool)
		r := j.Request()
		if c.changed {
			r.BeforeAnswer(&w)
		}
		r.WatchAnswer(&w)
		if age, known := r.Age(); !known || age < 0 {
			t.Errorf("%s: an age of %v, %v", c.name, age, known)
		}
		c.answer(r)
		r.Respond([]byte("too late"))
		if w.kind != c.kind || w.head != c.head || w.size != c.size || w.n != 1 {
			t.Errorf("%s: told %+v, want kind %v, %q of %d bytes, once", c.name, w, c.kind, c.head, c.size)
		}
		j.Reset()
		j.Frame = append(make([]byte, SizeBytes), "request"...)
		j.Begin(nil, &pool)
		j.Request().Respond([]byte("of the next"))
		if w.n != 1 {
			t.Errorf("%s: told of the next request", c.name)
		}
	}
}

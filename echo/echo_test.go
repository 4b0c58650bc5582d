package echo

import (
	"bytes"
	"testing"

	"kring/internal/slab"
	"kring/reqchan"
)

func TestEveryPayloadComesBackInTheMemoryItCameIn(t *testing.T) {
	pool := &slab.Pool{}
	defer pool.Close()
	for _, payload := range []string{"", "x", "a frame of some bytes"} {
		frame := pool.Get(reqchan.SizeBytes + len(payload))
		copy(frame[reqchan.SizeBytes:], payload)
		r := reqchan.NewJob(nil, frame)
		r.Begin(nil, pool)
		Handler{}.Handle(r.Request())
		if !r.HandleReturned() {
			t.Fatal("not answered when Handle returned")
		}
		kind, response, _ := r.Answer()
		if kind != reqchan.AnswerSend || !bytes.Equal(response[reqchan.SizeBytes:], []byte(payload)) {
			t.Errorf("%q: answer %v %q", payload, kind, response)
		}
		if len(payload) > 0 && !r.ResponseIsFrame() {
			t.Errorf("%q: the answer was copied", payload)
		}
		r.Free()
		pool.Put(frame)
	}
	if n := pool.Lent(); n != 0 {
		t.Errorf("%d pieces of memory did not come home", n)
	}
}

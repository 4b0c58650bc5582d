package record

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"testing"
)

// TestARequestThatHasNoRoomIsNotCopied: of small messages of older sets nearly all is headers, and what is
// kept of many at once must not be more than the queue may hold.
func TestARequestThatHasNoRoomIsNotCopied(t *testing.T) {
	message := make([]byte, messageHeadBytes+8)
	binary.BigEndian.PutUint32(message[lengthEndsAt-4:], uint32(len(message)-lengthEndsAt))
	message[magicAt] = 1
	const size = 16 << 20
	request := frame(produceOf(2, bytes.Repeat(message, size/len(message))), "me")
	r, err := New(new(sink), Config{QueueBytesMax: BytesLeast})
	if err != nil {
		t.Fatal(err)
	}
	h := r.Handler(answering("ok"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ask(h, conn, request)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes were allocated for a request that is left out; the queue has %d", used, BytesLeast)
	}
	if r.Stats().Lost == 0 {
		t.Error("it is not counted as lost")
	}
	if err := r.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

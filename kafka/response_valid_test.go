package kafka

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestWhatKmsgEncodesOfResponsesIsAcceptedAndUsedUp: the schemas of responses are whole.
func TestWhatKmsgEncodesOfResponsesIsAcceptedAndUsedUp(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	everyVersion(func(d *description, version int16) {
		header := len(AppendResponseHeader(nil, d.key, version, 0))
		for range 10 {
			payload, _ := randomResponse(r, d.key, version)
			body := payload[header:]
			if size, err := validateResponse(d.key, version, body); err != nil || size != len(body) {
				t.Fatalf("%s v%d: %d of %d bytes, %v\n%x", d.name, version, size, len(body), err, body)
			}
			if len(body) == 0 {
				continue
			}
			if _, err := validateResponse(d.key, version, body[:len(body)-1]); err == nil {
				t.Fatalf("%s v%d: a byte too little is accepted\n%x", d.name, version, body)
			}
		}
	})
}

// TestWhatIsAcceptedOfResponsesKmsgDecodesWithinBounds: whatever bytes are changed.
func TestWhatIsAcceptedOfResponsesKmsgDecodesWithinBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	accepted := 0
	everyVersion(func(d *description, version int16) {
		header := len(AppendResponseHeader(nil, d.key, version, 0))
		for range 20 {
			payload, _ := randomResponse(r, d.key, version)
			body := payload[header:]
			for range 1 + r.IntN(4) {
				mutate(r, body)
			}
			size, err := validateResponse(d.key, version, body)
			if err != nil {
				continue
			}
			accepted++
			before := heapAllocated()
			resp := kmsg.ResponseForKey(d.key)
			resp.SetVersion(version)
			if err := resp.ReadFrom(body[:size]); err != nil {
				t.Fatalf("%s v%d: accepted, but kmsg says %v\n%x", d.name, version, err, body)
			}
			runtime.KeepAlive(resp)
			if used, bound := heapAllocated()-before, uint64(1<<20+512*len(body)); used > bound {
				t.Fatalf("%s v%d: decoding %d bytes allocated %d", d.name, version, len(body), used)
			}
		}
	})
	if accepted < 1000 {
		t.Errorf("only %d mutated bodies were accepted: nothing was tested", accepted)
	}
}

// TestAResponseThatLiesKeepsNobodyBusy: what is merged on the way to a client comes from another server.
func TestAResponseThatLiesKeepsNobodyBusy(t *testing.T) {
	lie := metadataWithTags(t)
	done := make(chan error)
	go func() {
		resp := kmsg.NewPtrMetadataResponse()
		resp.Version = 12
		done <- DecodeResponse(lie, resp)
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("four billion tags are accepted")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a response of a few bytes keeps kmsg busy")
	}
}

// metadataWithTags is the body of a Metadata response of version 12 that claims 2^32-1 tags at its end.
func metadataWithTags(t *testing.T) []byte {
	t.Helper()
	resp := kmsg.NewPtrMetadataResponse()
	resp.Version = 12
	body := resp.AppendTo(nil)
	if !bytes.HasSuffix(body, []byte{0}) {
		t.Fatalf("no tag section: %x", body)
	}
	return append(body[:len(body)-1], 0xff, 0xff, 0xff, 0xff, 0x0f)
}

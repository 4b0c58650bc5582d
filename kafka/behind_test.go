package kafka

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"kring/quota"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// framesOfClients are frames, without their size, of clients that send bytes
// behind a body. Apache Kafka answers each.
var framesOfClients = []struct {
	client, frame string
	behind        int
}{
	{"librdkafka from 2.2 on, Metadata v13 of all topics",
		"0003000d00000003000772646b61666b610000000000010000", 3},
	{"librdkafka 2, AlterUserScramCredentials v0",
		"0033000000000003000772646b61666b6100010202750100002000412ce7fc5c1459adb1f8e2732caa65d5d7c019a843445ac96eed27b7e65a3378" +
			"ba1d149f34a9521bf624c64cf89c986a3fa16061fd0c4bfac36b0aba2dcea0169f21c41c76ee35bf711461d073af23ee43065ba6fb89aaf98d29a6" +
			"55941396406736000000", 1},
	{"Java from 3.3 to 3.7, ApiVersions v3", "0012000300000001000178000278027900", 0},
}

func TestRequestsOfRealClientsAreLetInWithoutWhatIsBehindThem(t *testing.T) {
	for _, k := range framesOfClients {
		h := &recorder{}
		c := newClient(t, NewFilter(everything(t), h))
		payload, err := hex.DecodeString(k.frame)
		if err != nil {
			t.Fatal(err)
		}
		kind, _, why := c.send(payload)
		if kind != reqchan.AnswerNoResponse || len(h.calls) != 1 {
			t.Errorf("%s: %v, %v", k.client, kind, why)
			continue
		}
		whole := payload[:len(payload)-k.behind]
		got := h.calls[0]
		if !bytes.Equal(c.request.Payload(), whole) || !bytes.Equal(got.Body, whole[got.Header.Size:]) {
			t.Errorf("%s: the handler saw %x of %x", k.client, c.request.Payload(), payload)
		}
		req, err := got.Decode()
		if err != nil || !bytes.Equal(req.AppendTo(nil), got.Body) {
			t.Errorf("%s: decoded as %+v, %v", k.client, req, err)
		}
	}
}

func TestNothingBehindABodyReachesTheHandler(t *testing.T) {
	h := &recorder{}
	c := newClient(t, NewFilter(everything(t), h))
	r := rand.New(rand.NewPCG(51, 52))
	everyRequest(r, func(d *description, version int16, req kmsg.Request) {
		whole := framePayload(req, 1, "test")
		behind := make([]byte, 1+r.IntN(100))
		for i := range behind {
			behind[i] = byte(r.Uint32())
		}
		h.calls = nil
		kind, _, why := c.send(append(bytes.Clone(whole), behind...))
		if kind != reqchan.AnswerNoResponse || len(h.calls) != 1 {
			t.Fatalf("%s v%d: %v, %v", d.name, version, kind, why)
		}
		if got := h.calls[0]; !bytes.Equal(got.Body, req.AppendTo(nil)) || !bytes.Equal(c.request.Payload(), whole) {
			t.Errorf("%s v%d: %d bytes of %d reached the handler", d.name, version, len(c.request.Payload()), len(whole))
		}
	})
}

// Quotas count what a client sends, useful or not.
func TestBytesBehindAProduceAreCharged(t *testing.T) {
	const limit, behind = 1000, 50_000
	c, _, _ := metered(t, answers(func(r APIRequest) {
		resp := kmsg.NewPtrProduceResponse()
		resp.SetVersion(r.Header.Version)
		r.Respond(resp)
	}), limitOf(quota.BytesIn, limit))
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks = 7, 1
	_, payload, _ := c.send(append(framePayload(req, 4711, "test"), make([]byte, behind)...))
	resp := decodeResponse[*kmsg.ProduceResponse](t, payload, req)
	if resp.ThrottleMillis == 0 || throttled(c) == 0 {
		t.Errorf("%d bytes behind a Produce, at %d a second, are answered with a wait of %d ms", behind, limit, resp.ThrottleMillis)
	}
}

package embedded

import (
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/slab"
	"kring/kafka"
	"kring/reqchan"
)

// framesOfClients are requests as clients sent them, without their size. Some
// have bytes behind their body, which Apache Kafka passes over.
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

func TestFramesOfRealClientsAreAnsweredAndCutToTheirEnd(t *testing.T) {
	c := open(t, Config{})
	conn := &reqchan.Conn{}
	c.ConnOpened(conn)
	defer c.ConnClosed(conn, reqchan.PeerFinished)
	for seq, k := range framesOfClients {
		payload, err := hex.DecodeString(k.frame)
		if err != nil {
			t.Fatal(err)
		}
		r := newRequest(t, conn, uint64(seq), kmsg.NewPtrMetadataRequest())
		r.Frame = append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
		r.Begin(r.home, new(slab.Pool))
		c.Handle(r.Request())
		if !r.HandleReturned() {
			r.await()
		}
		kind, response, why := r.Answer()
		if kind != reqchan.AnswerSend {
			t.Fatalf("%s: answered with %v, %v", k.client, kind, why)
		}
		key, version := kafka.APIOf(payload)
		resp := kmsg.ResponseForKey(key)
		resp.SetVersion(version)
		body := response[reqchan.SizeBytes+len(kafka.AppendResponseHeader(nil, key, version, 0)):]
		if err := resp.ReadFrom(body); err != nil {
			t.Errorf("%s: %v", k.client, err)
		}
		// What a session writes to kfake is the payload.
		if want := len(payload) - k.behind; len(r.Payload()) != want {
			t.Errorf("%s: kfake saw %d bytes, the request has %d", k.client, len(r.Payload()), want)
		}
	}
}

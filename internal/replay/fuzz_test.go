package replay

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/record"
)

// FuzzRewrite plays requests of a file that anybody may have made: each is sent as something that can be
// read, or there is a reason.
func FuzzRewrite(f *testing.F) {
	cut := kmsg.NewPtrProduceRequest()
	cut.Version = 7
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = appendBatch(nil, record.Batch{Bytes: 200, Records: 2}, moment)
	cut.Topics = []kmsg.ProduceRequestTopic{{Topic: "orders", Partitions: []kmsg.ProduceRequestTopicPartition{p}}}
	f.Add(int16(0), int16(7), uint8(record.Cut), cut.AppendTo(nil), int16(9))
	f.Add(int16(0), int16(7), uint8(record.Whole), cut.AppendTo(nil), int16(9))
	f.Add(int16(1), int16(16), uint8(record.Whole), fetchOf(0, 0, -1, 0, 1).AppendTo(nil), int16(11))
	f.Add(int16(3), int16(1), uint8(record.Whole), kmsg.NewPtrMetadataRequest().AppendTo(nil), int16(12))
	f.Fuzz(func(t *testing.T, api, version int16, form uint8, body []byte, served int16) {
		e := &record.Entry{Kind: record.Request, API: api, APIVersion: version, Form: record.Form(form), Body: bytes.Clone(body)}
		(&Summary{APIs: map[int16]*Recorded{}, Topics: map[string]*Topic{}}).entry(e, map[string]int{}, map[[16]byte]use{})
		w := rewriterFor(0, served)
		it, why := only(w.rewrite(e))
		if it == nil {
			if why == "" {
				t.Fatal("not played, and nobody says why")
			}
			return
		}
		sent := kmsg.RequestForKey(api)
		sent.SetVersion(it.version)
		if err := sent.ReadFrom(w.target.encoded(it)); err != nil || it.version > served {
			t.Fatalf("version %d: %v", it.version, err)
		}
	})
}

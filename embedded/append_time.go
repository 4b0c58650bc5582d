package embedded

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// stamped marks a batch, as kfake stores it, whose time is that of its arrival.
// Apache Kafka has an attribute for that (batchAppendTime); where a producer sets
// it, kfake writes its own time into the batch and leaves the checksum, and no
// client reads it any more. No client looks at the bit that stands in for it,
// and showAppendTime puts the right one into what is fetched.
const stamped = 0x8000

// showAppendTime puts the attribute of append time on fetched batches.
func showAppendTime(x *exchange, _ *kmsg.FetchRequest) kmsg.Response {
	if !x.cluster().settings.stamps.Load() {
		return nil
	}
	then(x, func(resp *kmsg.FetchResponse) {
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				showAppendTimeOf(resp.Topics[i].Partitions[j].RecordBatches)
			}
		}
	})
	return nil
}

// showAppendTimeOf changes batches in place; the last of them may be cut.
func showAppendTimeOf(batches []byte) {
	for h, b := range wholeBatches(batches) {
		if h.attributes&stamped != 0 {
			binary.BigEndian.PutUint16(b[batchAttributesAt:], h.attributes&^stamped|batchAppendTime)
			b.seal()
		}
	}
}

// storedStamps says in the data directory that batches have been stamped.
const storedStamps = "kring.stamps"

// stamp notes that batches are stamped, before the first is.
func (s *settings) stamp(ask asker) error {
	if s.stampsStored.Load() {
		return nil
	}
	s.alter.Lock()
	defer s.alter.Unlock()
	err := storeSettings(ask, kmsg.ConfigResourceTypeBroker, "", map[string]*string{storedStamps: kmsg.StringPtr("true")})
	if err == nil {
		s.stamps.Store(true)
		s.stampsStored.Store(true)
	}
	return err
}

// showAppendTimeShared is showAppendTime for share groups.
func showAppendTimeShared(x *exchange, _ *kmsg.ShareFetchRequest) kmsg.Response {
	if !x.cluster().settings.stamps.Load() {
		return nil
	}
	then(x, func(resp *kmsg.ShareFetchResponse) {
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				showAppendTimeOf(resp.Topics[i].Partitions[j].Records)
			}
		}
	})
	return nil
}

package embedded

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestAFetchThatIsCutNamesItsAbortedTransactions wherever its bound of bytes cuts it, so
// that nobody takes aborted records for committed ones; and it brings no more for that.
func TestAFetchThatIsCutNamesItsAbortedTransactions(t *testing.T) {
	c := openForTransactions(t)
	p := initialized(t, c, "writer")
	const transactions = 6 // every other one is aborted; each is a batch and its marker
	for i := range transactions {
		for what, code := range map[string]int16{"add": addPartition(t, c, 3, p), "produce": produceIn(t, c, 11, p, int32(i)), "end": end(t, c, 3, p, i%2 == 0)} {
			if code != 0 {
				t.Fatalf("transaction %d: %s: error %d", i, what, code)
			}
		}
	}
	fetch := func(offset int64, most int32) kmsg.FetchResponseTopicPartition {
		req := fetching(txnTopic, offset)
		req.MaxBytes, req.IsolationLevel, req.SessionEpoch, req.MaxWaitMillis = most, readCommitted, noSession, 0
		return answer[*kmsg.FetchResponse](t, c, 11, req).Topics[0].Partitions[0]
	}
	all := fetch(0, 1<<20)
	if len(all.AbortedTransactions) != transactions/2 {
		t.Fatalf("%d aborted transactions, want %d", len(all.AbortedTransactions), transactions/2)
	}
	for offset := int64(0); offset < 2*transactions; offset++ {
		for most := int32(1); int(most) < len(all.RecordBatches)+50; most += 40 {
			got := fetch(offset, most)
			first, last := readHead(got.RecordBatches).offset, endOf(got.RecordBatches)-1
			if len(got.RecordBatches) > int(most) && first != last {
				t.Errorf("from %d, %d bytes: %d came", offset, most, len(got.RecordBatches))
			}
			var want []int64
			for i := int64(1); i < transactions; i += 2 { // its batch is at 2i, its marker behind
				if 2*i <= last && 2*i+1 >= first {
					want = append(want, 2*i)
				}
			}
			var named []int64
			for _, a := range got.AbortedTransactions {
				named = append(named, a.FirstOffset)
			}
			if len(named) != len(want) || len(want) > 0 && named[0] != want[0] {
				t.Errorf("from %d, %d bytes: offsets %d to %d, aborted from %v, want %v", offset, most, first, last, named, want)
			}
		}
	}
}

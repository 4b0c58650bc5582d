package embedded

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// recordSize is how many bytes a record takes that share groups fetch, of late.
type recordSize struct{ bytes atomic.Int64 }

// recordBytesFirst is what it is taken for before one was fetched.
const recordBytesFirst = 64 << 10

func (s *recordSize) get() int64 {
	if n := s.bytes.Load(); n > 0 {
		return n
	}
	return recordBytesFirst
}

// learn goes up at once and down slowly: a record too few is fetched next time.
func (s *recordSize) learn(n int64) {
	last := s.get()
	s.bytes.Store(max(n, last-last/8, 1))
}

// boundShareFetch has a member fetch no more records than there is room for, as far as
// their size is known: kfake counts records only, not MaxBytes.
func boundShareFetch(x *exchange, req *kmsg.ShareFetchRequest) kmsg.Response {
	b := reqchan.BudgetOf(x.q.Raw)
	if b == nil {
		return nil
	}
	size := &x.cluster().answers.record
	most := b.Room()
	if req.MaxBytes > 0 {
		most = min(most, int64(req.MaxBytes))
	}
	if most = max(most/size.get(), 1); int64(req.MaxRecords) > most { // 0 or less: the request fetches nothing, or kfake's default
		req.MaxRecords, x.changed = int32(most), true
	}
	then(x, func(resp *kmsg.ShareFetchResponse) {
		records, bytes := int64(0), int64(0)
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				p := &resp.Topics[i].Partitions[j]
				bytes += int64(len(p.Records))
				for _, r := range p.AcquiredRecords {
					records += r.LastOffset - r.FirstOffset + 1
				}
			}
		}
		if records > 0 {
			size.learn(bytes / records)
		}
	})
	return nil
}

package embedded

import "github.com/twmb/franz-go/pkg/kmsg"

// shareRecords makes no records of null ones: the field is not nullable, and
// Java's share consumer drops the whole response.
func shareRecords(x *exchange, _ *kmsg.ShareFetchRequest) kmsg.Response {
	then(x, func(resp *kmsg.ShareFetchResponse) {
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				if p := &resp.Topics[i].Partitions[j]; p.Records == nil {
					p.Records = []byte{}
				}
			}
		}
	})
	return nil
}

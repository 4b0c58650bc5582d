package embedded

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// What one request may name, where each name costs kfake a whole file, or us an
// answer many times as long as the request: others wait meanwhile.
const (
	describedMax = partitionsMax // topics whose settings one request describes: all
	describedMin = 1000          // where memory is little
	alteredMax   = 1000          // resources or entities that one request alters
)

// boundDescribed refuses a DescribeConfigs that names more than there is room for.
func boundDescribed(x *exchange) kmsg.Response {
	most := describedMax
	if b := reqchan.BudgetOf(x.q.Raw); b != nil {
		most = min(most, max(describedMin, int(b.Max()/describedBytes)))
	}
	return boundNames(most, describedResources)(x)
}

// boundNames refuses a request that names too many things, as each of them.
func boundNames(most int, named func(kmsg.Request) int) func(*exchange) kmsg.Response {
	return func(x *exchange) kmsg.Response {
		n := named(x.req)
		if n <= most {
			return nil
		}
		return refusalOf(x.req, kerr.PolicyViolation.Code, fmt.Sprintf("one request may name %d, and this one names %d: ask in parts", most, n))
	}
}

func describedResources(req kmsg.Request) int {
	return len(req.(*kmsg.DescribeConfigsRequest).Resources)
}
func alteredResources(req kmsg.Request) int { return len(req.(*kmsg.AlterConfigsRequest).Resources) }
func alteredSettings(req kmsg.Request) int {
	return len(req.(*kmsg.IncrementalAlterConfigsRequest).Resources)
}
func alteredQuotas(req kmsg.Request) int { return len(req.(*kmsg.AlterClientQuotasRequest).Entries) }
func alteredUsers(req kmsg.Request) int {
	r := req.(*kmsg.AlterUserSCRAMCredentialsRequest)
	return len(r.Deletions) + len(r.Upsertions)
}

// oneEntryATopic puts together what a DeleteRecords request says of one topic; of a
// partition that is named twice the last counts, as in Apache Kafka.
func oneEntryATopic(x *exchange, req *kmsg.DeleteRecordsRequest) kmsg.Response {
	type part struct {
		topic     string
		partition int32
	}
	at := make(map[string]int, len(req.Topics))
	offsets := make(map[part]int)
	var all []kmsg.DeleteRecordsRequestTopic
	for _, t := range req.Topics {
		i, seen := at[t.Topic]
		if !seen {
			i = len(all)
			at[t.Topic] = i
			all = append(all, kmsg.DeleteRecordsRequestTopic{Topic: t.Topic})
		}
		x.changed = x.changed || seen
		for _, p := range t.Partitions {
			if j, twice := offsets[part{t.Topic, p.Partition}]; twice {
				all[i].Partitions[j].Offset, x.changed = p.Offset, true
				continue
			}
			offsets[part{t.Topic, p.Partition}] = len(all[i].Partitions)
			all[i].Partitions = append(all[i].Partitions, p)
		}
	}
	req.Topics = all
	return nil
}

package embedded

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What Java's admin client reads of topics without asking whether it is there.

// configsFrom is the first version of CreateTopics whose response has settings.
const configsFrom = 5

// createdConfigs fills in the settings of a topic that was created: null would
// end Java's admin client.
func createdConfigs(x *exchange, req *kmsg.CreateTopicsRequest) kmsg.Response {
	if req.Version < configsFrom {
		return nil
	}
	then(x, func(resp *kmsg.CreateTopicsResponse) {
		for i := range resp.Topics {
			t := &resp.Topics[i]
			if t.ErrorCode == 0 && req.ValidateOnly {
				t.Configs = x.cluster().settings.wouldBe(req, t.Topic)
			} else if t.ErrorCode == 0 {
				if err := x.describeTopic(t); err != nil {
					x.fail(err)
					return
				}
			}
			if t.Configs == nil {
				t.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
			}
			slices.SortFunc(t.Configs, func(a, b kmsg.CreateTopicsResponseTopicConfig) int { return cmp.Compare(a.Name, b.Name) })
		}
	})
	return nil
}

// wouldBe is the settings that a topic would have which is only tried.
func (s *settings) wouldBe(req *kmsg.CreateTopicsRequest, topic string) (configs []kmsg.CreateTopicsResponseTopicConfig) {
	given := make(map[string]*string)
	for i := range req.Topics {
		if req.Topics[i].Topic == topic {
			for _, c := range req.Topics[i].Configs {
				given[c.Name] = c.Value
			}
		}
	}
	for _, d := range s.describeWith(given) {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.Source, c.ReadOnly = d.name, kmsg.StringPtr(d.sources[0].value), int8(d.sources[0].kind), d.fixed
		configs = append(configs, c)
	}
	return configs
}

// describeTopic takes the settings of a topic from what DescribeConfigs says.
func (x *exchange) describeTopic(t *kmsg.CreateTopicsResponseTopic) error {
	req, of := kmsg.NewPtrDescribeConfigsRequest(), kmsg.NewDescribeConfigsRequestResource()
	req.Version = 1
	of.ResourceType, of.ResourceName = kmsg.ConfigResourceTypeTopic, t.Topic
	req.Resources = append(req.Resources, of)
	resp, err := x.askRepaired(req)
	if err != nil {
		return err
	}
	t.Configs = nil
	for _, r := range resp.(*kmsg.DescribeConfigsResponse).Resources {
		for i := range r.Configs {
			c := kmsg.NewCreateTopicsResponseTopicConfig()
			c.Name, c.Value, c.Source = r.Configs[i].Name, r.Configs[i].Value, int8(r.Configs[i].Source)
			c.ReadOnly, c.IsSensitive = r.Configs[i].ReadOnly, r.Configs[i].IsSensitive
			if c.IsSensitive {
				c.Value = nil
			}
			t.Configs = append(t.Configs, c)
		}
	}
	return nil
}

// partitionsDescribedMax is Kafka's max.request.partition.size.limit.
const partitionsDescribedMax = 2000

// describePartitions bounds an answer as Apache Kafka does, answers a cursor that
// is nowhere instead of closing the connection, and makes no replicas of null
// ones.
func describePartitions(x *exchange, req *kmsg.DescribeTopicPartitionsRequest) kmsg.Response {
	if !cursorWithin(req) {
		resp := x.response().(*kmsg.DescribeTopicPartitionsResponse)
		for i := range req.Topics {
			t := kmsg.NewDescribeTopicPartitionsResponseTopic()
			t.Topic, t.ErrorCode = kmsg.StringPtr(req.Topics[i].Topic), kerr.InvalidRequest.Code
			resp.Topics = append(resp.Topics, t)
		}
		return resp
	}
	req.ResponsePartitionLimit = min(max(req.ResponsePartitionLimit, 1), partitionsDescribedMax)
	x.changed = true
	then(x, func(resp *kmsg.DescribeTopicPartitionsResponse) {
		for i := range resp.Topics {
			t := &resp.Topics[i]
			if t.Topic != nil && !validTopicName(*t.Topic) {
				t.ErrorCode = kerr.InvalidTopicException.Code
			}
			for j := range t.Partitions {
				t.Partitions[j].EligibleLeaderReplicas, t.Partitions[j].LastKnownELR = []int32{}, []int32{}
			}
		}
	})
	return nil
}

// cursorWithin says whether a request goes on at a place that it asks for.
func cursorWithin(req *kmsg.DescribeTopicPartitionsRequest) bool {
	if req.Cursor == nil {
		return true
	}
	if req.Cursor.Partition < 0 {
		return false
	}
	return len(req.Topics) == 0 || slices.ContainsFunc(req.Topics, func(t kmsg.DescribeTopicPartitionsRequestTopic) bool {
		return t.Topic == req.Cursor.Topic
	})
}

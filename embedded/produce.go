package embedded

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// mergeProduced adds what is said of partitions to a response, which names a topic
// once.
func mergeProduced(resp *kmsg.ProduceResponse, more []kmsg.ProduceResponseTopic) {
	for _, t := range more {
		at := slices.IndexFunc(resp.Topics, func(has kmsg.ProduceResponseTopic) bool {
			return has.Topic == t.Topic && has.TopicID == t.TopicID
		})
		if at < 0 {
			resp.Topics = append(resp.Topics, t)
			continue
		}
		resp.Topics[at].Partitions = append(resp.Topics[at].Partitions, t.Partitions...)
	}
}

// produceNamesIDs is the first version of Produce whose topics are ids.
const produceNamesIDs = 13

// produceByTopic shows kfake the topics of a request one at a time: two ids that
// it does not know, in one request, end its process. All but the last are asked
// for here, in their order.
func produceByTopic(x *exchange, req *kmsg.ProduceRequest) kmsg.Response {
	if req.Version < produceNamesIDs || len(req.Topics) < 2 {
		return nil
	}
	var answers []kmsg.ProduceResponseTopic
	last := len(req.Topics) - 1
	for i := range req.Topics[:last] {
		one := *req
		one.Topics = req.Topics[i : i+1]
		if one.Acks == 0 {
			one.Acks = 1 // an answer is waited for; see watchSilent
		}
		resp, err := x.ask(&one)
		if err != nil {
			x.fail(err)
			return nil
		}
		answers = append(answers, resp.(*kmsg.ProduceResponse).Topics...)
	}
	req.Topics, x.changed = req.Topics[last:], true
	then(x, func(resp *kmsg.ProduceResponse) { mergeProduced(resp, answers) })
	return nil
}

package metrics

// TopicTraffic is what was done with a topic. It has the counts of kafka.TopicTraffic, which
// can be converted.
type TopicTraffic struct {
	BytesIn, Records, BytesRejected, BytesOut        uint64
	Produces, Fetches, FailedProduces, FailedFetches uint64
}

// topicCounts are the BrokerTopicMetrics.
var topicCounts = []struct {
	name, help string
	of         func(t *TopicTraffic) uint64
}{
	{"messagesin", "Records that were stored [MessagesInPerSec]", func(t *TopicTraffic) uint64 { return t.Records }},
	{"bytesin", "Bytes of batches that were stored [BytesInPerSec]", func(t *TopicTraffic) uint64 { return t.BytesIn }},
	{"bytesout", "Bytes of batches that were sent to consumers [BytesOutPerSec]", func(t *TopicTraffic) uint64 { return t.BytesOut }},
	{"bytesrejected", "Bytes of batches that were too large [BytesRejectedPerSec]", func(t *TopicTraffic) uint64 { return t.BytesRejected }},
	{"totalproducerequests", "Partitions in Produce requests [TotalProduceRequestsPerSec]", func(t *TopicTraffic) uint64 { return t.Produces }},
	{"totalfetchrequests", "Partitions in answers to Fetch [TotalFetchRequestsPerSec]", func(t *TopicTraffic) uint64 { return t.Fetches }},
	{"failedproducerequests", "Of those of Produce, the ones that failed through no fault of the client [FailedProduceRequestsPerSec]", func(t *TopicTraffic) uint64 { return t.FailedProduces }},
	{"failedfetchrequests", "Of those of Fetch, the same [FailedFetchRequestsPerSec]", func(t *TopicTraffic) uint64 { return t.FailedFetches }},
}

// otherTopics is the label of all topics that are not counted each for itself.
const otherTopics = "other"

// topics sends them in all, as Kafka does without a label, and by topic.
func (s *scrape) topics() {
	if s.c.options.Topics == nil {
		return
	}
	by, other, all := s.c.options.Topics()
	for _, c := range topicCounts {
		help := c.help + "; without a topic: in all."
		s.kafkaCounter(topics+c.name+"_total", help, c.of(&all))
		mine := by[otherTopics] // a topic of that name counts with them
		s.kafkaCounter(topics+c.name+"_total", help, c.of(&other)+c.of(&mine), label{"topic", otherTopics})
		for name, t := range by {
			if name != otherTopics {
				s.kafkaCounter(topics+c.name+"_total", help, c.of(&t), label{"topic", name})
			}
		}
	}
}

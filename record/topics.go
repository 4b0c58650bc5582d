package record

import "github.com/twmb/franz-go/pkg/kmsg"

// topicsMax bounds the topics whose names are noted.
const topicsMax = 100_000

// topics are those that clients were told of. Newer requests name a topic by its id alone, which
// means nothing to another cluster.
type topics map[[16]byte]int

// learn returns entries for what is new in a response to Metadata.
func (known topics) learn(resp *kmsg.MetadataResponse) (news []Entry) {
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if t.Topic == nil || t.ErrorCode != 0 || len(t.Partitions) == 0 {
			continue
		}
		n, is := known[t.TopicID]
		if is && n >= len(t.Partitions) && t.TopicID != [16]byte{} || !is && len(known) >= topicsMax {
			continue
		}
		if t.TopicID != [16]byte{} { // versions before 10 have none
			known[t.TopicID] = len(t.Partitions)
		}
		news = append(news, Entry{Kind: Topic, Text: *t.Topic, ID: t.TopicID, Partitions: len(t.Partitions)})
	}
	return news
}

package embedded

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// HandleKafka takes a request that the door let through.
func (c *Cluster) HandleKafka(q kafka.Request) {
	if v := q.Header.Version; kmsg.Key(q.Header.Key) == kmsg.ApiVersions && v <= apiVersionsSame {
		q.RespondBody((*c.apiVersions.Load())[v])
		return
	}
	sessionOf(q.Request.Conn).add(job{q: q, poll: kmsg.Key(q.Header.Key) == kmsg.Fetch})
}

// metadataChoosesCreation is the first version of Metadata that says whether
// missing topics are to be created; before it, they always are.
const metadataChoosesCreation = 4

// createTopics creates the topics that a Metadata request names and that are
// missing, if it asks for that. kfake could do it itself, but then does not
// write down that the topic exists before it stops (a killed process would
// lose the topic with all that was acknowledged), and creates nothing for the
// versions below 4.
func createTopics(x *exchange, req *kmsg.MetadataRequest) kmsg.Response {
	if req.Version >= metadataChoosesCreation && !req.AllowAutoTopicCreation {
		return nil
	}
	created := 0
	for _, t := range req.Topics {
		if created == topicsOnDemandMax {
			break // a client asks again for what it still misses
		}
		if t.TopicID == [16]byte{} && t.Topic != nil && validTopicName(*t.Topic) {
			// Where it fails (it exists, mostly) the response says what the
			// client has to know.
			if x.cluster().kfake.CreateTopic(*t.Topic, 0, nil) == nil {
				created++
			}
		}
	}
	return nil
}

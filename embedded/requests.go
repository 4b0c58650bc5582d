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
	key := kmsg.Key(q.Header.Key)
	q.Request.PaceResponse()
	sessionOf(q.Request.Conn()).add(job{q: q, waits: waits[key], poll: polls[key]})
}

package embedded

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// HandleAPI takes a request that the filter let through.
func (c *Cluster) HandleAPI(q kafka.APIRequest) {
	if v := q.Header.Version; kmsg.Key(q.Header.Key) == kmsg.ApiVersions && v <= apiVersionsSame {
		q.RespondBody((*c.apiVersions.Load())[v])
		return
	}
	key := kmsg.Key(q.Header.Key)
	q.Raw.PaceResponse()
	sessionOf(q.Raw.Conn()).add(job{q: q, waits: waits[key], poll: polls[key]})
}

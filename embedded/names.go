package embedded

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refuseNames says of topics whose name no topic can have that the name is wrong.
// To a client that they are missing, it would ask for them until its time is up;
// Java's producer for a minute.
func refuseNames(x *exchange, req *kmsg.MetadataRequest) kmsg.Response {
	wrong := func(name *string) bool { return name != nil && !validTopicName(*name) }
	for i := range req.Topics {
		if !wrong(req.Topics[i].Topic) {
			continue
		}
		then(x, func(resp *kmsg.MetadataResponse) {
			for i := range resp.Topics {
				if t := &resp.Topics[i]; t.ErrorCode == kerr.UnknownTopicOrPartition.Code && wrong(t.Topic) {
					t.ErrorCode = kerr.InvalidTopicException.Code
				}
			}
		})
		return nil
	}
	return nil
}

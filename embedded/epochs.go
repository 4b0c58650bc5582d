package embedded

import "github.com/twmb/franz-go/pkg/kmsg"

// consumerReplica is what a consumer says where a follower names itself.
const consumerReplica = -1

// endsOfEpochs serves version 2 of OffsetForLeaderEpoch, which is the next one
// without the replica. It is the only one that librdkafka has: without it a
// consumer does not notice that a log was truncated.
func endsOfEpochs(x *exchange, req *kmsg.OffsetForLeaderEpochRequest) kmsg.Response {
	if req.Version > 2 {
		return nil
	}
	next := *req
	next.Version, next.ReplicaID = 3, consumerReplica
	resp, err := x.ask(&next)
	if err != nil {
		x.fail(err)
		return nil
	}
	resp.SetVersion(req.Version)
	return resp
}

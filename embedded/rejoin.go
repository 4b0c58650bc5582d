package embedded

import "github.com/twmb/franz-go/pkg/kmsg"

// The epochs with which a member of a KIP-848 group joins and leaves.
const (
	epochJoins  = 0
	epochLeaves = -1
)

// rejoinsMax is how often a member is asked for again whose join left it without
// an epoch.
const rejoinsMax = 3

// joinWithEpoch answers a static member that joins with an epoch of its own, from 1
// on. kfake has a member that comes back while its partitions move wait for what its
// predecessor has to give up, answers epoch 0 and a part of the partitions, and
// refuses the next heartbeat: with epoch 0 and partitions it is a join that can't
// be. A member that joins owns nothing, and says so when it is asked for again.
func joinWithEpoch(x *exchange, req *kmsg.ConsumerGroupHeartbeatRequest) kmsg.Response {
	if req.MemberEpoch != epochJoins {
		return nil
	}
	then(x, func(resp *kmsg.ConsumerGroupHeartbeatResponse) {
		for try := 0; resp.ErrorCode == 0 && resp.MemberEpoch == epochJoins && resp.MemberID != nil && try < rejoinsMax; try++ {
			again := *req
			again.MemberID = *resp.MemberID
			if try == rejoinsMax-1 { // as one who was never there
				leave := kmsg.NewPtrConsumerGroupHeartbeatRequest()
				leave.Version, leave.Group, leave.MemberID, leave.MemberEpoch = req.Version, req.Group, again.MemberID, epochLeaves
				leave.InstanceID = req.InstanceID
				if _, err := x.ask(leave); err != nil {
					x.fail(err)
					return
				}
			}
			answered, err := x.ask(&again)
			if err != nil {
				x.fail(err)
				return
			}
			*resp = *answered.(*kmsg.ConsumerGroupHeartbeatResponse)
		}
	})
	return nil
}

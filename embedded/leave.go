package embedded

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leavesByMember is the first version of LeaveGroup that answers member by member.
const leavesByMember = 3

// leaveGroup has members leave groups of either protocol, lets an instance go only
// with the member that has it, and answers to the member ids that were asked for,
// which are empty where an operator removes an instance: Java's admin client looks
// for them.
func leaveGroup(x *exchange, req *kmsg.LeaveGroupRequest) kmsg.Response {
	asked := slices.Clone(req.Members)
	if req.Version < leavesByMember {
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = req.MemberID
		asked = []kmsg.LeaveGroupRequestMember{m}
	}
	fenced := x.cluster().fencedInstances(req.Group, asked)
	if len(fenced) > 0 {
		req.Members, x.changed = nil, true
		for i := range asked {
			if !fenced[i] {
				req.Members = append(req.Members, asked[i])
			}
		}
	}
	then(x, func(resp *kmsg.LeaveGroupResponse) {
		nobody := unknownMember(&resp.ErrorCode)
		codes := []*int16{&resp.ErrorCode}
		if req.Version >= leavesByMember {
			if resp.ErrorCode != 0 && !nobody {
				return
			}
			resp.ErrorCode = 0
			resp.Members, codes = answersTo(asked, fenced, resp.Members)
		}
		if nobody {
			return
		}
		if err := x.leaveConsumers(req.Group, asked, codes); err != nil {
			x.fail(err)
		}
	})
	return nil
}

// answersTo puts kfake's answers, which are those to the members that are not
// fenced or none, to the members that were asked for.
func answersTo(asked []kmsg.LeaveGroupRequestMember, fenced map[int]bool, of []kmsg.LeaveGroupResponseMember) (
	answers []kmsg.LeaveGroupResponseMember, codes []*int16,
) {
	answers = make([]kmsg.LeaveGroupResponseMember, len(asked))
	for i := range asked {
		m := &answers[i]
		m.MemberID, m.InstanceID, m.ErrorCode = asked[i].MemberID, asked[i].InstanceID, kerr.UnknownMemberID.Code
		codes = append(codes, &m.ErrorCode)
		switch {
		case fenced[i]:
			m.ErrorCode = kerr.FencedInstanceID.Code
		case len(of) > 0:
			m.ErrorCode, of = of[0].ErrorCode, of[1:]
		}
	}
	return answers, codes
}

// fencedInstances are the places in asked of instances that another member has.
func (c *Cluster) fencedInstances(group string, asked []kmsg.LeaveGroupRequestMember) map[int]bool {
	named := func(m kmsg.LeaveGroupRequestMember) bool { return m.InstanceID != nil && m.MemberID != "" }
	if !slices.ContainsFunc(asked, named) {
		return nil
	}
	info := c.groupInfo(group)
	if info == nil {
		return nil
	}
	fenced := make(map[int]bool)
	for i := range asked {
		if m := memberOf(info, "", asked[i].InstanceID); named(asked[i]) && m != nil && m.MemberID != asked[i].MemberID {
			fenced[i] = true
		}
	}
	return fenced
}

// memberOf finds a member by its instance id, or where that is nil by its id.
func memberOf(info *kfake.GroupInfo, member string, instance *string) *kfake.GroupMember {
	at := slices.IndexFunc(info.Members, func(m kfake.GroupMember) bool {
		if instance == nil {
			return m.MemberID == member
		}
		return m.InstanceID != nil && *m.InstanceID == *instance
	})
	if at < 0 {
		return nil
	}
	return &info.Members[at]
}

// leaveConsumers has those leave by KIP-848's own way that kfake's LeaveGroup does
// not know, though the group has them: it looks for members of the classic
// protocol only.
func (x *exchange) leaveConsumers(group string, asked []kmsg.LeaveGroupRequestMember, codes []*int16) error {
	unknown := func(code *int16) bool { return *code == kerr.UnknownMemberID.Code }
	if !slices.ContainsFunc(codes, unknown) {
		return nil
	}
	info := x.cluster().groupInfo(group)
	if info == nil {
		return nil
	}
	for i := range asked {
		m := memberOf(info, asked[i].MemberID, asked[i].InstanceID)
		if !unknown(codes[i]) || m == nil {
			continue
		}
		leave := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		leave.Version, leave.Group, leave.MemberID, leave.MemberEpoch = 1, group, m.MemberID, -1
		leave.InstanceID = m.InstanceID
		resp, err := x.ask(leave)
		if err != nil {
			return err
		}
		if resp.(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode == 0 {
			*codes[i] = 0
		}
	}
	return nil
}

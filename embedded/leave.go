package embedded

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
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
	members, err := c.membersOf(group, "")
	if err != nil {
		return nil // kfake ends
	}
	fenced := make(map[int]bool)
	for i := range asked {
		if m := memberOf(members, "", asked[i].InstanceID); named(asked[i]) && m != nil && m.id != asked[i].MemberID {
			fenced[i] = true
		}
	}
	return fenced
}

// groupMember is a member of a group, of either protocol.
type groupMember struct {
	id       string
	instance *string
}

// membersOf asks kfake for the members of a group of a type (see groupTypes); "": of any
// but a share group.
func (c *Cluster) membersOf(group, typ string) (members []groupMember, err error) {
	if typ == shareType {
		req := kmsg.NewPtrShareGroupDescribeRequest()
		req.Version, req.GroupIDs = 1, []string{group}
		resp, err := c.inside.ask(req)
		if err != nil {
			return nil, err
		}
		for _, m := range resp.(*kmsg.ShareGroupDescribeResponse).Groups[0].Members {
			members = append(members, groupMember{id: m.MemberID})
		}
		return members, nil
	}
	classic := kmsg.NewPtrDescribeGroupsRequest()
	classic.Version, classic.Groups = 5, []string{group}
	resp, err := c.inside.ask(classic)
	if err != nil {
		return nil, err
	}
	for _, m := range resp.(*kmsg.DescribeGroupsResponse).Groups[0].Members {
		members = append(members, groupMember{m.MemberID, m.InstanceID})
	}
	if typ == classicType {
		return members, nil
	}
	consumer := kmsg.NewPtrConsumerGroupDescribeRequest()
	consumer.Groups = []string{group}
	if resp, err = c.inside.ask(consumer); err != nil {
		return nil, err
	}
	for _, m := range resp.(*kmsg.ConsumerGroupDescribeResponse).Groups[0].Members {
		members = append(members, groupMember{m.MemberID, m.InstanceID})
	}
	return members, nil
}

// isEmpty says that there is a group, of any type, and that it has no members.
func (c *Cluster) isEmpty(group string) (bool, error) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version, req.Groups = 5, []string{group}
	resp, err := c.inside.ask(req)
	if err != nil {
		return false, err
	}
	if resp.(*kmsg.DescribeGroupsResponse).Groups[0].State == groupEmpty {
		return true, nil
	}
	share := kmsg.NewPtrShareGroupDescribeRequest()
	share.Version, share.GroupIDs = 1, []string{group}
	if resp, err = c.inside.ask(share); err != nil {
		return false, err
	}
	return resp.(*kmsg.ShareGroupDescribeResponse).Groups[0].GroupState == groupEmpty, nil
}

// memberOf finds a member by its instance id, or where that is nil by its id.
func memberOf(members []groupMember, member string, instance *string) *groupMember {
	at := slices.IndexFunc(members, func(m groupMember) bool {
		if instance == nil {
			return m.id == member
		}
		return m.instance != nil && *m.instance == *instance
	})
	if at < 0 {
		return nil
	}
	return &members[at]
}

// leaveConsumers has those leave by KIP-848's own way that kfake's LeaveGroup does
// not know, though the group has them: it looks for members of the classic
// protocol only.
func (x *exchange) leaveConsumers(group string, asked []kmsg.LeaveGroupRequestMember, codes []*int16) error {
	unknown := func(code *int16) bool { return *code == kerr.UnknownMemberID.Code }
	if !slices.ContainsFunc(codes, unknown) {
		return nil
	}
	members, err := x.cluster().membersOf(group, "")
	if err != nil {
		return err
	}
	for i := range asked {
		m := memberOf(members, asked[i].MemberID, asked[i].InstanceID)
		if !unknown(codes[i]) || m == nil {
			continue
		}
		leave := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		leave.Version, leave.Group, leave.MemberID, leave.MemberEpoch = 1, group, m.id, -1
		leave.InstanceID = m.instance
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

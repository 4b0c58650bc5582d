package embedded

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What each request leaves behind; see kept.

// regexInstructionsMax bounds the regular expression of a subscription: Go's largest
// takes 128 MiB.
const regexInstructionsMax = 10_000

// keep refuses a request for which there is no room. Clients come again with what has a
// retriable error, and later than at once.
func (x *exchange) keep(code int16, all []left) kmsg.Response { return x.keepBy(code, all, nil) }

// keepBy is keep for what is given back in part when kfake refuses it.
func (x *exchange) keepBy(code int16, all []left, by *charge) kmsg.Response {
	if x.cluster().keeps(all, by) {
		return nil
	}
	x.q.Raw.Throttle(joinAgain)
	return refusalOf(x.req, code, "clients have left behind too much: groups, members, offsets, transactional ids")
}

func groupLeft(group string) left {
	return left{name: keptName{kind: keptGroup, of: group}, bytes: groupBytes + int64(len(group))}
}

// offsetLeft is an offset of a group.
func offsetLeft(group, topic string, partition int32, metadata *string) left {
	l := left{name: offsetName(group, topic, partition), bytes: offsetBytes}
	if metadata != nil {
		l.bytes += int64(len(*metadata))
	}
	return l
}

func keepCommit(x *exchange, req *kmsg.OffsetCommitRequest) kmsg.Response {
	all := []left{groupLeft(req.Group)}
	for i := range req.Topics {
		topic := req.Topics[i].Topic
		if topic == "" {
			topic = x.cluster().topicName(req.Topics[i].TopicID)
		}
		for _, p := range req.Topics[i].Partitions {
			all = append(all, offsetLeft(req.Group, topic, p.Partition, p.Metadata))
		}
	}
	by := new(charge)
	if resp := x.keepBy(kerr.CoordinatorLoadInProgress.Code, all, by); resp != nil || len(*by) == 0 {
		return resp
	}
	then(x, func(resp *kmsg.OffsetCommitResponse) { x.settleCommit(by, resp) })
	return nil
}

// settleCommit gives back what a commit was charged for partitions that are not there.
func (x *exchange) settleCommit(by *charge, resp *kmsg.OffsetCommitResponse) {
	kept := make(map[place]bool)
	for i := range resp.Topics {
		topic := resp.Topics[i].Topic
		if topic == "" {
			topic = x.cluster().topicName(resp.Topics[i].TopicID)
		}
		for _, p := range resp.Topics[i].Partitions {
			at := place{topic, p.Partition}
			kept[at] = kept[at] || p.ErrorCode == 0
		}
	}
	x.settleOffsets(by, kept)
}

// settleOffsets gives back what is not among kept but was answered.
func (x *exchange) settleOffsets(by *charge, kept map[place]bool) {
	x.cluster().kept.settle(by, func(n keptName) bool {
		is, answered := kept[place{n.name, n.partition}]
		return (n.kind == keptOffset || n.kind == keptTxn) && answered && !is
	})
}

// keepTxnCommit is keepCommit in a transaction, which keeps offsets until its end.
func keepTxnCommit(x *exchange, req *kmsg.TxnOffsetCommitRequest) kmsg.Response {
	all := []left{groupLeft(req.Group)}
	for i := range req.Topics {
		for _, p := range req.Topics[i].Partitions {
			group := offsetLeft(req.Group, req.Topics[i].Topic, p.Partition, p.Metadata)
			txn := group
			txn.name.kind, txn.name.of, txn.txn = keptTxn, req.TransactionalID+"/"+req.Group, req.TransactionalID
			all = append(all, group, txn)
		}
	}
	by := new(charge)
	if resp := x.keepBy(kerr.CoordinatorLoadInProgress.Code, all, by); resp != nil || len(*by) == 0 {
		return resp
	}
	then(x, func(resp *kmsg.TxnOffsetCommitResponse) {
		kept := make(map[place]bool)
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				at := place{t.Topic, p.Partition}
				kept[at] = kept[at] || p.ErrorCode == 0
			}
		}
		x.settleOffsets(by, kept)
	})
	return nil
}

// keepJoin charges a member of a classic group with all that it says of itself. Who has no
// id yet is given one and comes again; kfake would keep what it said until then.
func keepJoin(x *exchange, req *kmsg.JoinGroupRequest) kmsg.Response {
	unnamed := req.MemberID == "" && req.Version >= joinNamesMembers && req.InstanceID == nil
	x.shortenJoin(req, unnamed)
	bytes := x.joinBytes(req)
	l := left{name: memberName(req.Group, req.MemberID, req.InstanceID), bytes: bytes, nameless: req.MemberID == "" && req.InstanceID == nil}
	if unnamed {
		l.passes = min(max(time.Duration(req.SessionTimeoutMillis)*time.Millisecond, time.Second), sessionTimeoutMax)
	}
	if resp := x.keep(kerr.CoordinatorLoadInProgress.Code, []left{groupLeft(req.Group), l}); resp != nil || unnamed || !l.nameless {
		return resp
	}
	then(x, func(resp *kmsg.JoinGroupResponse) {
		if resp.MemberID != "" {
			x.cluster().kept.rename(memberName(req.Group, resp.MemberID, nil), bytes)
		}
	})
	return nil
}

// shortenJoin takes out of a JoinGroup what kfake keeps with it and nobody reads: what no
// version defines and why a member joins, and of one that will come again its metadata.
func (x *exchange) shortenJoin(req *kmsg.JoinGroupRequest, comesAgain bool) {
	x.changed = x.changed || comesAgain || req.Reason != nil || req.UnknownTags.Len() > 0
	req.Reason, req.UnknownTags = nil, kmsg.Tags{}
	for i := range req.Protocols {
		p := &req.Protocols[i]
		x.changed = x.changed || p.UnknownTags.Len() > 0
		if p.UnknownTags = (kmsg.Tags{}); comesAgain {
			p.Metadata = nil
		}
	}
}

// joinBytes is what kfake keeps of a member: its request decoded, and the frame of which
// the metadata is a part, so that names are there twice. The client's id is a part of the
// member's as well.
func (x *exchange) joinBytes(req *kmsg.JoinGroupRequest) int64 {
	names := len(req.Group) + len(req.MemberID) + len(req.ProtocolType) + lengthOf(req.InstanceID)
	bytes := memberBytes + 2*len(x.q.Header.ClientID) + x.q.Header.Size
	for i := range req.Protocols {
		names += len(req.Protocols[i].Name)
		bytes += len(req.Protocols[i].Metadata) + 64
	}
	return int64(bytes + 2*names)
}

// lengthOf is how long a string is that may be null.
func lengthOf(s *string) int {
	if s == nil {
		return 0
	}
	return len(*s)
}

// joinNamesMembers is the first version of JoinGroup that gives a member its id before it
// joins (KIP-394).
const joinNamesMembers = 4

// keepSync charges a group with what its leader assigns. kfake keeps the frame of which the
// assignments are parts, also of members that are not there; the next takes its place.
func keepSync(x *exchange, req *kmsg.SyncGroupRequest) kmsg.Response {
	if len(req.GroupAssignment) == 0 {
		return nil
	}
	x.changed = x.changed || req.UnknownTags.Len() > 0
	req.UnknownTags = kmsg.Tags{}
	bytes := x.q.Header.Size + len(req.Group) + len(req.MemberID) + lengthOf(req.InstanceID) + lengthOf(req.ProtocolType) + lengthOf(req.Protocol)
	for i := range req.GroupAssignment {
		a := &req.GroupAssignment[i]
		x.changed = x.changed || a.UnknownTags.Len() > 0
		a.UnknownTags = kmsg.Tags{}
		bytes += len(a.MemberID) + len(a.MemberAssignment) + assignmentBytes
	}
	by := new(charge)
	if resp := x.keepBy(kerr.CoordinatorNotAvailable.Code, []left{{name: assignmentName(req.Group), bytes: int64(bytes)}}, by); resp != nil {
		return resp
	}
	then(x, func(resp *kmsg.SyncGroupResponse) {
		x.cluster().kept.settle(by, func(keptName) bool { return resp.ErrorCode != 0 })
	})
	return nil
}

// keepConsumer charges a member of a KIP-848 group when it joins or changes what it wants.
func keepConsumer(x *exchange, req *kmsg.ConsumerGroupHeartbeatRequest) kmsg.Response {
	silent := x.memberBytes(req.MemberID, req.InstanceID, req.RackID)
	bytes := silent + int64(lengthOf(req.ServerAssignor)) + subscriptionBytes(req.SubscribedTopicNames)
	if re := req.SubscribedTopicRegex; re != nil && *re != "" {
		n := regexInstructions(*re)
		if n > regexInstructionsMax {
			return refusalOf(req, kerr.InvalidRegularExpression.Code,
				fmt.Sprintf("the regular expression has more than %d steps: subscribe to several, or to names", regexInstructionsMax))
		}
		bytes += int64(len(*re)) + regexBytes*int64(n)
	}
	if req.MemberEpoch != 0 && bytes == silent {
		return nil
	}
	l := left{name: memberName(req.Group, req.MemberID, req.InstanceID), bytes: bytes, nameless: req.MemberID == "" && req.InstanceID == nil}
	if resp := x.keep(kerr.CoordinatorLoadInProgress.Code, []left{groupLeft(req.Group), l}); resp != nil {
		return resp
	}
	if l.nameless {
		then(x, func(resp *kmsg.ConsumerGroupHeartbeatResponse) {
			if resp.MemberID != nil && *resp.MemberID != "" {
				x.cluster().kept.rename(memberName(req.Group, *resp.MemberID, nil), bytes)
			}
		})
	}
	return nil
}

// memberBytes is what a member takes that names itself so.
func (x *exchange) memberBytes(id string, instance, rack *string) int64 {
	return int64(memberBytes + len(id) + len(x.q.Header.ClientID) + lengthOf(instance) + lengthOf(rack))
}

func subscriptionBytes(topics []string) (n int64) {
	for _, name := range topics {
		n += int64(len(name)) + 32
	}
	return n
}

func keepShareMember(x *exchange, req *kmsg.ShareGroupHeartbeatRequest) kmsg.Response {
	bytes := x.memberBytes(req.MemberID, nil, req.RackID) + subscriptionBytes(req.SubscribedTopicNames)
	if req.MemberEpoch != 0 && len(req.SubscribedTopicNames) == 0 {
		return nil
	}
	l := left{name: memberName(req.GroupID, req.MemberID, nil), bytes: bytes, nameless: req.MemberID == ""}
	return x.keep(kerr.CoordinatorLoadInProgress.Code, []left{groupLeft(req.GroupID), l})
}

// keepTxn charges a transactional id.
func keepTxn(x *exchange, req *kmsg.InitProducerIDRequest) kmsg.Response {
	if req.TransactionalID == nil || *req.TransactionalID == "" {
		return nil
	}
	id := *req.TransactionalID
	return x.keep(kerr.CoordinatorLoadInProgress.Code, []left{{name: txnName(id), bytes: txnBytes + 2*int64(len(id))}})
}

// keepTxnGroup charges a transaction with a group's name, which is kept here and in kfake;
// see transactions.added.
func keepTxnGroup(x *exchange, req *kmsg.AddOffsetsToTxnRequest) kmsg.Response {
	l := left{name: keptName{kind: keptTxn, of: req.TransactionalID, name: req.Group}, bytes: int64(128 + 2*len(req.Group)), txn: req.TransactionalID}
	by := new(charge)
	if resp := x.keepBy(kerr.CoordinatorLoadInProgress.Code, []left{l}, by); resp != nil || len(*by) == 0 {
		return resp
	}
	then(x, func(resp *kmsg.AddOffsetsToTxnResponse) {
		x.cluster().kept.settle(by, func(keptName) bool { return resp.ErrorCode != 0 })
	})
	return nil
}

// keepUsers charges users whose credentials kfake keeps.
func keepUsers(x *exchange, req *kmsg.AlterUserSCRAMCredentialsRequest) kmsg.Response {
	var all []left
	for i := range req.Upsertions {
		u := &req.Upsertions[i]
		all = append(all, left{name: keptName{kind: keptUser, of: u.Name}, bytes: credentialBytes + int64(len(u.Name)+len(u.Salt)+len(u.SaltedPassword))})
	}
	return x.keep(kerr.PolicyViolation.Code, all)
}

func keepQuotas(x *exchange, req *kmsg.AlterClientQuotasRequest) kmsg.Response {
	var all []left
	for i := range req.Entries {
		name := entityName(req.Entries[i].Entity, func(of *kmsg.AlterClientQuotasRequestEntryEntity) (string, *string) { return of.Type, of.Name })
		all = append(all, quotaLeft(name))
	}
	return x.keep(kerr.PolicyViolation.Code, all)
}

// quotaLeft is the quotas of an entity, whose name is that of its parts.
func quotaLeft(entity string) left {
	return left{name: keptName{kind: keptQuota, of: entity}, bytes: credentialBytes + int64(len(entity))}
}

// entityName is the parts of an entity, which kfake puts in order: in whatever order a client names
// them, it is the same entity.
func entityName[E any](entity []E, part func(*E) (kind string, name *string)) string {
	parts := make([]string, len(entity))
	for i := range entity {
		kind, name := part(&entity[i])
		if parts[i] = kind + "="; name != nil {
			parts[i] += strconv.Quote(*name) // else one name could be that of two parts
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ";")
}

// regexInstructions is how long a regular expression is once it is compiled, about; more
// than regexInstructionsMax when it is too long to be told. What is none has 0: kfake
// refuses it.
func regexInstructions(re string) int {
	if len(re) > regexInstructionsMax {
		return regexInstructionsMax + 1
	}
	parsed, err := syntax.Parse(re, syntax.Perl)
	if err != nil {
		return 0
	}
	return instructionsOf(parsed)
}

func instructionsOf(re *syntax.Regexp) int {
	n := max(len(re.Rune)/2, 1)
	for _, sub := range re.Sub {
		n = min(n+instructionsOf(sub), regexInstructionsMax+1)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Max, re.Min, 1)
	}
	return min(n, regexInstructionsMax+1)
}

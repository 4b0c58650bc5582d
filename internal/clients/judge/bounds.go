package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// bounds asks how long, how large and how late things may be.
func bounds() (all []question) {
	for _, timeout := range []time.Duration{5 * time.Second, 5 * time.Minute, 20 * time.Minute, 30 * time.Minute, 31 * time.Minute} {
		all = append(all, question{family: "joining with a long session", variant: timeout.String(), talk: func(t *talk) {
			join := joining(func(*kmsg.JoinGroupRequest) {})(nil, 0).(*kmsg.JoinGroupRequest)
			join.Group, join.SessionTimeoutMillis = "judge-session-"+timeout.String(), int32(timeout.Milliseconds())
			joined := t.tell(join, 2).(*kmsg.JoinGroupResponse)
			leave := kmsg.NewPtrLeaveGroupRequest()
			leave.Group, leave.MemberID = join.Group, joined.MemberID
			t.ask(leave, 2)
		}})
	}
	for _, n := range []int{4096, 4097, 5000} {
		all = append(all, question{family: "committing with metadata", variant: fmt.Sprintf("of %d bytes", n), talk: func(t *talk) {
			req := offsetCommit(2)
			req.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(strings.Repeat("m", n))
			t.tell(req, 2)
		}})
	}
	for _, metadata := range []*string{nil, kmsg.StringPtr(""), kmsg.StringPtr("mine")} {
		all = append(all, question{family: "what is committed comes back", variant: metadataName(metadata), talk: func(t *talk) { t.commitAndFetch(metadata) }})
	}
	for _, ahead := range []time.Duration{0, 59 * time.Minute, 61 * time.Minute, 2 * time.Hour} {
		for _, v := range []int16{3, 9} {
			all = append(all, question{family: "producing what is of the future", variant: fmt.Sprintf("%v, v%d", ahead, v), talk: func(t *talk) {
				at := time.Now().Add(ahead).UnixMilli()
				t.tell(produceRequest(v, topic, 1, batchOf(keyless, func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = at, at })), v)
			}})
		}
	}
	return all
}

func metadataName(metadata *string) string {
	if metadata == nil {
		return "null"
	}
	return fmt.Sprintf("%q", *metadata)
}

func (t *talk) commitAndFetch(metadata *string) {
	commit := offsetCommit(2)
	commit.Group = "judge-metadata"
	commit.Topics[0].Partitions[0].Metadata = metadata
	t.must(commit, 8)
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Group = commit.Group
	topicOf := kmsg.NewOffsetFetchRequestTopic()
	topicOf.Topic, topicOf.Partitions = topic, []int32{0, 7}
	fetch.Topics = append(fetch.Topics, topicOf)
	for _, of := range t.must(fetch, 5).(*kmsg.OffsetFetchResponse).Topics {
		for _, p := range of.Partitions {
			t.say("%d: offset %d, %s", p.Partition, p.Offset, metadataName(p.Metadata))
		}
	}
}

// settingsOfATopic asks for each setting that any server has for a topic.
func settingsOfATopic(servers []*server) ([]question, error) {
	names := map[string]bool{}
	for _, s := range servers {
		resp, err := s.exchange(describingSettings())
		if err != nil {
			return nil, fmt.Errorf("%s: DescribeConfigs: %w", s.name, err)
		}
		for name := range settingsIn(resp) {
			names[name] = true
		}
	}
	var all []question
	for _, name := range slices.Sorted(maps.Keys(names)) {
		all = append(all, question{family: "a setting in a topic's list", variant: name, talk: func(t *talk) {
			value, there := settingsIn(t.must(describingSettings(), 4))[name]
			if !there {
				value = "absent"
			}
			t.say("%s", value)
		}})
	}
	return all, nil
}

func describingSettings() *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version = 4
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	req.Resources = append(req.Resources, r)
	return req
}

func settingsIn(resp kmsg.Response) map[string]string {
	all := map[string]string{}
	for _, r := range resp.(*kmsg.DescribeConfigsResponse).Resources {
		for _, c := range r.Configs {
			all[c.Name] = metadataName(c.Value)
		}
	}
	return all
}

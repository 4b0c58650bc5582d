package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestAGroupThatIsNamedManyTimesIsToldWhatItIsRefusedOnce: a handler may answer each entry of a
// list. Were all that is refused under a name put into each, the answer would grow with the square
// of the request.
func TestAGroupThatIsNamedManyTimesIsToldWhatItIsRefusedOnce(t *testing.T) {
	const entries, topics = 40, 30
	c := guarded(t, rulesOf(t, "allow User:* describe group:g,group:h,group:failed", "allow User:* describe topic:good"), answers(func(r APIRequest) {
		switch req := decoded(t, r).(type) {
		case *kmsg.OffsetFetchRequest:
			resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
			for i := range req.Groups {
				g := kmsg.NewOffsetFetchResponseGroup()
				if g.Group = req.Groups[i].Group; g.Group == "failed" {
					g.ErrorCode = codeCoordinatorLoading
				}
				resp.Groups = append(resp.Groups, g)
			}
			r.Respond(resp)
		case *kmsg.DescribeShareGroupOffsetsRequest:
			resp := req.ResponseKind().(*kmsg.DescribeShareGroupOffsetsResponse)
			for i := range req.Groups {
				g := kmsg.NewDescribeShareGroupOffsetsResponseGroup()
				if g.GroupID = req.Groups[i].GroupID; g.GroupID == "failed" {
					g.ErrorCode = codeCoordinatorLoading
				}
				resp.Groups = append(resp.Groups, g)
			}
			r.Respond(resp)
		}
	}))
	offsets, shares := kmsg.NewPtrOffsetFetchRequest(), kmsg.NewPtrDescribeShareGroupOffsetsRequest()
	for i := range entries + 2 {
		group := [...]string{"h", "failed", "g"}[min(i, 2)]
		g, s := kmsg.NewOffsetFetchRequestGroup(), kmsg.NewDescribeShareGroupOffsetsRequestGroup()
		g.Group, s.GroupID = group, group
		for range topics {
			g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: "bad", Partitions: []int32{0}})
			s.Topics = append(s.Topics, kmsg.DescribeShareGroupOffsetsRequestGroupTopic{Topic: "bad", Partitions: []int32{0}})
		}
		offsets.Groups, shares.Groups = append(offsets.Groups, g), append(shares.Groups, s)
	}
	told := map[string]int{}
	for _, g := range ask[*kmsg.OffsetFetchResponse](c, offsets, 8).Groups {
		told[g.Group] += len(g.Topics)
	}
	for _, g := range ask[*kmsg.DescribeShareGroupOffsetsResponse](c, shares, 0).Groups {
		told["share "+g.GroupID] += len(g.Topics)
	}
	for of, want := range map[string]int{"g": entries * topics, "h": topics, "failed": 0, "share g": entries * topics, "share h": topics, "share failed": 0} {
		if told[of] != want {
			t.Errorf("%q is told of %d topics, want %d", of, told[of], want)
		}
	}
}

package embedded

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a request names again and again is answered once: a name takes a few bytes, and
// the answer to it may take thousands.
func TestWhatIsNamedTwiceIsAnsweredOnce(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"a", 2}, {"b", 1}}})
	names := []string{"x", "y", "x", "x"}
	transactions := kmsg.NewPtrDescribeTransactionsRequest()
	transactions.TransactionalIDs = names
	if got := len(atOnce(t, c, transactions).(*kmsg.DescribeTransactionsResponse).TransactionStates); got != 2 {
		t.Errorf("DescribeTransactions: %d transactions", got)
	}
	producers := kmsg.NewPtrDescribeProducersRequest()
	for _, partitions := range [][]int32{{0, 1, 0}, {1, 1}} {
		producers.Topics = append(producers.Topics, kmsg.DescribeProducersRequestTopic{Topic: "a", Partitions: partitions})
	}
	described := atOnce(t, c, producers).(*kmsg.DescribeProducersResponse)
	if len(described.Topics) != 1 || len(described.Topics[0].Partitions) != 2 {
		t.Errorf("DescribeProducers: %+v", described.Topics)
	}
	shares := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
	for _, name := range names {
		of := kmsg.NewDescribeShareGroupOffsetsRequestGroup()
		of.GroupID = name
		for range 2 {
			of.Topics = append(of.Topics, kmsg.DescribeShareGroupOffsetsRequestGroupTopic{Topic: "a", Partitions: []int32{1, 1, 0}})
		}
		shares.Groups = append(shares.Groups, of)
	}
	groups := atOnce(t, c, shares).(*kmsg.DescribeShareGroupOffsetsResponse).Groups
	if len(groups) != 2 || len(groups[0].Topics) != 1 || len(groups[0].Topics[0].Partitions) != 2 {
		t.Errorf("DescribeShareGroupOffsets: %+v", groups)
	}
}

// TestAGroupThatIsNamedTwiceHasItsOffsetsFetchedOnce, and all of them if it is asked for
// all of them once.
func TestAGroupThatIsNamedTwiceHasItsOffsetsFetchedOnce(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"a", 2}, {"b", 1}}})
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group, commit.Generation = 2, "x", -1
	for topic, partitions := range map[string]int32{"a": 2, "b": 1} {
		of := kmsg.NewOffsetCommitRequestTopic()
		of.Topic = topic
		for p := range partitions {
			at := kmsg.NewOffsetCommitRequestTopicPartition()
			at.Partition, at.Offset = p, 7
			of.Partitions = append(of.Partitions, at)
		}
		commit.Topics = append(commit.Topics, of)
	}
	ask(t, c, commit)
	type topic = kmsg.OffsetFetchRequestGroupTopic
	for what, asked := range map[string]struct {
		topics [][]topic
		want   int
	}{
		"one partition":  {[][]topic{{{Topic: "a", Partitions: []int32{1, 1, 1}}}, {{Topic: "a", Partitions: []int32{1}}, {Topic: "a", Partitions: []int32{1}}}}, 1},
		"two topics":     {[][]topic{{{Topic: "a", Partitions: []int32{1, 0}}}, {{Topic: "b", Partitions: []int32{0}}}}, 3},
		"everything":     {[][]topic{nil, nil, nil}, 3},
		"one, then all":  {[][]topic{{{Topic: "a", Partitions: []int32{1}}}, nil}, 3},
		"nothing, twice": {[][]topic{{}, {}}, 0},
	} {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version = groupsFetch
		for _, topics := range asked.topics {
			of := kmsg.NewOffsetFetchRequestGroup()
			of.Group, of.Topics = "x", topics
			req.Groups = append(req.Groups, of)
		}
		groups := atOnce(t, c, req).(*kmsg.OffsetFetchResponse).Groups
		got := 0
		for _, g := range groups {
			for _, of := range g.Topics {
				got += len(of.Partitions)
			}
		}
		if len(groups) != 1 || got != asked.want {
			t.Errorf("%s: %d groups with %d offsets, want %d", what, len(groups), got, asked.want)
		}
	}
	old := kmsg.NewPtrOffsetFetchRequest()
	old.Version, old.Group = 5, "x"
	old.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "a", Partitions: []int32{1, 1, 0, 1}}, {Topic: "a", Partitions: []int32{1}}}
	topics := atOnce(t, c, old).(*kmsg.OffsetFetchResponse).Topics
	if len(topics) != 1 || len(topics[0].Partitions) != 2 {
		t.Errorf("version 5: %+v", topics)
	}
}

// Partitions in their order, as clients name them, are left as they are.
func TestPartitionsThatAreNamedOnceStayAsTheyAre(t *testing.T) {
	for _, all := range [][]int32{nil, {}, {3}, {1, 2, 5}, {2, 1, 5}} {
		was := slices.Clone(all)
		if partitionsOnce(&all) || !slices.Equal(all, was) || (all == nil) != (was == nil) {
			t.Errorf("%v became %v", was, all)
		}
	}
}

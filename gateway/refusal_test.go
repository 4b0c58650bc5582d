package gateway

import (
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/kmsgtest"
	"kring/kafka"
)

// TestEveryRefusalSaysSoInEveryVersion: a client that finds no error takes an empty list for an
// answer, such as a group without a coordinator.
func TestEveryRefusalSaysSoInEveryVersion(t *testing.T) {
	for _, a := range APIs {
		if a.Code == codeNone {
			continue
		}
		for version := int16(0); version <= kmsg.RequestForKey(a.Key).MaxVersion(); version++ {
			req := kmsg.RequestForKey(a.Key)
			req.SetVersion(version)
			kmsgtest.FillOnce(reflect.ValueOf(req).Elem())
			resp := refused(req, a.Code, "it is away")
			frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 7)[4:]
			answer := resp.AppendTo(kafka.AppendResponseHeader(nil, a.Key, version, 7))
			if got := kafka.ErrorCode(frame, answer); got != a.Code {
				t.Errorf("%s v%d: error %d in %+v", kmsg.NameForKey(a.Key), version, got, resp)
			}
		}
	}
}

func TestARefusedFindCoordinatorNamesEachKey(t *testing.T) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version, req.CoordinatorKeys = 4, []string{"g1", "g2"}
	got := refused(req, codeCoordinatorNotAvailable, "it is away").(*kmsg.FindCoordinatorResponse).Coordinators
	if len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	for i, c := range got {
		if c.Key != req.CoordinatorKeys[i] || c.ErrorCode != codeCoordinatorNotAvailable || c.NodeID != -1 || c.Port != -1 || c.ErrorMessage == nil {
			t.Errorf("%+v", c)
		}
	}
}

// TestARefusedFetchHasItsErrorInThePartitions: Apache Kafka's consumer looks at these alone to
// look for the leader again. With an error of the whole it fetches from the same place.
func TestARefusedFetchHasItsErrorInThePartitions(t *testing.T) {
	for version := int16(4); version <= kmsg.NewPtrFetchRequest().MaxVersion(); version++ {
		req := kmsg.NewPtrFetchRequest()
		req.Version = version
		topic := kmsg.NewFetchRequestTopic()
		topic.Topic, topic.TopicID = "t", [16]byte{1}
		for n := range int32(2) {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition = n
			topic.Partitions = append(topic.Partitions, p)
		}
		req.Topics = append(req.Topics, topic)
		resp := refused(req, codeNotLeader, "it is away").(*kmsg.FetchResponse)
		if resp.ErrorCode != 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 2 {
			t.Fatalf("version %d: %+v", version, resp)
		}
		for n, p := range resp.Topics[0].Partitions {
			if p.Partition != int32(n) || p.ErrorCode != codeNotLeader || p.PreferredReadReplica != -1 {
				t.Errorf("version %d: %+v", version, p)
			}
		}
	}
}

// TestRequestsToACoordinatorAreToldToLookForIt by the error that clients know for every one of
// their APIs: OffsetFetch with COORDINATOR_NOT_AVAILABLE ends an application of Apache Kafka's
// consumer. Those that go to any broker know that one, and not NOT_COORDINATOR.
func TestRequestsToACoordinatorAreToldToLookForIt(t *testing.T) {
	toAny := map[int16]bool{keyFindCoordinator: true, keyListGroups: true, keyListTransactions: true}
	for _, a := range APIs {
		if code := a.Code; toAny[a.Key] != (code == codeCoordinatorNotAvailable) {
			t.Errorf("%s: %v", kmsg.NameForKey(a.Key), kerr.ErrorForCode(code))
		}
	}
}

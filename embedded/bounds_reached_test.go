package embedded

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fullOfGroups is an asker whose kfake has as many settings of groups as may be.
func fullOfGroups(setting string) asker {
	of := kmsg.NewDescribeConfigsResponseResource()
	for i := range groupsSetMax {
		s, value := kmsg.NewDescribeConfigsResponseResourceConfig(), "45000"
		s.Name, s.Value, s.Source = fmt.Sprintf("%s%s:g%d", storedGroup, setting, i), &value, kmsg.ConfigSourceDynamicBrokerConfig
		of.Configs = append(of.Configs, s)
	}
	return func(req kmsg.Request) (kmsg.Response, error) {
		resp := req.ResponseKind()
		if r, is := resp.(*kmsg.DescribeConfigsResponse); is {
			r.Resources = append(r.Resources, of)
		}
		return resp, nil
	}
}

// Where groups have as many settings as may be, one can be changed and ended.
func TestAFullListOfGroupsSettingsCanBeChanged(t *testing.T) {
	c, name, value := open(t, Config{}), groupSettingThatIsKept(t), "50000"
	ask := fullOfGroups(name)
	for _, change := range []struct {
		what, group string
		op          alterOp
		want        int16
	}{
		{"one is changed", "g1", alterOp{name, kmsg.IncrementalAlterConfigOpSet, &value}, 0},
		{"one is ended", "g1", alterOp{name, kmsg.IncrementalAlterConfigOpDelete, nil}, 0},
		{"one more", "another", alterOp{name, kmsg.IncrementalAlterConfigOpSet, &value}, kerr.PolicyViolation.Code},
	} {
		code, message := c.settings.changeGroup(ask, alteration{kind: ofGroup, name: change.group, ops: []alterOp{change.op}}, false).answer()
		if code != change.want {
			t.Errorf("%s: error %d %q, want %d", change.what, code, text(message), change.want)
		}
	}
}

// Where as many entities have quotas as may be, one can be changed, and another take the
// place of one.
func TestAFullListOfQuotasCanBeChanged(t *testing.T) {
	c := open(t, Config{})
	rate := func(perSecond float64) map[string]float64 { return map[string]float64{"producer_byte_rate": perSecond} }
	for i := 0; i < clientQuotasMax; i += alteredMax {
		req := kmsg.NewPtrAlterClientQuotasRequest()
		for j := range alteredMax {
			req.Entries = append(req.Entries, quotas{fmt.Sprintf("user=u%d", i+j), rate(1e6), nil}.request(false).Entries...)
		}
		for _, e := range answer[*kmsg.AlterClientQuotasResponse](t, c, 1, req).Entries {
			if e.ErrorCode != 0 {
				t.Fatal(e.ErrorCode)
			}
		}
	}
	for _, of := range []struct {
		what string
		q    quotas
		want int16
	}{
		{"one is changed", quotas{"user=u1", rate(2e6), nil}, 0},
		{"one more", quotas{"user=another", rate(1e6), nil}, kerr.PolicyViolation.Code},
		{"everybody", quotas{"user=DEFAULT", rate(1e6), nil}, kerr.PolicyViolation.Code},
		{"one is ended", quotas{"user=u2", nil, []string{"producer_byte_rate"}}, 0},
		{"another in its place", quotas{"user=another", rate(1e6), nil}, 0},
	} {
		if code, message := alterQuotas(t, c, of.q); code != of.want {
			t.Errorf("%s: error %d %q, want %d", of.what, code, message, of.want)
		}
	}
}

// groupSettingThatIsKept is one that kfake knows.
func groupSettingThatIsKept(t *testing.T) string {
	t.Helper()
	for name, of := range settingOfGroup {
		if of.done == enforced && strings.HasSuffix(name, "session.timeout.ms") {
			return name
		}
	}
	t.Fatal("there is none")
	return ""
}

// A commit that is refused leaves nothing behind, of which the client could be refused others.
func TestARefusedCommitIsChargedNothing(t *testing.T) {
	n := filledIn(t, "", Config{KeptBytesMax: keptInTests}, 0, 1)
	conn := dial(t, n.addr)
	p := asks[*kmsg.InitProducerIDResponse](t, conn, producerOf("txn"))
	long := strings.Repeat("m", offsetMetadataMax+1)
	committing := func(topic string, partition int32, metadata *string) []kmsg.Request {
		one, two := kmsg.NewPtrOffsetCommitRequest(), kmsg.NewPtrTxnOffsetCommitRequest()
		one.Group, two.Group = "g", "g"
		two.TransactionalID, two.ProducerID, two.ProducerEpoch = "txn", p.ProducerID, p.ProducerEpoch
		a, b := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopic()
		a.Topic, b.Topic = topic, topic
		at, in := kmsg.NewOffsetCommitRequestTopicPartition(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
		at.Partition, at.Metadata, in.Partition, in.Metadata = partition, metadata, partition, metadata
		a.Partitions, b.Partitions = append(a.Partitions, at), append(b.Partitions, in)
		one.Topics, two.Topics = append(one.Topics, a), append(two.Topics, b)
		return []kmsg.Request{one, two}
	}
	commit := func(topic string, partition int32, metadata *string) (codes []int16) {
		for _, req := range committing(topic, partition, metadata) {
			if one, is := req.(*kmsg.OffsetCommitRequest); is {
				codes = append(codes, asks[*kmsg.OffsetCommitResponse](t, conn, one).Topics[0].Partitions[0].ErrorCode)
			} else {
				codes = append(codes, asks[*kmsg.TxnOffsetCommitResponse](t, conn, req).Topics[0].Partitions[0].ErrorCode)
			}
		}
		return codes
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = "txn", p.ProducerID, p.ProducerEpoch, "g"
	if code := asks[*kmsg.AddOffsetsToTxnResponse](t, conn, add).ErrorCode; code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	if codes := commit("full", 0, nil); codes[0] != 0 || codes[1] != 0 {
		t.Fatal(codes)
	}
	was := n.usedByKept()
	for i := range int32(50) {
		for what, codes := range map[string][]int16{"long": commit("full", 0, &long), "nowhere": commit("nowhere", i, nil)} {
			if codes[0] == 0 || codes[1] == 0 {
				t.Fatalf("%s: it was taken: %v", what, codes)
			}
		}
	}
	if used := n.usedByKept(); used != was {
		t.Errorf("refused commits hold %d bytes", used-was)
	}
}

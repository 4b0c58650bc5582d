package replay

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/record"
	"kring/reqchan"
)

// rewriterFor plays to a target that serves versions from and to of everything, and has the topic
// "orders" by the id 2; in the recording it has 1.
func rewriterFor(from, to int16) *rewriter {
	t := &target{
		versions: map[int16][2]int16{}, topics: map[string]*targetTopic{"orders": {[16]byte{2}, 4}}, names: map[[16]byte]string{{2}: "orders"},
		logs: map[part][2]int64{{"orders", 0}: {100, 200}},
	}
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		t.versions[key] = [2]int16{from, to}
	}
	return &rewriter{of: &Summary{names: map[[16]byte]string{{1}: "orders"}}, target: t, sessions: newSessions(), now: func() time.Time { return moment }}
}

func entryOf(q kmsg.Request, form record.Form) *record.Entry {
	return &record.Entry{Kind: record.Request, API: q.Key(), APIVersion: q.GetVersion(), Form: form, Body: q.AppendTo(nil)}
}

// only is the one item that there is, or none.
func only(all []*item, why string) (*item, string) {
	if len(all) != 1 {
		return nil, why
	}
	return all[0], why
}

// sentAs is what is sent in place of q.
func sentAs[Q kmsg.Request](t *testing.T, w *rewriter, q Q) (sent Q, why string) {
	t.Helper()
	it, why := only(w.rewrite(entryOf(q, record.Whole)))
	if it == nil {
		return sent, why
	}
	sent = kmsg.RequestForKey(q.Key()).(Q)
	sent.SetVersion(it.version)
	if err := sent.ReadFrom(w.target.encoded(it)); err != nil {
		t.Fatal(err)
	}
	return sent, ""
}

// fetchOf asks for partitions of "orders", by its id in the recording.
func fetchOf(session, epoch int32, forget int32, partitions ...int32) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.Version, q.SessionID, q.SessionEpoch, q.MaxWaitMillis = 16, session, epoch, 500
	topic := kmsg.NewFetchRequestTopic()
	topic.TopicID = [16]byte{1}
	for _, n := range partitions {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.CurrentLeaderEpoch = n, 50+int64(n)*1000, 9
		topic.Partitions = append(topic.Partitions, p)
	}
	if len(partitions) > 0 {
		q.Topics = append(q.Topics, topic)
	}
	if forget >= 0 {
		f := kmsg.NewFetchRequestForgottenTopic()
		f.TopicID, f.Partitions = [16]byte{1}, []int32{forget}
		q.ForgottenTopics = append(q.ForgottenTopics, f)
	}
	return q
}

// TestAFetchSessionIsPlayedAsWhatItHasComeTo, to a target of an older and of the same version.
func TestAFetchSessionIsPlayedAsWhatItHasComeTo(t *testing.T) {
	for _, most := range []int16{16, 11} {
		w := rewriterFor(4, most)
		for i, step := range []struct {
			q    *kmsg.FetchRequest
			want []int32
		}{
			{fetchOf(0, 0, -1, 0, 1), []int32{0, 1}},
			{fetchOf(77, 1, -1), []int32{0, 1}},
			{fetchOf(77, 2, -1, 2), []int32{0, 1, 2}},
			{fetchOf(77, 3, 1, 0), []int32{0, 2}},
		} {
			got, why := sentAs(t, w, step.q)
			if why != "" {
				t.Fatalf("step %d: %s", i, why)
			}
			var partitions []int32
			for _, topic := range got.Topics {
				if got.Version < 13 && topic.Topic != "orders" || got.Version >= 13 && topic.TopicID != [16]byte{2} {
					t.Errorf("step %d: topic %+v", i, topic)
				}
				for _, p := range topic.Partitions {
					partitions = append(partitions, p.Partition)
					if p.CurrentLeaderEpoch != -1 || p.Partition == 0 && p.FetchOffset != 100 {
						t.Errorf("step %d: %+v", i, p)
					}
				}
			}
			if !reflect.DeepEqual(partitions, step.want) || got.SessionID != 0 || got.SessionEpoch != -1 || len(got.ForgottenTopics) > 0 || got.Version != most {
				t.Errorf("step %d, version %d: partitions %v of session %d/%d, want %v", i, got.Version, partitions, got.SessionID, got.SessionEpoch, step.want)
			}
		}
		if _, why := sentAs(t, w, fetchOf(88, 5, -1)); !strings.Contains(why, "before the recording") {
			t.Errorf("of a session that nobody saw begin: %q", why)
		}
		other := entryOf(fetchOf(77, 4, -1), record.Whole) // the session outlives its connection
		other.Conn = reqchan.ConnID{Index: 9}
		if it, why := only(w.rewrite(other)); it == nil {
			t.Errorf("on another connection: %s", why)
		}
		if _, why := sentAs(t, w, fetchOf(77, -1, -1, 3)); why != "" {
			t.Errorf("a Fetch that ends its session: %s", why)
		}
		if _, why := sentAs(t, w, fetchOf(77, 5, -1)); !strings.Contains(why, "before the recording") {
			t.Errorf("of a session that has ended: %q", why)
		}
	}
}

// TestWhatAnOlderVersionCantSayIsNotSent, and what it can is.
func TestWhatAnOlderVersionCantSayIsNotSent(t *testing.T) {
	w := rewriterFor(0, 3)
	q := kmsg.NewPtrFindCoordinatorRequest()
	q.Version, q.CoordinatorKeys = 4, []string{"a", "b"}
	if _, why := sentAs(t, w, q); !strings.Contains(why, "version 3 can't say the same") {
		t.Errorf("two groups at once: %q", why)
	}
	groups := kmsg.NewPtrListGroupsRequest()
	groups.Version = 4
	if got, why := sentAs(t, w, groups); why != "" || got.Version != 3 {
		t.Errorf("ListGroups: version %v, %q", got, why)
	}
	groups.StatesFilter = []string{"Stable"}
	if _, why := sentAs(t, w, groups); why == "" {
		t.Error("a filter was left out")
	}
	shake := kmsg.NewPtrApiVersionsRequest()
	shake.Version, shake.ClientSoftwareName, shake.ClientSoftwareVersion = 4, "x", "1"
	if got, why := sentAs(t, w, shake); why != "" || got.Version != 3 {
		t.Errorf("ApiVersions: %v, %q", got, why)
	}
	if _, why := sentAs(t, rewriterFor(9, 3), groups); !strings.Contains(why, "the target serves versions 9 to 3") {
		t.Errorf("none at all: %q", why)
	}
	delete(w.target.versions, groups.Key())
	if _, why := sentAs(t, w, groups); !strings.Contains(why, "does not serve it") {
		t.Errorf("not served: %q", why)
	}
}

// TestAReplayNeverCreatesTopicsByTheWay: not by Metadata, of whatever version.
func TestAReplayNeverCreatesTopicsByTheWay(t *testing.T) {
	for v := int16(0); v <= kmsg.NewPtrMetadataRequest().MaxVersion(); v++ {
		q := kmsg.NewPtrMetadataRequest()
		q.Version, q.AllowAutoTopicCreation = v, true
		name := "new"
		q.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
		got, why := sentAs(t, rewriterFor(0, 99), q)
		if why != "" || got.Version < 4 || got.AllowAutoTopicCreation || len(got.Topics) != 1 || *got.Topics[0].Topic != "new" {
			t.Errorf("version %d: %+v, %q", v, got, why)
		}
	}
}

// TestProduceIsPlayedAsNobodysRecords, of the same size, and the target's id of the topic.
func TestProduceIsPlayedAsNobodysRecords(t *testing.T) {
	q := kmsg.NewPtrProduceRequest()
	q.Version, q.Acks, q.TransactionID = 13, 0, kmsg.StringPtr("t")
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = appendBatch(nil, record.Batch{Bytes: 1000, Records: 5}, moment)[:batchHeadBytes]
	q.Topics = []kmsg.ProduceRequestTopic{{TopicID: [16]byte{1}, Partitions: []kmsg.ProduceRequestTopicPartition{p}}}
	w := rewriterFor(3, 13)
	it, why := only(w.rewrite(entryOf(q, record.Cut)))
	if why != "" || !it.silent {
		t.Fatalf("%+v, %q", it, why)
	}
	got := kmsg.NewPtrProduceRequest()
	got.Version = it.version
	if err := got.ReadFrom(it.body); err != nil {
		t.Fatal(err)
	}
	is := record.BatchesOf(got.Topics[0].Partitions[0].Records)
	if got.TransactionID != nil || got.Topics[0].TopicID != [16]byte{2} || len(is) != 1 || is[0].Bytes != 1000 || is[0].Records != 5 {
		t.Errorf("%+v: %+v", got, is)
	}
	q.Topics[0].TopicID = [16]byte{7}
	if _, why := w.rewrite(entryOf(q, record.Cut)); why != noTopicName {
		t.Errorf("an id that has no name: %q", why)
	}
	delete(w.target.topics, "orders")
	q.Topics[0].TopicID = [16]byte{1}
	if _, why := w.rewrite(entryOf(q, record.Cut)); why != noTopic {
		t.Errorf("a topic that is not there: %q", why)
	}
}

// TestEveryAPIIsPlayedOrSaysWhyNot, and what is played is recorded.
func TestEveryAPIIsPlayedOrSaysWhyNot(t *testing.T) {
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		if kmsg.RequestForKey(key) == nil {
			continue
		}
		how, decided := treatments[key]
		if kept := record.Keep(key); !decided || how.Text == "" || how.Played != (kept == record.Always || kept == record.AlwaysCut) {
			t.Errorf("%s: decided %v, played %v, recorded %v", kmsg.NameForKey(key), decided, how.Played, kept)
		}
	}
}

// TestWhatIsReadAheadCountsForWhatItTakes: a Fetch is held decoded, which is more than its body.
func TestWhatIsReadAheadCountsForWhatItTakes(t *testing.T) {
	w := rewriterFor(0, 4)
	q := fetchOf(0, -1, -1, 0)
	q.Version, q.Topics[0].Topic = 4, "orders"
	const partitions = 10_000
	q.Topics[0].Partitions = make([]kmsg.FetchRequestTopicPartition, partitions)
	it, why := only(w.rewrite(entryOf(q, record.Whole)))
	if why != "" {
		t.Fatal(why)
	}
	if least := partitions * int64(reflect.TypeFor[kmsg.FetchRequestTopicPartition]().Size()); it.bytes < least {
		t.Errorf("it counts for %d bytes, and takes %d", it.bytes, least)
	}
}

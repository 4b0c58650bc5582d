package contract

import (
	"bytes"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/internal/servertest"
	"kring/kafka"
	"kring/quota"
)

// exchange sends a request of client "greedy" and decodes the answer.
func exchange(t *testing.T, c *servertest.Client, req kmsg.Request) kmsg.Response {
	t.Helper()
	if _, err := c.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("greedy")).AppendRequest(nil, req, 7)); err != nil {
		t.Fatal(err)
	}
	payload, err := servertest.ReadFrame(c)
	if err != nil {
		t.Fatal(err)
	}
	head := kafka.AppendResponseHeader(nil, req.Key(), req.GetVersion(), 7)
	if !bytes.HasPrefix(payload, head) {
		t.Fatalf("%T: answer of %d bytes begins with %x, want %x", req, len(payload), payload[:min(len(payload), len(head))], head)
	}
	resp := req.ResponseKind()
	if err := resp.ReadFrom(payload[len(head):]); err != nil {
		t.Fatal(err)
	}
	return resp
}

// fileBroker answers from a file: the records of a Fetch, and of all others
// everything behind the throttle time.
type fileBroker struct {
	t        *testing.T
	file     *os.File
	records  []byte
	released atomic.Int64
}

// restAt is where the rest of a response lies in the file.
const restAt = 1 << 20

func (b *fileBroker) HandleAPI(r kafka.APIRequest) {
	req, err := r.Decode()
	if err != nil {
		b.t.Error(err)
	}
	resp := req.ResponseKind()
	at, length, file := 0, 0, int64(0)
	if fetch, ok := resp.(*kmsg.FetchResponse); ok {
		topic, partition := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
		partition.RecordBatches = b.records
		topic.Topic, topic.Partitions = "t", append(topic.Partitions, partition)
		fetch.Topics = append(fetch.Topics, topic)
	}
	all := resp.AppendTo(kafka.AppendResponseHeader(nil, req.Key(), req.GetVersion(), r.Header.CorrelationID))
	if at, length = bytes.Index(all, b.records), len(b.records); at < 0 {
		at, file = 9, restAt // behind the header and the throttle time
		if length, err = b.file.WriteAt(all[at:], file); err != nil {
			b.t.Error(err)
		}
	}
	respondParts(b.t, r.Raw, func() { b.released.Add(1) }, kring.Part{Bytes: all[:at]},
		kring.Part{File: b.file, Offset: file, Length: int64(length)}, kring.Part{Bytes: all[at+length:]})
}

// TestBytesOfFilesAreOnTheAccountOfTheirClient, which is told in the response
// that it has to wait; a Fetch that is over the quota is answered empty, and its
// file is released unread.
//
// Kafka: F-36, F-40, F-45, RequestQuotaTest.
func TestBytesOfFilesAreOnTheAccountOfTheirClient(t *testing.T) {
	const most = 4 * time.Millisecond
	records := bytes.Repeat([]byte("records "), 150_000/8)
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		f, err := os.Create(filepath.Join(t.TempDir(), "segment"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		if _, err := f.Write(records); err != nil {
			t.Fatal(err)
		}
		q, err := quota.New(quota.Config{RequestThrottleMax: most, BytesThrottleMax: most, Limits: []quota.Limit{
			{Entity: quota.Entity{ClientID: "greedy"}, Kind: quota.BytesOut, PerSecond: 20_000}, // 200,000 in ten seconds
		}})
		if err != nil {
			t.Fatal(err)
		}
		versions, err := kafka.NewVersions(kafka.VersionRange{Key: 18}, kafka.VersionRange{Key: 1, Max: 4}, kafka.VersionRange{Key: 3, Max: 9})
		if err != nil {
			t.Fatal(err)
		}
		b := &fileBroker{t: t, file: f, records: records}
		filter := kafka.NewFilter(versions, b)
		filter.Quotas = q
		s := servertest.Start(t, cfg, filter)
		c := servertest.Dial(t, s)

		fetch := kmsg.NewPtrFetchRequest()
		fetch.Version = 4
		whole := exchange(t, c, fetch).(*kmsg.FetchResponse)
		if whole.ThrottleMillis != 0 || len(whole.Topics) != 1 || !bytes.Equal(whole.Topics[0].Partitions[0].RecordBatches, records) {
			t.Fatalf("within the quota: wait %d, %d topics", whole.ThrottleMillis, len(whole.Topics))
		}
		for range 2 {
			if empty := exchange(t, c, fetch).(*kmsg.FetchResponse); empty.ThrottleMillis != 4 || len(empty.Topics) != 0 {
				t.Errorf("over the quota: wait %d, %d topics", empty.ThrottleMillis, len(empty.Topics))
			}
		}
		if use := q.Usage(); len(use) != 1 || use[0].PerSecond < 10_000 || use[0].PerSecond > 15_100 {
			t.Errorf("on the account: %+v, want one file in some ten seconds", use)
		}

		if err := q.Set([]quota.Limit{{Entity: quota.Entity{ClientID: "greedy"}, Kind: quota.Requests, PerSecond: 0.1}}); err != nil {
			t.Fatal(err)
		}
		asked := kmsg.NewPtrMetadataRequest()
		asked.Version = 9
		exchange(t, c, asked)
		if resp := exchange(t, c, asked).(*kmsg.MetadataResponse); resp.ThrottleMillis != 4 {
			t.Errorf("over the quota of requests, with a file behind the throttle time: wait %d", resp.ThrottleMillis)
		}
		servertest.Eventually(t, "every file is released", func() bool { return b.released.Load() == 5 })
	})
}

package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// rec is a record of a test's batch: its key ("-": none), how long its value is,
// and its timestamp after the batch's first.
type rec struct {
	key   string
	bytes int
	after int64
}

func nowMillis() int64 { return time.Now().UnixMilli() }

// batchOf makes a batch with a codec, as a producer would.
func batchWith(first int64, codec int, records ...rec) []byte {
	var raw []byte
	last := first
	for i, r := range records {
		k := kmsg.NewRecord()
		if k.Value = bytes.Repeat([]byte("v"), r.bytes); r.key != "-" {
			k.Key = []byte(r.key)
		}
		k.OffsetDelta, k.TimestampDelta64, k.TimestampDelta = int32(i), r.after, int32(r.after)
		body := k.AppendTo(nil)
		k.Length = int32(len(body) - 1) // of a length of 0, which is one byte
		raw = k.AppendTo(raw)
		last = max(last, first+r.after)
	}
	return sealed(kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(codec), LastOffsetDelta: int32(len(records) - 1),
		FirstTimestamp: first, MaxTimestamp: last, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: int32(len(records)), Records: compressed(codec, raw),
	})
}

// compressed is records as another implementation compresses them.
func compressed(codec int, records []byte) []byte {
	by := map[int]kgo.CompressionCodec{
		codecGzip: kgo.GzipCompression(), codecSnappy: kgo.SnappyCompression(), codecLZ4: kgo.Lz4Compression(), codecZstd: kgo.ZstdCompression(),
	}
	c, err := kgo.DefaultCompressor(by[codec])
	if err != nil {
		panic(err)
	}
	if c == nil {
		return records
	}
	out, _ := c.Compress(new(bytes.Buffer), records)
	return bytes.Clone(out)
}

func sealed(b kmsg.RecordBatch) []byte {
	b.Length = int32(len(b.AppendTo(nil)) - batchBodyAt)
	raw := recordBatch(b.AppendTo(nil))
	raw.seal()
	return raw
}

func producingTo(topic string, version int16, batches ...[]byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, 1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	for i, b := range batches {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = int32(i), b
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// produced puts one batch into partition 0 and returns what that is answered with.
func produced(t *testing.T, c *Cluster, topic string, version int16, batch []byte) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	_, resp := ask(t, c, producingTo(topic, version, batch))
	got := resp.(*kmsg.ProduceResponse).Topics
	if len(got) != 1 || len(got[0].Partitions) != 1 {
		t.Fatalf("answered with %v", got)
	}
	return got[0].Partitions[0]
}

// fetched is the batches of partition 0, whose checksums are right.
func fetched(t *testing.T, c *Cluster, topic string) (all []kmsg.RecordBatch) {
	t.Helper()
	asked, from := kmsg.NewFetchRequestTopic(), int64(0)
	asked.Topic = topic
	if info := c.kfake.PartitionInfo(topic, 0); info != nil {
		from = info.LogStartOffset
	}
	_, resp := ask(t, c, fetchRequest(11, asked, 0, from, 64<<20))
	got := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if got.ErrorCode != 0 {
		t.Fatalf("fetch: error %d", got.ErrorCode)
	}
	for raw := got.RecordBatches; len(raw) > 0; {
		size := batchBodyAt + int(binary.BigEndian.Uint32(raw[batchLengthAt:]))
		if !recordBatch(raw[:size]).whole() {
			t.Errorf("a batch of %s has a wrong checksum", topic)
		}
		var b kmsg.RecordBatch
		if err := b.ReadFrom(raw[:size]); err != nil {
			t.Fatal(err)
		}
		all, raw = append(all, b), raw[size:]
	}
	return all
}

func admin(n *node) *kadm.Client { return kadm.NewClient(n.client()) }

// A record without a key can't be compacted: it is refused, in every codec, and
// so is its batch, whose other records are not named.
func TestACompactedTopicTakesNoRecordWithoutAKey(t *testing.T) {
	c := open(t, Config{})
	mustCreate(t, c, "compacted", "cleanup.policy=compact")
	mustCreate(t, c, "both", "cleanup.policy=delete,compact")
	mustCreate(t, c, "kept")
	for codec := range 5 {
		batch := batchWith(nowMillis(), codec, rec{"a", 10, 0}, rec{"-", 100_000, 1}, rec{"", 10, 2}, rec{"-", 0, 3})
		for _, topic := range []string{"compacted", "both"} {
			p := produced(t, c, topic, 9, batch)
			var named []int32
			for _, e := range p.ErrorRecords {
				named = append(named, e.RelativeOffset)
				if want := "Compacted topic cannot accept message without key in topic partition " + topic + "-0"; text(e.ErrorMessage) != want {
					t.Errorf("record %d: %q, want %q", e.RelativeOffset, text(e.ErrorMessage), want)
				}
			}
			if p.ErrorCode != kerr.InvalidRecord.Code || fmt.Sprint(named) != "[1 3]" || p.BaseOffset != -1 ||
				!strings.HasPrefix(text(p.ErrorMessage), "One or more records have been rejected due to 2 record errors in total") {
				t.Errorf("%s, codec %d: %+v", topic, codec, p)
			}
			if p := produced(t, c, topic, 7, batch); p.ErrorCode != kerr.InvalidRecord.Code {
				t.Errorf("%s, codec %d, version 7: %+v", topic, codec, p)
			}
			if p := produced(t, c, topic, 9, batchWith(nowMillis(), codec, rec{"a", 1, 0}, rec{"", 1, 0})); p.ErrorCode != 0 {
				t.Errorf("%s, codec %d, with keys: %+v", topic, codec, p)
			}
		}
		if p := produced(t, c, "kept", 9, batch); p.ErrorCode != 0 {
			t.Errorf("codec %d, not compacted: %+v", codec, p)
		}
	}
	mustAlter(t, c, ofTopic, "kept", "cleanup.policy=compact")
	if p := produced(t, c, "kept", 9, batchWith(nowMillis(), 0, rec{"-", 1, 0})); p.ErrorCode != kerr.InvalidRecord.Code {
		t.Errorf("compacted from now on: %+v", p)
	}
	if p := produced(t, c, "nobody-has", 9, batchWith(nowMillis(), 0, rec{"-", 1, 0})); p.ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("a topic that does not exist: %+v", p)
	}
}

// Of a request with good and bad batches the good are stored, and everything is
// answered; without an answer the connection ends.
func TestGoodBatchesBesideBadOnesAreStored(t *testing.T) {
	c := open(t, Config{})
	made := topicOf("compacted", 3)
	s := kmsg.NewCreateTopicsRequestTopicConfig()
	s.Name, s.Value = "cleanup.policy", kmsg.StringPtr("compact")
	made.Configs = append(made.Configs, s)
	ask(t, c, creating(made))
	good, bad := batchWith(nowMillis(), 0, rec{"a", 1, 0}), batchWith(nowMillis(), 0, rec{"-", 1, 0})
	_, resp := ask(t, c, producingTo("compacted", 9, good, bad, good))
	got := map[int32]int16{}
	for _, topic := range resp.(*kmsg.ProduceResponse).Topics {
		for _, p := range topic.Partitions {
			got[p.Partition] = p.ErrorCode
		}
	}
	if len(got) != 3 || got[0] != 0 || got[1] != kerr.InvalidRecord.Code || got[2] != 0 {
		t.Errorf("answered with %v", got)
	}
	silent := producingTo("compacted", 9, bad)
	silent.Acks = 0
	if kind, _ := ask(t, c, silent); kind != reqchan.AnswerClose {
		t.Errorf("a silent producer was answered with %v", kind)
	}
	silent = producingTo("compacted", 9, good)
	silent.Acks = 0
	if kind, _ := ask(t, c, silent); kind != reqchan.AnswerNoResponse {
		t.Errorf("a good silent producer was answered with %v", kind)
	}
}

// Where memory is little, what a batch decompresses to is less, and what it becomes in the
// codec of its topic is no more than a batch may be.
func TestWhatABatchBecomesHasABoundByTheMemory(t *testing.T) {
	c := open(t, Config{KeptBytesMax: 512 << 10, BatchBytesMax: 1 << 20})
	mustCreate(t, c, "compacted", "cleanup.policy=compact")
	mustCreate(t, c, "plain", "compression.type=uncompressed")
	mustCreate(t, c, "packed", "compression.type=lz4")
	batch := func(codec, bytes int) []byte {
		k := kmsg.NewRecord()
		k.Key, k.Value = []byte("k"), make([]byte, bytes)
		k.Length = int32(len(k.AppendTo(nil)) - 1)
		return sealed(kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(codec), FirstTimestamp: nowMillis(),
			MaxTimestamp: nowMillis(), ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1, Records: compressed(codec, k.AppendTo(nil))})
	}
	for _, codec := range []int{codecGzip, codecSnappy, codecLZ4, codecZstd} {
		for _, of := range []struct {
			topic string
			bytes int
			want  int16
		}{
			{"compacted", 3 << 20, 0}, {"compacted", 5 << 20, kerr.MessageTooLarge.Code},
			{"plain", 1000 << 10, 0}, {"plain", 2 << 20, kerr.MessageTooLarge.Code},
			{"packed", 3 << 20, 0}, {"packed", 5 << 20, kerr.MessageTooLarge.Code},
		} {
			if codec == codecLZ4 && of.topic == "packed" {
				of.want = 0 // it stays as it is
			}
			if p := produced(t, c, of.topic, 9, batch(codec, of.bytes)); p.ErrorCode != of.want {
				t.Errorf("codec %d, %d bytes to %s: %d %q, want %d", codec, of.bytes, of.topic, p.ErrorCode, text(p.ErrorMessage), of.want)
			}
		}
	}
}

// What 16 MiB decompress to has a bound, and so has what lies in between; what
// can't be decompressed is corrupt.
func TestADecompressionBombIsRefused(t *testing.T) {
	c := open(t, Config{KeptBytesMax: 1 << 30})
	mustCreate(t, c, "compacted", "cleanup.policy=compact")
	bomb := func(codec int) []byte {
		var raw []byte
		k := kmsg.NewRecord()
		k.Key, k.Value = []byte("k"), make([]byte, decodedBytesMax)
		k.Length = int32(len(k.AppendTo(nil)) - 1)
		raw = k.AppendTo(raw)
		return sealed(kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(codec), FirstTimestamp: nowMillis(),
			MaxTimestamp: nowMillis(), ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1, Records: compressed(codec, raw)})
	}
	if p := produced(t, c, "compacted", 9, bomb(codecZstd)); p.ErrorCode != kerr.MessageTooLarge.Code || !strings.Contains(text(p.ErrorMessage), "128 MiB") {
		t.Errorf("a bomb: %d %q", p.ErrorCode, text(p.ErrorMessage))
	}
	for codec := 1; codec < 5; codec++ {
		b := recordBatch(batchWith(nowMillis(), codec, rec{"a", 1000, 0}))
		cut := b[:len(b)-5]
		binary.BigEndian.PutUint32(cut[batchLengthAt:], uint32(len(cut)-batchBodyAt))
		cut.seal()
		if p := produced(t, c, "compacted", 9, cut); p.ErrorCode != kerr.CorruptMessage.Code {
			t.Errorf("codec %d, cut: %d %q", codec, p.ErrorCode, text(p.ErrorMessage))
		}
	}
	claim := sealed(kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, Attributes: codecSnappy, ProducerID: -1, ProducerEpoch: -1,
		FirstSequence: -1, NumRecords: 1, Records: []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}})
	if p := produced(t, c, "compacted", 9, claim); p.ErrorCode != kerr.MessageTooLarge.Code {
		t.Errorf("a block that claims 4 GiB: %d %q", p.ErrorCode, text(p.ErrorMessage))
	}
}

// Java frames snappy; every other client sends one block.
func TestFramedSnappyIsRead(t *testing.T) {
	c := open(t, Config{})
	mustCreate(t, c, "compacted", "cleanup.policy=compact")
	plain := recordBatch(batchWith(nowMillis(), codecNone, rec{"a", 50_000, 0}, rec{"-", 50_000, 0}))
	framed := append(append([]byte(nil), xerialMagic...), 0, 0, 0, 1, 0, 0, 0, 1)
	for raw := plain[batchRecordsAt:]; len(raw) > 0; {
		n := min(len(raw), 32<<10)
		block := compressed(codecSnappy, raw[:n])
		framed = append(binary.BigEndian.AppendUint32(framed, uint32(len(block))), block...)
		raw = raw[n:]
	}
	b := append(plain[:batchRecordsAt:batchRecordsAt], framed...)
	binary.BigEndian.PutUint32(b[batchLengthAt:], uint32(len(b)-batchBodyAt))
	binary.BigEndian.PutUint16(b[batchAttributesAt:], codecSnappy)
	b.seal()
	if p := produced(t, c, "compacted", 9, b); p.ErrorCode != kerr.InvalidRecord.Code || len(p.ErrorRecords) != 1 || p.ErrorRecords[0].RelativeOffset != 1 {
		t.Errorf("%+v", p)
	}
}

// Nothing is ever compacted, so no log starts later than it did, and a group that
// committed at its start reads everything that is live.
func TestNoCompactionMovesTheStartOfALog(t *testing.T) {
	c := open(t, Config{DataDir: t.TempDir()})
	mustCreate(t, c, "compacted", "cleanup.policy=compact", "retention.ms=1", "retention.bytes=1")
	for range 3 {
		produced(t, c, "compacted", 9, batchWith(1000, 0, rec{"same", 10, 0}))
	}
	if err := c.retain(time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	if got := fetched(t, c, "compacted"); len(got) != 3 || c.kfake.PartitionInfo("compacted", 0).LogStartOffset != 0 {
		t.Errorf("%d batches are left, from offset %d", len(got), c.kfake.PartitionInfo("compacted", 0).LogStartOffset)
	}
	if kept, err := describedBroker(c.inside.ask); err != nil || kept["log.cleaner.backoff.ms"] != fmt.Sprint(cleanerOff) {
		t.Errorf("kfake compacts every %s ms (%v)", kept["log.cleaner.backoff.ms"], err)
	}
	// No request of a client changes that.
	mustAlter(t, c, ofBroker, "", "log.cleaner.backoff.ms=1")
	if kept, _ := describedBroker(c.inside.ask); kept["log.cleaner.backoff.ms"] != fmt.Sprint(cleanerOff) {
		t.Errorf("kfake compacts every %s ms", kept["log.cleaner.backoff.ms"])
	}
}

// Timestamps out of message.timestamp.after.max.ms and .before.max.ms are refused
// by record.
func TestTimestampsOutOfBoundsAreRefused(t *testing.T) {
	c := open(t, Config{})
	mustCreate(t, c, "plain")
	mustCreate(t, c, "strict", "message.timestamp.before.max.ms=60000", "message.timestamp.after.max.ms=60000")
	now := nowMillis()
	const hour, minute = 3_600_000, 60_000
	for _, one := range []struct {
		topic string
		batch []byte
		want  string // the records that are named
	}{
		{"plain", batchWith(now+2*hour, 0, rec{"a", 1, 0}, rec{"a", 1, 5}), "[0 1]"},
		{"plain", batchWith(now, codecZstd, rec{"a", 1, 0}, rec{"a", 1, 2 * hour}), "[1]"},
		{"plain", batchWith(now+hour-minute, 0, rec{"a", 1, 0}), ""},
		{"plain", batchWith(-1, 0, rec{"a", 1, 0}), ""},
		{"plain", batchWith(0, 0, rec{"a", 1, 0}), ""},
		{"strict", batchWith(now-2*minute, 0, rec{"a", 1, 0}, rec{"a", 1, 2 * minute}), "[0]"},
		{"strict", batchWith(now+2*minute, 0, rec{"a", 1, 0}), "[0]"},
		{"strict", batchWith(-1, 0, rec{"a", 1, 0}), ""},
	} {
		p := produced(t, c, one.topic, 9, one.batch)
		if one.want == "" {
			if p.ErrorCode != 0 {
				t.Errorf("%s: %+v", one.topic, p)
			}
			continue
		}
		var named []int32
		for _, e := range p.ErrorRecords {
			named = append(named, e.RelativeOffset)
			if !strings.Contains(text(e.ErrorMessage), "is out of range. The timestamp should be within [") {
				t.Errorf("%q", text(e.ErrorMessage))
			}
		}
		if p.ErrorCode != kerr.InvalidTimestamp.Code || fmt.Sprint(named) != one.want ||
			text(p.ErrorMessage) != "One or more records have been rejected due to invalid timestamp" {
			t.Errorf("%s, want %s: %+v", one.topic, one.want, p)
		}
	}
	mustAlter(t, c, ofBroker, "", fmt.Sprintf("log.message.timestamp.after.max.ms=%d", math.MaxInt64))
	if p := produced(t, c, "plain", 9, batchWith(now+2*hour, 0, rec{"a", 1, 0})); p.ErrorCode != 0 {
		t.Errorf("without a bound: %+v", p)
	}
}

// With message.timestamp.type=LogAppendTime the time is ours: producers are told,
// consumers read it, and it is looked up by, also after a kill.
func TestLogAppendTimeIsTheTimeOfArrival(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	c := open(t, Config{DataDir: dir})
	mustCreate(t, c, "arrivals", "message.timestamp.type=LogAppendTime")
	mustCreate(t, c, "plain")
	before := nowMillis()
	p := produced(t, c, "arrivals", 9, batchWith(12345, codecGzip, rec{"-", 100, 0}, rec{"-", 100, 5}))
	after := nowMillis()
	if p.ErrorCode != 0 || p.LogAppendTime < before || p.LogAppendTime > after {
		t.Fatalf("between %d and %d: %+v", before, after, p)
	}
	if plain := produced(t, c, "plain", 9, batchWith(12345, 0, rec{"-", 1, 0})); plain.LogAppendTime != -1 {
		t.Errorf("without it: %+v", plain)
	}
	check := func(c *Cluster) {
		t.Helper()
		got := fetched(t, c, "arrivals")
		if len(got) != 1 || got[0].MaxTimestamp != p.LogAppendTime || got[0].Attributes != batchAppendTime|codecGzip {
			t.Errorf("stored as %+v", got)
		}
		if got := fetched(t, c, "plain"); len(got) != 1 || got[0].Attributes != 0 || got[0].MaxTimestamp != 12345 {
			t.Errorf("without it, stored as %+v", got)
		}
		if offset := listed(t, c, "arrivals", before); offset != 0 {
			t.Errorf("offset %d has the time of its arrival", offset)
		}
		if offset := listed(t, c, "arrivals", after+1); offset != -1 {
			t.Errorf("offset %d has a later time", offset)
		}
	}
	check(c)
	copyDir(t, dir, killed)
	check(open(t, Config{DataDir: killed}))
	// A producer has no say in it.
	if p := produced(t, c, "arrivals", 9, batchWith(nowMillis(), batchAppendTime, rec{"-", 1, 0})); p.ErrorCode != kerr.InvalidTimestamp.Code {
		t.Errorf("a producer that says so: %+v", p)
	}
	if p := produced(t, c, "plain", 9, batchWith(777, batchAppendTime, rec{"-", 1, 0})); p.ErrorCode != 0 || p.LogAppendTime != -1 {
		t.Errorf("without it: %+v", p)
	}
	if got := fetched(t, c, "plain"); len(got) != 2 || got[1].Attributes != 0 || got[1].FirstTimestamp != 777 {
		t.Errorf("without it, stored as %+v", got)
	}
}

// Who waits for the first record of a topic already sees that its time is ours.
func TestAConsumerThatWaitsSeesAppendTime(t *testing.T) {
	n := serve(t, Config{})
	mustCreate(t, n.cluster, "arrivals", "message.timestamp.type=LogAppendTime")
	reader := n.client(kgo.ConsumeTopics("arrivals"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(deadline))
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	got := make(chan *kgo.Record, 1)
	go func() {
		fetches := reader.PollFetches(ctx)
		for _, r := range fetches.Records() {
			got <- r
			return
		}
		close(got)
	}()
	eventually(t, "a fetch waits", func() bool { return n.sessionsRunning() > 0 })
	before := nowMillis()
	if p := produced(t, n.cluster, "arrivals", 9, batchWith(12345, 0, rec{"a", 1, 77})); p.ErrorCode != 0 {
		t.Fatalf("%+v", p)
	}
	if r := <-got; r == nil || r.Attrs.TimestampType() != 1 || r.Timestamp.UnixMilli() < before {
		t.Errorf("read %+v", r)
	}
}

// listed is the first offset of partition 0 at or after a time.
func listed(t *testing.T, c *Cluster, topic string, at int64) int64 {
	t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID = 4, -1
	asked, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	asked.Topic, p.Timestamp, p.CurrentLeaderEpoch = topic, at, -1
	asked.Partitions = append(asked.Partitions, p)
	req.Topics = append(req.Topics, asked)
	_, resp := ask(t, c, req)
	got := resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	if got.ErrorCode != 0 {
		t.Fatalf("error %d", got.ErrorCode)
	}
	return got.Offset
}

// compression.type decides how records are stored, whatever the producer chose.
func TestATopicHasItsOwnCodec(t *testing.T) {
	n := serve(t, Config{})
	c := n.cluster
	want := map[string]int{"producer": -1, "uncompressed": codecNone, "gzip": codecGzip, "snappy": codecSnappy, "lz4": codecLZ4, "zstd": codecZstd}
	for name, codec := range want {
		topic := "as-" + name
		mustCreate(t, c, topic, "compression.type="+name, "compression.lz4.level=17", "compression.gzip.level=1")
		for from := range 5 {
			p := produced(t, c, topic, 9, batchWith(nowMillis(), from, rec{"a", 1000, 0}, rec{"-", 1000, 1}))
			if p.ErrorCode != 0 {
				t.Errorf("%s from codec %d: %+v", name, from, p)
			}
		}
		for from, b := range fetched(t, c, topic) {
			if got := int(b.Attributes); got != codec && name != "producer" || name == "producer" && got != from {
				t.Errorf("%s from codec %d: stored with codec %d", name, from, got)
			}
		}
		reader := n.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		for read := 0; read < 10; {
			fetches := reader.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(name, err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				read++
				if len(r.Value) != 1000 {
					t.Errorf("%s: a value of %d bytes", name, len(r.Value))
				}
			})
		}
		cancel()
	}
}

// A batch that is too large, and two where one may be, are refused as Apache Kafka
// refuses them.
func TestABatchOfTheWrongSizeIsRefused(t *testing.T) {
	c := open(t, Config{})
	mustCreate(t, c, "small", "max.message.bytes=200")
	batch := batchWith(nowMillis(), 0, rec{"a", 10, 0})
	old := append([]byte(nil), batch...)
	old[batchMagicAt] = 1
	for _, one := range []struct {
		what    string
		records []byte
		want    *kerr.Error
	}{
		{"too large", batchWith(nowMillis(), 0, rec{"a", 200, 0}), kerr.MessageTooLarge},
		{"two", append(append([]byte(nil), batch...), batch...), kerr.InvalidRecord},
		{"cut off", batch[:len(batch)-1], kerr.InvalidRecord},
		{"a header cut off", batch[:20], kerr.InvalidRecord},
		{"nothing", []byte{}, kerr.InvalidRecord},
		{"an old format", old, kerr.InvalidRecord},
	} {
		if p := produced(t, c, "small", 9, one.records); p.ErrorCode != one.want.Code || p.BaseOffset != -1 || p.ErrorMessage == nil {
			t.Errorf("%s: %+v, want %v", one.what, p, one.want)
		}
	}
	if p := produced(t, c, "small", 6, batchWith(nowMillis(), codecZstd, rec{"a", 10, 0})); p.ErrorCode != kerr.UnsupportedCompressionType.Code {
		t.Errorf("zstd in version 6: %+v", p)
	}
	if p := produced(t, c, "small", 9, batch); p.ErrorCode != 0 || p.BaseOffset != 0 {
		t.Errorf("%+v", p)
	}
}

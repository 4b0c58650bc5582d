package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The versions that are sent: the newest that name topics by name, which every
// broker since Apache Kafka 2.7 serves.
const (
	metadataVersion    = 9
	produceVersion     = 9
	fetchVersion       = 12
	listOffsetsVersion = 2
)

// correlationAt is where a correlation id lies in a request and in a response,
// the size included.
const (
	requestCorrelationAt  = 8
	responseCorrelationAt = 4
)

// probeTimeout bounds each exchange before the load starts.
const probeTimeout = 10 * time.Second

var clientID = kmsg.FormatterClientID("kring-bench")

// probe is one blocking connection that learns what the responses look like.
type probe struct {
	conn net.Conn
	next int32
}

// kafkaTemplate asks the server once, checks the answer with a decoder, and
// takes the answer's shape as what all others must look like.
func kafkaTemplate(c *Config) (*template, error) {
	conn, err := c.dialTLS(&net.Dialer{Timeout: probeTimeout}, c.Address)
	if err != nil {
		return nil, fmt.Errorf("load: %w: is the server running there?", err)
	}
	defer conn.Close()
	p := &probe{conn: conn}
	if c.Kind != ApiVersions0 && c.Kind != ApiVersions3 {
		if err := p.ensureTopic(c.Topic); err != nil {
			return nil, err
		}
	}
	switch c.Kind {
	case Fetch:
		first, err := p.fill(c)
		if err != nil {
			return nil, err
		}
		return p.learn(fetchRequest(c.Topic, first))
	case ProduceNone:
		return p.fenced(c)
	default:
		return p.learn(requestOf(c))
	}
}

// fill puts a batch into the topic and finds the first offset that is kept. A
// broker that throws data away keeps none, and answers from there with nothing.
func (p *probe) fill(c *Config) (int64, error) {
	if _, _, err := p.ask(produceRequest(c, 1)); err != nil {
		return 0, fmt.Errorf("load: filling the topic to fetch from: %w", err)
	}
	resp, _, err := p.ask(firstOffsetRequest(c.Topic))
	if err != nil {
		return 0, err
	}
	if r := resp.(*kmsg.ListOffsetsResponse); len(r.Topics) == 1 && len(r.Topics[0].Partitions) == 1 {
		return r.Topics[0].Partitions[0].Offset, nil
	}
	return 0, errors.New("load: ListOffsets: the answer names no partition")
}

// requestOf makes the request that a kind stands for.
func requestOf(c *Config) kmsg.Request {
	switch c.Kind {
	case ApiVersions0, ApiVersions3:
		r := kmsg.NewPtrApiVersionsRequest()
		r.ClientSoftwareName, r.ClientSoftwareVersion = "kring-bench", "1"
		if c.Kind == ApiVersions3 {
			r.Version = 3
		}
		return r
	case Metadata:
		return metadataRequest(c.Topic)
	case ListOffsets:
		return firstOffsetRequest(c.Topic)
	case ProduceAll:
		return produceRequest(c, -1)
	default:
		return produceRequest(c, 1)
	}
}

// learn sends r once and builds the template from both sides of the exchange.
func (p *probe) learn(r kmsg.Request) (*template, error) {
	resp, raw, err := p.ask(r)
	if err != nil {
		return nil, err
	}
	t := &template{requests: 1, tagBytes: 4, tagAt: []int{requestCorrelationAt}, errorAt: -1}
	t.frame = kmsg.NewRequestFormatter(clientID).AppendRequest(nil, r, 0)
	t.replyBytes, t.replySize = len(raw), uint32(len(raw)-4)
	t.replyTagAt = []int{responseCorrelationAt}
	t.errorAt = errorOffset(resp, raw)
	return t, nil
}

// fenced is a group of Produce requests without an answer, and one ApiVersions
// request whose answer stands for all of them.
func (p *probe) fenced(c *Config) (*template, error) {
	fence := *c
	fence.Kind = ApiVersions0
	t, err := p.learn(requestOf(&fence))
	if err != nil {
		return nil, err
	}
	produce := kmsg.NewRequestFormatter(clientID).AppendRequest(nil, produceRequest(c, 0), 0)
	var frame []byte
	var tagAt []int
	for range FenceRequests {
		tagAt = append(tagAt, len(frame)+requestCorrelationAt)
		frame = append(frame, produce...)
	}
	t.tagAt = append(tagAt, len(frame)+requestCorrelationAt)
	t.frame = append(frame, t.frame...)
	t.requests = FenceRequests + 1
	return t, nil
}

// ensureTopic asks for the topic until the broker has it.
func (p *probe) ensureTopic(topic string) error {
	deadline := time.Now().Add(probeTimeout)
	for {
		resp, _, err := p.ask(metadataRequest(topic))
		if err == nil {
			m := resp.(*kmsg.MetadataResponse)
			if len(m.Topics) == 1 && len(m.Topics[0].Partitions) > 0 {
				return nil
			}
			err = errNoPartitions
		}
		// A topic that is being made answers with a code; anything else is final.
		var code errorCode
		final := !errors.As(err, &code) && !errors.Is(err, errNoPartitions)
		if final || time.Now().After(deadline) {
			return fmt.Errorf("load: topic %q: %w", topic, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

var errNoPartitions = errors.New("its metadata has no partitions")

// errorCode is a Kafka error inside a response.
type errorCode int16

func (e errorCode) Error() string {
	return fmt.Sprintf("the broker answered with error code %d", int16(e))
}

// ask sends r and returns the decoded response and its bytes with their size.
func (p *probe) ask(r kmsg.Request) (kmsg.Response, []byte, error) {
	p.next++
	if err := p.conn.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		return nil, nil, err
	}
	name := kmsg.NameForKey(r.Key())
	if _, err := p.conn.Write(kmsg.NewRequestFormatter(clientID).AppendRequest(nil, r, p.next)); err != nil {
		return nil, nil, fmt.Errorf("load: sending %s v%d: %w", name, r.GetVersion(), err)
	}
	raw, err := readFrame(p.conn)
	if err != nil {
		return nil, nil, fmt.Errorf("load: no answer to %s v%d: %w: does the server speak Kafka?", name, r.GetVersion(), err)
	}
	if len(raw) < 8 || int32(binary.BigEndian.Uint32(raw[4:])) != p.next {
		return nil, nil, fmt.Errorf("load: the answer to %s v%d is not one: wrong correlation id", name, r.GetVersion())
	}
	resp := r.ResponseKind()
	if err := resp.ReadFrom(raw[responseBodyAt(resp):]); err != nil {
		return nil, nil, fmt.Errorf("load: decoding the answer to %s v%d: %w", name, r.GetVersion(), err)
	}
	if code := firstError(resp); *code != 0 {
		return resp, raw, fmt.Errorf("load: %s v%d: %w", name, r.GetVersion(), errorCode(*code))
	}
	return resp, raw, nil
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > payloadBytesMax {
		return nil, fmt.Errorf("a response of %d bytes", n)
	}
	frame := append(size[:], make([]byte, n)...)
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

// responseBodyAt skips the size, the correlation id, and the empty tags of a
// flexible response; ApiVersions never has those.
func responseBodyAt(r kmsg.Response) int {
	if r.IsFlexible() && r.Key() != 18 {
		return 9
	}
	return 8
}

// firstError points to the error code that matters in a response.
func firstError(r kmsg.Response) *int16 {
	switch r := r.(type) {
	case *kmsg.ApiVersionsResponse:
		return &r.ErrorCode
	case *kmsg.MetadataResponse:
		if len(r.Topics) > 0 {
			return &r.Topics[0].ErrorCode
		}
	case *kmsg.ProduceResponse:
		if len(r.Topics) > 0 && len(r.Topics[0].Partitions) > 0 {
			return &r.Topics[0].Partitions[0].ErrorCode
		}
	case *kmsg.ListOffsetsResponse:
		if len(r.Topics) > 0 && len(r.Topics[0].Partitions) > 0 {
			return &r.Topics[0].Partitions[0].ErrorCode
		}
	case *kmsg.FetchResponse:
		if len(r.Topics) > 0 && len(r.Topics[0].Partitions) > 0 {
			return &r.Topics[0].Partitions[0].ErrorCode
		}
		return &r.ErrorCode
	}
	return new(int16)
}

// errorOffset finds where in raw the error code lies: the only two bytes that
// change when the decoded response is encoded with another code. -1 when the
// encoder does not reproduce raw.
func errorOffset(resp kmsg.Response, raw []byte) int {
	body := responseBodyAt(resp)
	was := resp.AppendTo(nil)
	if string(was) != string(raw[body:]) {
		return -1
	}
	code := firstError(resp)
	*code = 0x0101
	now := resp.AppendTo(nil)
	*code = 0
	for i := range was {
		if len(now) == len(was) && was[i] != now[i] {
			return body + i
		}
	}
	return -1
}

func metadataRequest(topic string) kmsg.Request {
	r := kmsg.NewPtrMetadataRequest()
	r.Version, r.AllowAutoTopicCreation = metadataVersion, true
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	r.Topics = append(r.Topics, t)
	return r
}

// firstOffsetRequest asks for the first offset that is kept.
func firstOffsetRequest(topic string) kmsg.Request {
	r := kmsg.NewPtrListOffsetsRequest()
	r.Version, r.ReplicaID = listOffsetsVersion, -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Timestamp = -2 // the earliest
	t.Partitions = append(t.Partitions, part)
	r.Topics = append(r.Topics, t)
	return r
}

// fetchRequest asks for one byte from the first offset: a broker then returns
// the first batch whole, always the same one.
func fetchRequest(topic string, first int64) kmsg.Request {
	r := kmsg.NewPtrFetchRequest()
	r.Version, r.MaxWaitMillis, r.MinBytes, r.MaxBytes = fetchVersion, 0, 0, 1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	part := kmsg.NewFetchRequestTopicPartition()
	part.FetchOffset, part.PartitionMaxBytes = first, 1
	t.Partitions = append(t.Partitions, part)
	r.Topics = append(r.Topics, t)
	return r
}

func produceRequest(c *Config, acks int16) kmsg.Request {
	r := kmsg.NewPtrProduceRequest()
	r.Version, r.Acks, r.TimeoutMillis = produceVersion, acks, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = c.Topic
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = recordBatch(c.payload())
	t.Partitions = append(t.Partitions, part)
	r.Topics = append(r.Topics, t)
	return r
}

// recordBatch is a batch of one record with a value of n bytes.
func recordBatch(n int) []byte {
	value := make([]byte, n)
	for i := range value {
		value[i] = byte(i*131 + i>>8)
	}
	record := kmsg.Record{Value: value}
	body := record.AppendTo(nil)[1:] // without its length, a varint of one byte while it is zero
	record.Length = int32(len(body))
	now := time.Now().UnixMilli() // retention deletes what is too old
	batch := kmsg.RecordBatch{
		Magic: 2, PartitionLeaderEpoch: -1, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		FirstTimestamp: now, MaxTimestamp: now, NumRecords: 1, Records: record.AppendTo(nil),
	}
	raw := batch.AppendTo(nil)
	const lengthAt, crcAt, attributesAt = 8, 17, 21
	binary.BigEndian.PutUint32(raw[lengthAt:], uint32(len(raw)-lengthAt-4))
	crc := crc32.Checksum(raw[attributesAt:], crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(raw[crcAt:], crc)
	return raw
}

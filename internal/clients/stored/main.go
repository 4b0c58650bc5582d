// Command stored says how the record batches of a server's topics are compressed.
//
// usage: stored [-topics PATTERN] SERVER=ADDRESS...
//
// Job. What a consumer gets back does not show whether a producer compressed: a
// client that takes a server for one that can't read a compression sends
// everything plain, and nothing fails. So look at the stored batches themselves.
// A topic whose name ends in "codec-NAME" holds only batches of that compression.
//
// Flow. Metadata names the topics; Fetch gives, from its leader, each partition's batches as they
// are stored; the lowest three bits of a batch's attributes are the compression.
// One line for each topic, as scripts/versions.sh reads it: "result", client,
// version, server, "stored-NAME", "ok" or "FAIL why", with tabs between. Client
// and version come from the topic's name, "CLIENT..VERSION..codec-NAME".
//
// Ownership. One connection at a time, closed before the next server is asked.
//
// Never. No record is decompressed, and no judgement on what the records say.
//
// Kernel. Nothing of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// patience is how long one server has for all of its topics.
const patience = 2 * time.Minute

// codecs are the compressions by their number in a batch's attributes.
var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

func main() {
	pattern := flag.String("topics", `^(.+)\.\.(.+)\.\.codec-(.+)$`, "the `PATTERN` of topics, with client, version and compression as groups")
	flag.Parse()
	topics, err := regexp.Compile(*pattern)
	if err != nil || topics.NumSubexp() != 3 || flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: stored [-topics PATTERN] SERVER=ADDRESS...   (the pattern has three groups)", err)
		os.Exit(2)
	}
	status := 0
	for _, arg := range flag.Args() {
		server, addr, _ := strings.Cut(arg, "=")
		good, err := look(server, addr, topics)
		if err != nil {
			fmt.Fprintf(os.Stderr, "stored: %s: %v\n", arg, err)
		}
		if err != nil || !good {
			status = 1
		}
	}
	os.Exit(status)
}

// look prints a line for each topic that the pattern names; good says that none
// failed.
func look(server, addr string, topics *regexp.Regexp) (good bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ClientID("kring-stored"))
	if err != nil {
		return false, err
	}
	defer cl.Close()
	meta, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, cl)
	if err != nil {
		return false, err
	}
	good = true
	for _, t := range meta.Topics {
		name := ""
		if t.Topic != nil {
			name = *t.Topic
		}
		parts := topics.FindStringSubmatch(name)
		if parts == nil {
			continue
		}
		how := "ok"
		if err := holdsOnly(ctx, cl, t, parts[3]); err != nil {
			how, good = "FAIL "+err.Error(), false
		}
		fmt.Println(strings.Join([]string{"result", parts[1], parts[2], server, "stored-" + parts[3], how}, "\t"))
	}
	return good, nil
}

// plainTiny counts batches without compression whose records take less than tinyBytes:
// where compression makes a batch no smaller, librdkafka sends it as it is. On a busy
// machine a short line may be a batch of its own. 128 bytes of the clients' lines shrink
// with every codec.
const (
	plainTiny = "none, and too short to shrink"
	tinyBytes = 128
)

// holdsOnly says what a topic holds besides batches of one compression.
func holdsOnly(ctx context.Context, cl *kgo.Client, t kmsg.MetadataResponseTopic, want string) error {
	found, all := map[string]int{}, 0
	for _, p := range t.Partitions {
		if err := count(ctx, cl.Broker(int(p.Leader)), t, p.Partition, found); err != nil {
			return fmt.Errorf("partition %d: %w", p.Partition, err)
		}
	}
	for _, n := range found {
		all += n
	}
	if want == codecs[0] || found[want] > 0 {
		found[want] += found[plainTiny]
		delete(found, plainTiny)
	}
	if all == 0 {
		return fmt.Errorf("no batch is stored in %s", *t.Topic)
	}
	if found[want] != all {
		return fmt.Errorf("%d of %d stored batches are compressed by %s: %v", found[want], all, want, found)
	}
	return nil
}

// count reads one partition to its end and counts its batches by compression.
func count(ctx context.Context, leader *kgo.Broker, t kmsg.MetadataResponseTopic, partition int32, found map[string]int) error {
	for offset := int64(0); ; {
		p, err := fetch(ctx, leader, t, partition, offset)
		if err != nil {
			return err
		}
		before := offset
		for rest := p.RecordBatches; len(rest) > 12; {
			var b kmsg.RecordBatch
			if err := b.ReadFrom(rest); err != nil {
				break // the last batch of an answer may be cut
			}
			switch codec := int(b.Attributes & 7); {
			case codec == 0 && len(b.Records) < tinyBytes:
				found[plainTiny]++
			case codec < len(codecs):
				found[codecs[codec]]++
			default:
				found[fmt.Sprintf("number %d", codec)]++
			}
			offset = b.FirstOffset + int64(b.LastOffsetDelta) + 1
			rest = rest[min(len(rest), 12+int(b.Length)):]
		}
		if offset == before {
			if offset < p.HighWatermark {
				return fmt.Errorf("nothing at offset %d, and the high watermark is %d", offset, p.HighWatermark)
			}
			return nil
		}
	}
}

func fetch(ctx context.Context, leader *kgo.Broker, t kmsg.MetadataResponseTopic, partition int32, offset int64) (p kmsg.FetchResponseTopicPartition, err error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.MaxWaitMillis = 16<<20, 100
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = *t.Topic, t.TopicID
	ask := kmsg.NewFetchRequestTopicPartition()
	ask.Partition, ask.FetchOffset, ask.PartitionMaxBytes = partition, offset, 16<<20
	topic.Partitions = append(topic.Partitions, ask)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, leader)
	if err != nil {
		return p, err
	}
	i := slices.IndexFunc(resp.Topics, func(got kmsg.FetchResponseTopic) bool {
		return got.Topic == *t.Topic || got.TopicID == t.TopicID
	})
	if i < 0 || len(resp.Topics[i].Partitions) != 1 {
		return p, fmt.Errorf("the answer lacks the partition: %w", errorOf(resp.ErrorCode))
	}
	p = resp.Topics[i].Partitions[0]
	return p, kerr.ErrorForCode(p.ErrorCode)
}

// errorOf is an error also for code 0: that an answer lacks something is one.
func errorOf(code int16) error {
	if err := kerr.ErrorForCode(code); err != nil {
		return err
	}
	return fmt.Errorf("error code 0")
}

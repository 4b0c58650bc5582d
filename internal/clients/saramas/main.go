// Command saramas uses IBM's client as a program would, with the protocol version that
// its user chose.
//
// usage: saramas VERSION SERVER ADDRESS
//
// Job. sarama picks the version of each request by Config.Version, and its users
// set that once and leave it for years: so old requests come from a new library.
// Each part of a run is reported as scripts/versions.sh reads it.
//
// Flow. Topics are made and changed, every compression is written and read back,
// a group goes on where it stopped, transactions commit and abort, and an older
// producer of the same transactional id is fenced.
//
// Ownership. Each part opens and closes its own clients.
//
// Never. No server is started here, and nothing is retried that sarama does not
// retry itself.
//
// Kernel. Nothing of its own.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// patience is how long a part waits for records.
const patience = time.Minute

// run is one version against one server.
type run struct {
	name, version, server, addr string
	protocol                    sarama.KafkaVersion
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: saramas VERSION SERVER ADDRESS")
		os.Exit(2)
	}
	protocol, err := sarama.ParseKafkaVersion(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	r := run{name: "sarama", version: os.Args[1], server: os.Args[2], addr: os.Args[3], protocol: protocol}
	r.part("admin", r.admin)
	r.part("codecs", r.codecs)
	r.part("group", r.group)
	r.part("transactions", r.transactions)
	r.part("fencing", r.fencing)
	r.line("done", "ok")
}

func (r run) part(name string, body func() error) {
	how := "ok"
	if err := body(); err != nil {
		how = "FAIL " + strings.Join(strings.Fields(err.Error()), " ")
	}
	r.line(name, how)
}

func (r run) line(part, how string) {
	fmt.Println(strings.Join([]string{"result", r.name, r.version, r.server, part, how}, "\t"))
}

// topic is a topic's name, which no other version uses.
func (r run) topic(name string) string { return r.name + ".." + r.version + ".." + name }

func (r run) config() *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = r.protocol
	cfg.ClientID = "kring-sarama-" + r.version
	cfg.Metadata.RefreshFrequency = time.Second
	cfg.Consumer.Return.Errors = true
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.Offsets.AutoCommit.Enable = false
	cfg.Producer.Return.Successes = true
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Flush.Frequency = 20 * time.Millisecond
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	return cfg
}

func (r run) admining(body func(sarama.ClusterAdmin) error) error {
	admin, err := sarama.NewClusterAdmin([]string{r.addr}, r.config())
	if err != nil {
		return err
	}
	return errors.Join(body(admin), admin.Close())
}

func (r run) create(topic string, partitions int32) error {
	return r.admining(func(admin sarama.ClusterAdmin) error {
		err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false)
		return errors.Join(err, r.listed(admin, topic, true))
	})
}

// listed waits until a topic is listed or not: some answers are right only after
// a moment.
func (r run) listed(admin sarama.ClusterAdmin, topic string, want bool) error {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		topics, err := admin.ListTopics()
		if err != nil {
			return err
		}
		if _, there := topics[topic]; there == want {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("topic %s is listed: %v, want %v", topic, !want, want)
		}
	}
}

func (r run) admin() error {
	topic := r.topic("admin")
	if err := r.create(topic, 2); err != nil {
		return err
	}
	return r.admining(func(admin sarama.ClusterAdmin) error {
		described, err := admin.DescribeConfigs([]*sarama.ConfigResource{{Type: sarama.TopicResource, Name: topic}}, sarama.DescribeConfigsOptions{})
		if err != nil || len(described) != 1 {
			return fmt.Errorf("describing the settings of one topic: %d answers, %w", len(described), err)
		}
		entries := described[0].Configs
		if !slices.ContainsFunc(entries, func(e sarama.ConfigEntry) bool { return e.Name == "retention.ms" }) {
			return fmt.Errorf("no retention.ms among %d settings", len(entries))
		}
		if r.protocol.IsAtLeast(sarama.V1_0_0_0) {
			if err := admin.CreatePartitions(topic, 4, nil, false); err != nil {
				return fmt.Errorf("more partitions: %w", err)
			}
		}
		brokers, _, err := admin.DescribeCluster()
		if err != nil || len(brokers) != 1 {
			return fmt.Errorf("%d brokers: %w", len(brokers), err)
		}
		err = admin.DeleteTopic(topic)
		return errors.Join(err, r.listed(admin, topic, false))
	})
}

// key and value are the i-th record's; the value is worth compressing.
func key(i int) string   { return fmt.Sprintf("key-%d", i) }
func value(i int) string { return fmt.Sprintf("%d %s", i, strings.Repeat("kring ", 10+i%50)) }

// send sends the records [from, to) and waits until each is acknowledged.
func send(p sarama.SyncProducer, topic string, partitions, from, to int) error {
	var all []*sarama.ProducerMessage
	for i := from; i < to; i++ {
		all = append(all, &sarama.ProducerMessage{
			Topic: topic, Partition: int32(i % partitions), Key: sarama.StringEncoder(key(i)), Value: sarama.StringEncoder(value(i)),
			Headers: []sarama.RecordHeader{{Key: []byte("n"), Value: fmt.Append(nil, i)}},
		})
	}
	err := p.SendMessages(all)
	var each sarama.ProducerErrors
	if errors.As(err, &each) {
		return each[0].Err
	}
	return err
}

// text is a record with everything in it that must come back.
func text(m *sarama.ConsumerMessage) string {
	s := string(m.Key) + "|" + string(m.Value)
	for _, h := range m.Headers {
		s += "|" + string(h.Key) + "=" + string(h.Value)
	}
	return s
}

// same compares what was read with the records of the ranges, in any order.
func same(got []string, ranges ...[2]int) error {
	var want []string
	for _, r := range ranges {
		for i := r[0]; i < r[1]; i++ {
			want = append(want, fmt.Sprintf("%s|%s|n=%d", key(i), value(i), i))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		return fmt.Errorf("%d records came, want %d, or they differ", len(got), len(want))
	}
	return nil
}

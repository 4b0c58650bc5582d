// Command load keeps a server busy and detects every wrong byte.
//
// Job. Hold many idle and many busy connections for some time, and report what was done.
// Any error or changed byte makes it exit with 1. scripts/soak.sh and scripts/strace.sh
// use it.
//
// Flow. Each busy client has a topic of its own, to which it appends a few
// records, reads them back, checks them, and now and then deletes what it has
// read, and at the end the topic, so that the server's memory stays flat. Each
// idle client asks one question at the start and one at the end.
//
// Ownership. A client belongs to its goroutine; the counts are atomic.
//
// Never. It does not measure speed (bench does), and does not retry what
// failed.
//
// Kernel. Nothing of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kring/internal/clients/corpus"
	"kring/internal/clients/raw"
)

const (
	recordsPerRound = 20
	roundsPerTrim   = 25
	// patience bounds any single exchange; a server under the race detector
	// and a tracer is slow.
	patience = time.Minute
)

type load struct {
	bootstrap string
	busy      int
	idle      int
	until     time.Time
	content   corpus.Corpus
	topics    string

	requests atomic.Int64
	records  atomic.Int64
}

func main() {
	l := load{}
	flag.StringVar(&l.bootstrap, "bootstrap", "127.0.0.1:9092", "`HOST:PORT` of the server")
	flag.IntVar(&l.busy, "busy", 64, "clients that produce and consume")
	flag.IntVar(&l.idle, "idle", 256, "connections that do nothing")
	flag.IntVar(&l.content.BytesMax, "bytes", 16<<10, "largest record")
	flag.StringVar(&l.topics, "topics", "load", "`PREFIX` of the topics, another one for each run against the same server")
	seconds := flag.Float64("seconds", 60, "how long")
	flag.Parse()
	l.until = time.Now().Add(time.Duration(*seconds * float64(time.Second)))
	if err := l.run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	fmt.Printf("load: busy=%d idle=%d requests=%d records=%d\n", l.busy, l.idle, l.requests.Load(), l.records.Load())
}

// run lets every client run and joins what went wrong.
func (l *load) run() error {
	faults := make([]error, l.busy+l.idle)
	var running sync.WaitGroup
	for i := range faults {
		running.Go(func() {
			if i < l.busy {
				faults[i] = l.work(i)
			} else {
				faults[i] = l.rest()
			}
		})
	}
	running.Wait()
	return errors.Join(faults...)
}

// rest holds a connection that is idle until the end.
func (l *load) rest() error {
	conn, err := net.Dial("tcp", l.bootstrap)
	if err != nil {
		return fmt.Errorf("an idle connection: %w", err)
	}
	defer conn.Close()
	if err := raw.Ask(conn, 1); err != nil {
		return fmt.Errorf("an idle connection, at the start: %w", err)
	}
	time.Sleep(time.Until(l.until))
	if err := raw.Ask(conn, 2); err != nil {
		return fmt.Errorf("an idle connection, at the end: %w", err)
	}
	l.requests.Add(2)
	return nil
}

// client is one busy client and where it is in its topic.
type client struct {
	*load
	kgo   *kgo.Client
	topic string
	next  int
	// delivered has the order of what was read: one partition, one producer.
	delivered int
}

// OnBrokerWrite counts requests; it makes a load a hook of kgo's.
func (l *load) OnBrokerWrite(kgo.BrokerMetadata, int16, int, time.Duration, time.Duration, error) {
	l.requests.Add(1)
}

func (l *load) work(i int) error {
	c := &client{load: l, topic: fmt.Sprintf("%s-%d", l.topics, i)}
	var err error
	c.kgo, err = kgo.NewClient(
		kgo.SeedBrokers(l.bootstrap),
		kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.DefaultProduceTopic(c.topic),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.topic: {0: kgo.NewOffset().AtStart()}}),
		kgo.FetchMaxWait(250*time.Millisecond),
		kgo.WithHooks(l),
	)
	if err != nil {
		return err
	}
	defer c.kgo.Close()
	for round := 1; round == 1 || time.Now().Before(l.until); round++ {
		if err := c.round(round%roundsPerTrim == 0); err != nil {
			return fmt.Errorf("%s, round %d: %w", c.topic, round, err)
		}
	}
	return c.clear()
}

// clear deletes the topic: the server keeps nothing of this client.
func (c *client) clear() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := kadm.NewClient(c.kgo).DeleteTopic(ctx, c.topic)
	if err == nil {
		err = answer.Err
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", c.topic, err)
	}
	return nil
}

// round writes a few records and reads them back.
func (c *client) round(trim bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var records []*kgo.Record
	for range recordsPerRound {
		records = append(records, &kgo.Record{Key: c.content.Key(c.next), Value: c.content.Value(c.next)})
		c.next++
	}
	if err := c.kgo.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("producing: %w", err)
	}
	for c.delivered < c.next {
		if err := c.take(ctx); err != nil {
			return err
		}
	}
	c.records.Add(recordsPerRound)
	if !trim {
		return nil
	}
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: c.topic, Partition: 0, At: int64(c.delivered)})
	answers, err := kadm.NewClient(c.kgo).DeleteRecords(ctx, offsets)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return fmt.Errorf("deleting what was read: %w", err)
	}
	return nil
}

// take reads what is there and checks every byte of it.
func (c *client) take(ctx context.Context) error {
	fetches := c.kgo.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		return fmt.Errorf("consuming: %w", err)
	}
	for records := fetches.RecordIter(); !records.Done(); {
		r := records.Next()
		i, err := c.content.Check(r.Key, r.Value)
		if err != nil {
			return err
		}
		if i != c.delivered {
			return fmt.Errorf("record %d came where record %d was due", i, c.delivered)
		}
		c.delivered++
	}
	return nil
}

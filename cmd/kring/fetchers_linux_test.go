package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	fetchedTopic = "fetched"
	// residentMax is what docs/deploy.md says that a cgroup should have at least.
	residentMax = (1 + detectorShare) * 512 << 20
	// residentKept is what may stay of it when the clients have gone, beside what was
	// there before: what is kept for reuse.
	residentKept = 48 << 20
)

// resident is how much memory the child has, in bytes, now or at most so far.
func (c *child) resident(field string) int64 {
	c.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	for in := bufio.NewScanner(bytes.NewReader(status)); in.Scan(); {
		name, value, _ := bytes.Cut(in.Bytes(), []byte(":"))
		if string(name) == field {
			kib, err := strconv.ParseInt(string(bytes.Fields(value)[0]), 10, 64)
			if err != nil {
				c.t.Fatal(err)
			}
			return kib << 10
		}
	}
	c.t.Fatalf("no %s in %s", field, status)
	return 0
}

// fetchAll is a frame that asks for all of the topic.
func fetchAll() []byte {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.MinBytes, req.MaxWaitMillis = 11, 100<<20, 1, 500
	topic, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes, p.CurrentLeaderEpoch = 100<<20, -1
	topic.Topic, topic.Partitions = fetchedTopic, append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	return kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
}

// unreadFetches has n clients that each ask for the whole topic, and read nothing, or
// one answer and nothing of the second.
func unreadFetches(t *testing.T, addr string, n int, one bool) (conns []net.Conn) {
	t.Helper()
	frame := fetchAll()
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := conn.Write(frame); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		if !one {
			continue
		}
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(size[:]))); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	return conns
}

// Clients that ask for all of a topic and read nothing take memory for responses up to
// its bound, in turn; who asks for metadata, produces and fetches beside them is served;
// and the memory is there again, for the system, when they are gone.
func TestUnreadFetchesLeaveMemoryAndServiceToOthers(t *testing.T) {
	for _, engine := range enginesHere() {
		t.Run(engine, func(t *testing.T) {
			c := serve(t, "--engine", engine, "--seed-topic", fetchedTopic+":1", "--seed-topic", "quiet:1")
			ctx, cancel := context.WithTimeout(context.Background(), deadline)
			defer cancel()
			cl, err := kgo.NewClient(kgo.SeedBrokers(c.addr),
				kgo.ConsumeTopics("quiet"), kgo.ProducerBatchCompression(kgo.NoCompression()))
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			value := make([]byte, 64<<10)
			for range 32 << 20 / len(value) {
				cl.Produce(ctx, &kgo.Record{Topic: fetchedTopic, Value: value}, nil)
			}
			if err := cl.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			before := c.resident("VmRSS")
			for _, of := range []struct {
				clients int
				one     bool
			}{{12, false}, {60, false}, {60, true}, {200, true}} {
				if detectorShare > 0 { // which looks at each byte that they don't read; fifteen ask for more than there is room for
					of.clients = max(of.clients/4, 12)
				}
				conns := unreadFetches(t, c.addr, of.clients, of.one)
				longest := goodClient(t, cl, 50)
				peak := c.resident("VmHWM")
				t.Logf("%+v unread: %d MiB at most, the longest of 50 rounds of a good client %v", of, peak>>20, longest)
				if peak > residentMax {
					t.Errorf("%+v unread take %d MiB", of, peak>>20)
				}
				for _, conn := range conns {
					_ = conn.Close()
				}
			}
			for end := time.Now().Add(deadline); c.resident("VmRSS") > before+residentKept; goodClient(t, cl, 1) {
				if time.Now().After(end) {
					t.Fatalf("%d MiB stay, of %d before", c.resident("VmRSS")>>20, before>>20)
				}
			}
			t.Logf("%d MiB stay, of %d before", c.resident("VmRSS")>>20, before>>20)
		})
	}
}

// goodClient asks for metadata, produces a record and fetches it, so many times, and
// says how long that took at most. All of it has a deadline of its own.
func goodClient(t *testing.T, cl *kgo.Client, rounds int) (longest time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	for i := range rounds {
		began := time.Now()
		req := kmsg.NewPtrMetadataRequest()
		if _, err := req.RequestWith(ctx, cl); err != nil {
			t.Fatal(err)
		}
		want := strconv.Itoa(i)
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "quiet", Value: []byte(want)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		for fetched := false; !fetched; {
			fetches := cl.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) { fetched = fetched || string(r.Value) == want })
		}
		longest = max(longest, time.Since(began))
	}
	return longest
}

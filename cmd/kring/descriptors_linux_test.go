package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// plannedFor waits for the log line of the plan and gives its numbers.
func (c *child) plannedFor() (conns, files, partitions int) {
	c.t.Helper()
	form := regexp.MustCompile(`msg=descriptors limit=\d+ own=\d+ reserve=\d+ connections=(\d+) files=(\d+) partitions=(\d+)`)
	c.logged(form.String())
	m := form.FindStringSubmatch(c.stderr.String())
	conns, _ = strconv.Atoi(m[1])
	files, _ = strconv.Atoi(m[2])
	partitions, _ = strconv.Atoi(m[3])
	return conns, files, partitions
}

// TestFilesAndSocketsComeOutOfOneLimit: with few descriptors, a topic that they are
// not enough for is refused in so many words; all partitions that there may be are
// written while all connections that there may be are served, and nobody is reset.
func TestFilesAndSocketsComeOutOfOneLimit(t *testing.T) {
	for _, engine := range enginesHere() {
		t.Run(engine, func(t *testing.T) {
			c := startCaged(t, "nofile=300", "serve", "--listen", "127.0.0.1:0", "--engine", engine, "--data-dir", t.TempDir())
			m := readyForm.FindStringSubmatch(<-c.lines())
			if m == nil {
				t.Fatalf("no ready line; standard error:\n%s", c.stderr.String())
			}
			conns, files, partitions := c.plannedFor()
			if conns+files > 280 || conns < 80 || partitions < 20 {
				t.Errorf("of 300 descriptors: %d connections, %d files, %d partitions", conns, files, partitions)
			}
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			cl := manyPartitions(t, ctx, m[1], partitions)
			had := idle(t, m[1], conns-10) // the client has some
			writeAll(t, ctx, cl, partitions)
			for i, conn := range had {
				if !answered(conn) {
					t.Fatalf("connection %d of %d was reset", i, len(had))
				}
			}
			c.signal(syscall.SIGTERM)
			if status := c.exit(); status != exitOK {
				t.Errorf("exit status %d, want 0", status)
			}
			if log := c.stderr.String(); strings.Contains(log, "too many open files") || strings.Contains(log, "level=ERROR") {
				t.Errorf("standard error:\n%s", log)
			}
		})
	}
}

// manyPartitions has 600 refused, and as many as there may be created.
func manyPartitions(t *testing.T, ctx context.Context, addr string, partitions int) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("many"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	admin := kadm.NewClient(cl)
	resp, err := admin.CreateTopic(ctx, 600, 1, nil, "many")
	if !errors.Is(err, kerr.PolicyViolation) || !strings.Contains(resp.ErrMessage, strconv.Itoa(partitions)) {
		t.Fatalf("600 partitions: %v, %q; want them refused, naming %d", err, resp.ErrMessage, partitions)
	}
	if _, err := admin.CreateTopic(ctx, int32(partitions), 1, nil, "many"); err != nil {
		t.Fatalf("%d partitions: %v", partitions, err)
	}
	return cl
}

// idle opens connections that are served once.
func idle(t *testing.T, addr string, n int) (conns []net.Conn) {
	t.Helper()
	for range n {
		conn := dial(t, addr)
		ask(t, conn, kmsg.NewPtrApiVersionsRequest())
		conns = append(conns, conn)
	}
	return conns
}

func writeAll(t *testing.T, ctx context.Context, cl *kgo.Client, partitions int) {
	t.Helper()
	var records []*kgo.Record
	for p := range partitions {
		records = append(records, &kgo.Record{Partition: int32(p), Value: fmt.Appendf(nil, "in %d", p)})
	}
	for _, r := range cl.ProduceSync(ctx, records...) {
		if r.Err != nil {
			t.Fatalf("partition %d: %v", r.Record.Partition, r.Err)
		}
	}
}

// TestAServerThatCouldServeNobodyDoesNotSayThatItIsReady: with each number of
// descriptors it serves a client, or it fails at the start with the numbers and the
// remedy. Never is it ready and resets everybody.
func TestAServerThatCouldServeNobodyDoesNotSayThatItIsReady(t *testing.T) {
	for _, handler := range []string{"null", "embedded"} {
		for _, engine := range append(enginesHere(), "auto") {
			served := 0
			for nofile := 12; nofile <= 36 && served < 2; nofile++ {
				c := startCaged(t, "nofile="+strconv.Itoa(nofile), "serve", "--listen", "127.0.0.1:0", "--engine", engine, "--handler", handler, "--processors", "1")
				m := readyForm.FindStringSubmatch(<-c.lines())
				if m == nil {
					if status := c.exit(); status != exitFailure {
						t.Errorf("%s with %d descriptors: exit status %d, want 1; standard error:\n%s", engine, nofile, status, c.stderr.String())
					}
					c.logged(`too many open files`)
					c.logged(`ulimit -n|raise the limit`)
					continue
				}
				served++
				if conn := dial(t, m[1]); !answered(conn) {
					t.Errorf("%s with %d descriptors: ready, and a client is reset; standard error:\n%s", engine, nofile, c.stderr.String())
				}
				c.signal(syscall.SIGTERM)
				if status := c.exit(); status != exitOK {
					t.Errorf("%s with %d descriptors: exit status %d, want 0", engine, nofile, status)
				}
			}
			if served == 0 {
				t.Errorf("%s: it serves with none of these limits", engine)
			}
		}
	}
}

// TestTheSoftLimitOfDescriptorsIsRaisedToTheHardOne, which Go does by itself.
func TestTheSoftLimitOfDescriptorsIsRaisedToTheHardOne(t *testing.T) {
	r := examineCaged(t, "nofile=64:2000")
	// Go leaves one, to tell a limit that it raised itself from another.
	if n := r.Descriptors.Limit; r.Limits.NofileSoft == nil || *r.Limits.NofileSoft != int64(n) || n < 1999 {
		t.Errorf("the limit in force is %d, want the hard one, 2000", n)
	}
}

// TestAskingForMoreConnectionsThanDescriptorsIsWarnedOf.
func TestAskingForMoreConnectionsThanDescriptorsIsWarnedOf(t *testing.T) {
	c := startCaged(t, "nofile=300", "serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--max-connections", "5000")
	if line := <-c.lines(); !readyForm.MatchString(line) {
		t.Fatalf("ready line %q; standard error:\n%s", line, c.stderr.String())
	}
	c.logged(`level=WARN msg="there are fewer descriptors .* limit=300 .*connections=1\d\d files=1\d\d partitions=\d\d missing=4\d\d\d`)
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		t.Errorf("exit status %d, want 0", status)
	}
}

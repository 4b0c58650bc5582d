package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// impatient is a client that is told of each failure.
func impatient(t *testing.T, addr string) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.AllowAutoTopicCreation(), kgo.DisableIdempotentWrite(),
		kgo.RecordRetries(0), kgo.RequestRetries(0), kgo.UnknownTopicRetries(0), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// kept is what a server acknowledged of what store asks it for.
type kept struct {
	records int
	offset  int64
	topics  []string
}

// store produces, commits and creates, and notes what was acknowledged. refused
// is how often the answer was KAFKA_STORAGE_ERROR; nothing else may go wrong.
func (k *kept) store(t *testing.T, addr string, rounds int) (refused int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	c := impatient(t, addr)
	admin := kadm.NewClient(c)
	for range rounds {
		value := make([]byte, 8<<10)
		copy(value, fmt.Sprintf("record %d", k.records))
		errs := []error{c.ProduceSync(ctx, &kgo.Record{Topic: "stored", Value: value}).FirstErr()}
		if errs[0] == nil {
			k.records++
		}
		var offsets kadm.Offsets
		offsets.Add(kadm.Offset{Topic: "stored", At: k.offset + 1})
		committed, err := admin.CommitOffsets(ctx, "readers", offsets)
		if errs = append(errs, errors.Join(err, committed.Error())); errs[1] == nil {
			k.offset++
		}
		name := fmt.Sprintf("topic-%d", len(k.topics))
		_, err = admin.CreateTopic(ctx, 1, 1, nil, name)
		if errs = append(errs, err); err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
			k.topics = append(k.topics, name)
			errs[2] = nil
		}
		for _, err := range errs {
			switch {
			case errors.Is(err, kerr.KafkaStorageError):
				refused++
			case err != nil:
				t.Errorf("refused with %v", err)
			}
		}
	}
	return refused
}

// check finds all that was acknowledged.
func (k *kept) check(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	admin := kadm.NewClient(impatient(t, addr))
	offsets, err := admin.FetchOffsets(ctx, "readers")
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := offsets.Lookup("stored", 0); o.At < k.offset {
		t.Errorf("committed offset %d, acknowledged %d", o.At, k.offset)
	}
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range k.topics {
		if !topics.Has(name) {
			t.Errorf("topic %s is gone", name)
		}
	}
	if k.records == 0 {
		return
	}
	found := make(map[string]bool)
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("stored"), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for n := 0; n < k.records; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", n, k.records, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if head := string(r.Value[:20]); !found[head] {
				found[head] = true
				n++
			}
		})
	}
}

func kill(t *testing.T, c *child) {
	t.Helper()
	c.signal(syscall.SIGKILL)
	c.exit()
}

// serveIn starts kring in a cage.
func serveIn(t *testing.T, cage string, args ...string) *child {
	t.Helper()
	c := startCaged(t, cage, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	line := <-c.lines()
	m := readyForm.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("ready line %q; standard error:\n%s", line, c.stderr.String())
	}
	c.addr = m[1]
	return c
}

func TestWhatTheDiskCantSyncIsNotAcknowledged(t *testing.T) {
	args := []string{"--data-dir", t.TempDir(), "--sync-writes"}
	var k kept
	c := serve(t, args...)
	if refused := k.store(t, c.addr, 3); refused > 0 {
		t.Errorf("%d of 9 were refused", refused)
	}
	kill(t, c)
	before := k
	c, lines, guard := startGuarded(t, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	m := readyForm.FindStringSubmatch(<-lines)
	if m == nil {
		t.Fatalf("not ready; standard error:\n%s", c.stderr.String())
	}
	c.addr = m[1]
	guard.failing.Store(true)
	if refused := k.store(t, c.addr, 20); refused != 60 {
		t.Errorf("%d of 60 were refused", refused)
	}
	if k.records != before.records || k.offset != before.offset {
		t.Errorf("acknowledged: %+v, before %+v; %d syncs failed", k, before, guard.failed.Load())
	}
	kill(t, c)
	c = serve(t, args...)
	if refused := k.store(t, c.addr, 3); refused > 0 {
		t.Errorf("%d of 9 were refused", refused)
	}
	kill(t, c)
	c = serve(t, args...)
	k.check(t, c.addr)
}

// No limit of a file's length can be seen before it is reached.
func TestWhatAFileCantHoldIsNotAcknowledged(t *testing.T) {
	args := []string{"--data-dir", t.TempDir()}
	var k kept
	c := serveIn(t, "fsize", args...)
	refused := 0
	for end := time.Now().Add(deadline); refused == 0 && time.Now().Before(end); {
		refused = k.store(t, c.addr, 20)
	}
	if refused == 0 {
		t.Fatal("nothing was refused")
	}
	refused += k.store(t, c.addr, 5)
	kill(t, c)
	c = serve(t, args...)
	k.check(t, c.addr)
	if refused := k.store(t, c.addr, 5); refused > 0 {
		t.Errorf("%d of 15 were refused", refused)
	}
	k.check(t, c.addr)
}

// smallDisk is a file system of its own; false when this user may not have one.
func smallDisk(t *testing.T, bytes int) (dir string, mounted bool) {
	t.Helper()
	dir = t.TempDir()
	err := unix.Mount("kring", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return dir, false // only root may, and only where no security module forbids it
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, true
}

// fill takes all the space that is left; the caller removes the file.
func fill(t *testing.T, dir string) (file string) {
	t.Helper()
	file = filepath.Join(dir, "filler")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4<<10); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return file
}

func TestAFullDiskLosesNothingThatWasAcknowledged(t *testing.T) {
	disk, mounted := smallDisk(t, 32<<20)
	if !mounted {
		return // embedded's tests look at the same without a disk of their own
	}
	args := []string{"--data-dir", filepath.Join(disk, "data")}
	var k kept
	c := serve(t, args...)
	if refused := k.store(t, c.addr, 10); refused > 0 {
		t.Errorf("%d of 30 were refused", refused)
	}
	filler := fill(t, disk)
	if refused := k.store(t, c.addr, 200); refused != 600 {
		t.Errorf("%d of 600 were refused on a full disk", refused)
	}
	kill(t, c)
	if c = onFullDisk(t, args...); c != nil {
		k.check(t, c.addr)
		if refused := k.store(t, c.addr, 5); refused != 15 {
			t.Errorf("%d of 15 were refused on a full disk", refused)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if c == nil {
		c = serve(t, args...)
	}
	if refused := k.store(t, c.addr, 10); refused > 0 {
		t.Errorf("%d of 30 were refused with space again", refused)
	}
	kill(t, c)
	c = serve(t, args...)
	k.check(t, c.addr)
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		t.Errorf("exit status %d, want 0; standard error:\n%s", status, c.stderr.String())
	}
}

// With few descriptors there are few partitions, and each that there is can be
// written, beside as many clients as may come.
func TestFewDescriptorsMeanFewPartitions(t *testing.T) {
	c := serveIn(t, "nofile=1024", "--data-dir", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	client := impatient(t, c.addr)
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, 600, 1, nil, "many"); !errors.Is(err, kerr.PolicyViolation) {
		t.Errorf("600 partitions: %v", err)
	}
	made := 0
	for n := 0; ; n++ {
		_, err := admin.CreateTopic(ctx, 10, 1, nil, fmt.Sprintf("ten-%d", n))
		if errors.Is(err, kerr.PolicyViolation) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		made++
	}
	if made < 10 {
		t.Errorf("only %d partitions may be", 10*made)
	}
	for range 300 { // they stay open
		ask(t, dial(t, c.addr), kmsg.NewPtrApiVersionsRequest())
	}
	writer, err := kgo.NewClient(kgo.SeedBrokers(c.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	for n := range made {
		for p := range int32(10) {
			if err := writer.ProduceSync(ctx, &kgo.Record{Topic: fmt.Sprintf("ten-%d", n), Partition: p, Value: []byte("x")}).FirstErr(); err != nil {
				t.Fatalf("partition %d of topic %d: %v", p, n, err)
			}
		}
	}
}

// onFullDisk starts kring; nil when it says that it can't, because what a kill
// left behind can't be repaired without space.
func onFullDisk(t *testing.T, args ...string) *child {
	t.Helper()
	c := start(t, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	m := readyForm.FindStringSubmatch(<-c.lines())
	if m != nil {
		c.addr = m[1]
		return c
	}
	if status := c.exit(); status != exitFailure {
		t.Errorf("exit status %d, want 1", status)
	}
	c.logged("no space left on device")
	return nil
}

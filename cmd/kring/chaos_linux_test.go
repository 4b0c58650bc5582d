package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"
)

const (
	chaosTopic = "chaos"
	chaosDisk  = 128 << 20
)

// door is an address that stays, in front of servers that come and go.
type door struct {
	net.Listener
	to atomic.Pointer[string]
}

func openDoor(t *testing.T) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go d.carry(in)
		}
	}()
	return d
}

func (d *door) carry(in net.Conn) {
	defer in.Close()
	to := d.to.Load()
	if to == nil {
		return
	}
	out, err := net.Dial("tcp", *to)
	if err != nil {
		return
	}
	defer out.Close()
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	}()
	_, _ = io.Copy(in, out)
}

// chaos is what clients do while the disk fills, fsync fails and the server is
// killed, and what they were told.
type chaos struct {
	t    *testing.T
	door *door

	mu        sync.Mutex
	next      uint64          // guarded by mu; number of the next record
	acked     map[uint64]bool // guarded by mu
	refusals  int             // guarded by mu; of commits and topics
	attempted int64           // guarded by mu; the last offset that a commit was sent for
	committed int64           // guarded by mu; the last that was acknowledged
	topics    []string        // guarded by mu; acknowledged
}

func (c *chaos) client(opts ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.door.Addr().String()), kgo.MetadataMinAge(50 * time.Millisecond), kgo.UnknownTopicRetries(-1),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }), kgo.FetchMaxWait(100 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		c.t.Error(err)
	}
	return client
}

// produce stores numbered records until the context ends, and then waits until
// each that was begun has its answer.
func (c *chaos) produce(ctx context.Context, flush <-chan struct{}) {
	client := c.client(kgo.DefaultProduceTopic(chaosTopic), kgo.ProducerLinger(time.Millisecond), kgo.MaxBufferedRecords(500))
	defer client.Close()
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		<-pace.C
		c.mu.Lock()
		number := c.next
		c.next++
		c.mu.Unlock()
		value := make([]byte, 8+rand.IntN(500))
		binary.BigEndian.PutUint64(value, number)
		client.TryProduce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err == nil {
				c.mu.Lock()
				c.acked[number] = true
				c.mu.Unlock()
			}
		})
	}
	<-flush
	within, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := client.Flush(within); err != nil {
		c.t.Errorf("records without an answer: %v", err)
	}
}

// administer commits and creates topics.
func (c *chaos) administer(ctx context.Context) {
	client := c.client(kgo.RequestRetries(0))
	defer client.Close()
	admin := kadm.NewClient(client)
	for n := 0; ctx.Err() == nil; n++ {
		c.mu.Lock()
		c.attempted++
		at := c.attempted
		c.mu.Unlock()
		var offsets kadm.Offsets
		offsets.Add(kadm.Offset{Topic: chaosTopic, At: at})
		within, cancel := context.WithTimeout(ctx, time.Second)
		answer, err := admin.CommitOffsets(within, "readers", offsets)
		err = errors.Join(err, answer.Error())
		cancel()
		c.mu.Lock()
		if err == nil && len(answer) > 0 {
			c.committed = at
		} else {
			c.refusals++
		}
		c.mu.Unlock()
		if n%10 == 0 {
			c.create(ctx, admin, fmt.Sprintf("chaos-%d", n/10))
		}
	}
}

func (c *chaos) create(ctx context.Context, admin *kadm.Client, name string) {
	within, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := admin.CreateTopic(within, 1, 1, nil, name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.topics = append(c.topics, name)
	} else if errors.Is(err, kerr.KafkaStorageError) {
		c.refusals++
	}
}

// consume reads in a group, from the beginning on, until it has seen all records
// that were acknowledged; the last of them are known when flushed is closed.
func (c *chaos) consume(flushed <-chan struct{}) {
	client := c.client(kgo.ConsumeTopics(chaosTopic), kgo.ConsumerGroup("consumers"), kgo.SessionTimeout(6*time.Second),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitInterval(100*time.Millisecond))
	defer client.Close()
	seen := make(map[uint64]bool)
	var late <-chan time.Time
	for {
		within, cancel := context.WithTimeout(context.Background(), time.Second)
		client.PollFetches(within).EachRecord(func(r *kgo.Record) { seen[binary.BigEndian.Uint64(r.Value)] = true })
		cancel()
		select {
		case <-flushed:
		default:
			continue
		}
		if late == nil {
			late = time.After(deadline)
		}
		unseen := c.unseen(seen)
		if len(unseen) == 0 {
			return
		}
		select {
		case <-late:
			c.t.Errorf("a consumer has not seen %d acknowledged records", len(unseen))
			return
		default:
		}
	}
}

func (c *chaos) unseen(seen map[uint64]bool) (unseen []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for number := range c.acked {
		if !seen[number] {
			unseen = append(unseen, number)
		}
	}
	return unseen
}

// fillAndFree takes all that is left of a disk, and gives it back, at random.
func fillAndFree(ctx context.Context, disk string) {
	filler := filepath.Join(disk, "filler")
	pause := func() bool {
		select {
		case <-time.After(time.Duration(rand.IntN(600)) * time.Millisecond):
			return true
		case <-ctx.Done():
			return false
		}
	}
	for pause() {
		f, err := os.Create(filler)
		if err != nil {
			continue
		}
		var st unix.Statfs_t
		if unix.Fstatfs(int(f.Fd()), &st) == nil {
			left := int64(st.Bavail) * st.Bsize
			_ = unix.Fallocate(int(f.Fd()), 0, 0, max(4096, left-rand.Int64N(64<<10)))
		}
		_, _ = f.Write(make([]byte, 1<<20)) // at the beginning, or not at all
		pause()
		_ = f.Close()
		_ = os.Remove(filler)
	}
	_ = os.Remove(filler)
}

// round serves for some time, and ends the server somehow.
func (c *chaos) round(n int, length time.Duration, disk string, fills bool) {
	args := []string{"serve", "--listen", "127.0.0.1:0", "--advertise", c.door.Addr().String(),
		"--data-dir", filepath.Join(disk, "data"), "--partitions", "3", "--seed-topic", chaosTopic + ":3"}
	if n%2 == 1 {
		args = append(args, "--sync-writes")
	}
	var child *child
	var lines <-chan string
	var guard *syncGuard
	if n%4 == 3 {
		child, lines, guard = startGuarded(c.t, args...)
	} else {
		child = start(c.t, args...)
		lines = child.lines()
	}
	m := readyForm.FindStringSubmatch(<-lines)
	if m == nil {
		child.exit()
		c.t.Fatalf("round %d: not ready; standard error:\n%s", n, child.stderr.String())
	}
	c.door.to.Store(&m[1])
	ctx, cancel := context.WithTimeout(context.Background(), length/2+rand.N(length))
	defer cancel()
	if guard != nil {
		go guard.failNowAndThen(ctx)
	}
	if fills {
		fillAndFree(ctx, disk)
	}
	<-ctx.Done()
	how := syscall.SIGKILL
	if n%5 == 4 {
		how = syscall.SIGTERM
	}
	child.signal(how)
	child.exit()
	c.door.to.Store(nil)
}

// TestWhateverTheDiskDoesNothingAcknowledgedIsLost is scripts/chaos.sh, with
// fewer rounds.
func TestWhateverTheDiskDoesNothingAcknowledgedIsLost(t *testing.T) {
	rounds, length := chaosSize(t)
	disk, fills := smallDisk(t, chaosDisk)
	c := &chaos{t: t, door: openDoor(t), acked: make(map[uint64]bool)}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	flush := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() { c.produce(ctx, flush) })
	}
	clients.Go(func() { c.administer(ctx) })
	flushed := make(chan struct{})
	var consumer sync.WaitGroup
	consumer.Go(func() { c.consume(flushed) })
	for n := range rounds {
		c.round(n, length, disk, fills)
	}
	cancel()
	last := serve(t, "--advertise", c.door.Addr().String(), "--data-dir", filepath.Join(disk, "data"))
	c.door.to.Store(&last.addr)
	close(flush)
	clients.Wait()
	close(flushed)
	consumer.Wait()
	c.check()
	t.Logf("%d rounds: %d of %d records acknowledged, %d of %d commits, %d topics; %d refusals; the disk was filled: %v",
		rounds, len(c.acked), c.next, c.committed, c.attempted, len(c.topics), c.refusals, fills)
}

func chaosSize(t *testing.T) (rounds int, length time.Duration) {
	t.Helper()
	rounds, length = 6, time.Second
	if text := os.Getenv("KRING_CHAOS_ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		rounds, length = n, 6*time.Second
	}
	return rounds, length
}

// check finds all that was acknowledged, and each record once.
func (c *chaos) check() {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	client := c.client(kgo.ConsumeTopics(chaosTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer client.Close()
	admin := kadm.NewClient(client)
	found := make(map[uint64]int)
	readAll(ctx, c.t, client, chaosTopic, func(r *kgo.Record) { found[binary.BigEndian.Uint64(r.Value)]++ })
	lost, twice := 0, 0
	c.mu.Lock() // as in ledger.check
	for number := range c.acked {
		if found[number] == 0 {
			lost++
		}
	}
	c.mu.Unlock()
	for _, times := range found {
		if times > 1 {
			twice++
		}
	}
	if lost > 0 {
		c.t.Errorf("%d of %d acknowledged records are lost", lost, len(c.acked))
	}
	if twice > 0 {
		c.t.Errorf("%d records are stored more than once", twice)
	}
	offsets, err := admin.FetchOffsets(ctx, "readers")
	if o, _ := offsets.Lookup(chaosTopic, 0); err != nil || o.At < c.committed || o.At > c.attempted {
		c.t.Errorf("committed offset %d, acknowledged %d, last attempt %d; %v", o.At, c.committed, c.attempted, err)
	}
	topics, err := admin.ListTopics(ctx)
	for _, name := range c.topics {
		if !topics.Has(name) {
			c.t.Errorf("topic %s is gone; %v", name, err)
		}
	}
}

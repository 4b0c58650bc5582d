package main

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const ledgerTopic = "ledger"

// ledger is what the server acknowledged: the number of each record by where
// it was put.
type ledger struct {
	mu    sync.Mutex
	acked map[place]uint64
	next  uint64
}

type place struct {
	partition int32
	offset    int64
}

// recordOf makes the record with a number: 0 B to 8 KiB, its checksum as key.
func recordOf(number uint64) *kgo.Record {
	random := rand.New(rand.NewPCG(number, 1))
	value := make([]byte, 8, 8+8<<10)
	binary.BigEndian.PutUint64(value, number)
	for range random.IntN(1 << 10) {
		value = binary.BigEndian.AppendUint64(value, random.Uint64())
	}
	key := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(value))
	return &kgo.Record{Topic: ledgerTopic, Key: key, Value: value}
}

// load produces until the context ends, and notes what was acknowledged.
func (l *ledger) load(ctx context.Context, t *testing.T, addr string, acknowledged func(n int)) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(addr), kgo.AllowAutoTopicCreation(), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(64<<10), kgo.MaxBufferedRecords(200), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.ProducerLinger(0),
	)
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	for ctx.Err() == nil {
		l.mu.Lock()
		number := l.next
		l.next++
		l.mu.Unlock()
		client.Produce(ctx, recordOf(number), func(r *kgo.Record, err error) {
			if err != nil {
				return // not acknowledged: it may be there or not
			}
			l.mu.Lock()
			l.acked[place{r.Partition, r.Offset}] = number
			n := len(l.acked)
			l.mu.Unlock()
			acknowledged(n)
		})
	}
}

// count is how many were acknowledged.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// check reads the whole topic and finds every acknowledged record where the
// server said it was.
func (l *ledger) check(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(ledgerTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(100*time.Millisecond)) // the drain afterwards waits for it
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	found := make(map[place]uint64)
	readAll(ctx, t, client, ledgerTopic, func(r *kgo.Record) {
		number := binary.BigEndian.Uint64(r.Value)
		if want := recordOf(number); string(want.Value) != string(r.Value) || string(want.Key) != string(r.Key) {
			t.Errorf("record %d came back with other bytes", number)
		}
		found[place{r.Partition, r.Offset}] = number
	})
	lost := 0
	l.mu.Lock() // a client's last promise may still be on its way when Close has returned
	defer l.mu.Unlock()
	for at, number := range l.acked {
		if got, ok := found[at]; !ok || got != number {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged records are not where the server said", lost, len(l.acked))
	}
}

// TestNoAcknowledgedRecordIsLost ends a loaded server in each way, several
// times over the same directory, and looks for what it had acknowledged.
func TestNoAcknowledgedRecordIsLost(t *testing.T) {
	for _, end := range []struct {
		name   string
		how    syscall.Signal
		status int
		args   []string
	}{
		{"killed with synchronous writes", syscall.SIGKILL, -1, []string{"--sync-writes"}},
		{"killed", syscall.SIGKILL, -1, nil},
		{"terminated", syscall.SIGTERM, exitOK, nil},
	} {
		for i, engine := range enginesHere() {
			if testing.Short() && i > 0 {
				continue
			}
			t.Run(end.name+" "+engine, func(t *testing.T) {
				t.Parallel() // it mostly waits
				l := &ledger{acked: make(map[place]uint64)}
				args := append([]string{"--engine", engine, "--data-dir", t.TempDir(), "--partitions", "3"}, end.args...)
				for range 2 {
					endUnderLoad(t, l, end.how, end.status, args)
				}
				c := serve(t, args...)
				l.check(t, c.addr)
				c.signal(syscall.SIGTERM)
				if status := c.exit(); status != exitOK {
					t.Errorf("exit status %d, want 0", status)
				}
			})
		}
	}
}

// endUnderLoad starts a server, ends it while three clients produce, and
// leaves when the process is gone.
func endUnderLoad(t *testing.T, l *ledger, how syscall.Signal, want int, args []string) {
	t.Helper()
	c := serve(t, args...)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var once sync.Once
	enough := make(chan struct{})
	target := l.count() + 300
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			l.load(ctx, t, c.addr, func(n int) {
				if n >= target {
					once.Do(func() { close(enough) })
				}
			})
		})
	}
	select {
	case <-enough:
	case <-time.After(deadline):
		t.Errorf("only %d records acknowledged; standard error:\n%s", l.count(), c.stderr.String())
	}
	c.signal(how)
	if status := c.exit(); status != want {
		t.Errorf("exit status %d, want %d; standard error:\n%s", status, want, c.stderr.String())
	}
	cancel()
	clients.Wait()
}

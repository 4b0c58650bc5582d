package embedded

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// producing is a request with one batch of so many bytes.
func produceOf(topic string, size int) *kmsg.ProduceRequest {
	record := kmsg.Record{Value: make([]byte, size)}
	record.Length = int32(len(record.AppendTo(nil)))
	b := kmsg.RecordBatch{Magic: batchMagic, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1, Records: record.AppendTo(nil)}
	seal(&b)
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 1000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Records = b.AppendTo(nil)
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// Without a data directory records take memory up to a bound. Beyond it they
// are refused, those that are there stay, and what is deleted makes room.
func TestRecordsInMemoryAreBounded(t *testing.T) {
	const bound, size = 1 << 20, 64 << 10
	var lines lockedLog
	c := open(t, Config{MemoryLogBytesMax: bound, Seed: []Topic{{"kept", 1}, {"deleted", 1}}, Logger: slog.New(slog.NewTextHandler(&lines, nil))})
	produce := func(topic string) (int16, string) {
		t.Helper()
		_, resp := ask(t, c, produceOf(topic, size))
		p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorMessage == nil {
			return p.ErrorCode, ""
		}
		return p.ErrorCode, *p.ErrorMessage
	}
	taken := 0
	for ; taken < bound/size+1; taken++ {
		topic := "kept"
		if taken%2 == 1 {
			topic = "deleted"
		}
		code, why := produce(topic)
		if code == kerr.KafkaStorageError.Code {
			if !strings.Contains(why, "memory") {
				t.Errorf("refused with %q", why)
			}
			break
		}
		if code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
	}
	if taken < bound/size-2 || taken > bound/size {
		t.Errorf("%d batches of %d bytes taken, want as many as %d bytes have room for", taken, size, bound)
	}
	if held, err := c.held(); err != nil || held > bound {
		t.Errorf("%d bytes held, %v", held, err)
	}
	silent := produceOf("kept", size)
	silent.Acks = 0
	if kind, _ := ask(t, c, silent); kind != reqchan.AnswerClose {
		t.Errorf("a producer that wants no answer: %v, want its connection closed", kind)
	}
	if n := strings.Count(lines.said(), "records are refused"); n != 1 {
		t.Errorf("%d lines about it, want one:\n%s", n, lines.said())
	}
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TopicNames = 3, []string{"deleted"}
	ask(t, c, del)
	eventually(t, "room after a deletion", func() bool {
		code, _ := produce("kept")
		return code == 0
	})
}

// What was refused takes no memory.
func TestRefusedRecordsAreNotCounted(t *testing.T) {
	c := open(t, Config{MemoryLogBytesMax: 1 << 20, Seed: []Topic{{"orders", 1}}})
	for range 20 {
		if got := code(t, c, produceOf("nobody", 100<<10)); got != kerr.UnknownTopicOrPartition.Code {
			t.Fatalf("error %d", got)
		}
	}
	if got := code(t, c, produceOf("orders", 100<<10)); got != 0 {
		t.Errorf("error %d: refused records are counted", got)
	}
}

func TestTheMemoryForRecordsIsAShareOfTheMachines(t *testing.T) {
	got := Config{}.withDefaults().MemoryLogBytesMax
	if total := machineMemory(); total > 0 && got != total/memoryShare || total == 0 && got != memoryDefault {
		t.Errorf("bound %d of %d bytes", got, total)
	}
	if got := (Config{DataDir: t.TempDir()}).withDefaults().MemoryLogBytesMax; got != 0 {
		t.Errorf("bound %d with a data directory", got)
	}
}

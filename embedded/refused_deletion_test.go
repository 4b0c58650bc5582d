package embedded

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Records that a request was told were not deleted are there after the next start, for
// whatever reason it was told so: the topic is compacted only, or a write failed.
func TestRecordsThatWereNotDeletedAreThereAfterAKill(t *testing.T) {
	for failing := range 3 { // 0: none
		t.Run(fmt.Sprintf("write %d fails", failing), func(t *testing.T) {
			dir := t.TempDir()
			c := open(t, Config{DataDir: dir})
			mustCreate(t, c, "compacted", "cleanup.policy=compact")
			mustCreate(t, c, "plain")
			mustCreate(t, c, "more")
			req := kmsg.NewPtrDeleteRecordsRequest()
			req.Version = 2
			for _, topic := range []string{"plain", "compacted", "more"} {
				produced(t, c, topic, 9, batchWith(nowMillis(), 0, rec{"a", 1, 0}))
				req.Topics = append(req.Topics, deletingRecords(topic, -1).Topics...)
			}
			writes := 0
			c.starts.mu.Lock()
			c.starts.synced = func(f *os.File) error {
				if writes++; writes == failing {
					return errors.New("the disk is full")
				}
				return f.Sync()
			}
			c.starts.mu.Unlock()
			_, resp := ask(t, c, req)
			starts := make(map[string]int64)
			for _, topic := range resp.(*kmsg.DeleteRecordsResponse).Topics {
				if starts[topic.Topic] = 0; topic.Partitions[0].ErrorCode == 0 {
					starts[topic.Topic] = 1
				}
			}
			if len(starts) != 3 || starts["compacted"] != 0 {
				t.Fatalf("answered with %+v", resp)
			}
			// What is written next has nothing of what failed.
			mustCreate(t, c, "other")
			produced(t, c, "other", 9, batchWith(nowMillis(), 0, rec{"a", 1, 0}))
			await(t, func() bool { return code(t, c, deletingRecords("other", -1)) == 0 })
			starts["other"] = 1
			again := open(t, Config{DataDir: killed(t, dir)})
			for topic, want := range starts {
				if at := again.kfake.PartitionInfo(topic, 0); at == nil || at.LogStartOffset != want {
					t.Errorf("%s: it is %+v, want a start of %d", topic, at, want)
				}
			}
		})
	}
}

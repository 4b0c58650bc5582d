package embedded

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kfake keeps each older segment open that was read once.
func TestDescriptorsOfOlderSegmentsAreGivenBack(t *testing.T) {
	const segments = 60
	n := serve(t, Config{DataDir: t.TempDir(), FilesMax: 40})
	topic := topicOf("many", 1)
	small := kmsg.NewCreateTopicsRequestTopicConfig()
	small.Name, small.Value = "segment.bytes", kmsg.StringPtr("1")
	topic.Configs = append(topic.Configs, small)
	if got := code(t, n.cluster, creating(topic)); got != 0 {
		t.Fatalf("error %d", got)
	}
	for i := range segments {
		if got := code(t, n.cluster, storing(t, "many", fmt.Sprintf("record %d", i))); got != 0 {
			t.Fatalf("record %d: error %d", i, got)
		}
	}
	n.consume("many", 0, segments)
	if all, older := filesHeld(n.cluster.cfg.DataDir); all <= 40 || older <= 40 {
		t.Fatalf("only %d are held, %d for older segments: giveBackFiles is not needed any more", all, older)
	}
	n.cluster.giveBackFiles()
	await(t, func() bool {
		all, _ := filesHeld(n.cluster.cfg.DataDir)
		return all < 40 && code(t, n.cluster, storing(t, "many", "more")) == 0
	})
}

package embedded

import (
	"fmt"
	"testing"
)

// kfake keeps each older segment open that was read once.
func TestDescriptorsOfOlderSegmentsAreGivenBack(t *testing.T) {
	const segments = 60
	n := serve(t, Config{DataDir: t.TempDir(), FilesMax: 40})
	if err := n.cluster.kfake.CreateTopic("many", 1, map[string]string{"segment.bytes": "1"}); err != nil {
		t.Fatal(err)
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

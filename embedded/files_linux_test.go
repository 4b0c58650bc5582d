package embedded

import (
	"fmt"
	"testing"
	"time"
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
	all, older := 0, 0
	for end := time.Now().Add(deadline); all <= 40 || older <= 40; { // on a slow machine they were given back meanwhile
		if time.Now().After(end) {
			t.Fatalf("only %d are held, %d for older segments: giveBackFiles is not needed any more", all, older)
		}
		n.consume("many", 0, segments)
		all, older = filesHeld(n.cluster.cfg.DataDir)
	}
	n.cluster.giveBackFiles()
	await(t, func() bool {
		all, _ := filesHeld(n.cluster.cfg.DataDir)
		return all < 40 && code(t, n.cluster, storing(t, "many", "more")) == 0
	})
}

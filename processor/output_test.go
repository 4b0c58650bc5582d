package processor_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kring/processor"
	"kring/reqchan"
)

// settled waits until nothing of the budget is taken beyond what was, and what a processor
// may hoard.
func (s *stage) settled(what string, taken int64) {
	s.t.Helper()
	eventually(s.t, what, func() bool { return s.responses.Stats().Used <= taken+processor.HoardedOutputMax })
}

// What is counted of responses that end with a file is given back.
func TestResponsesThatEndWithAFileLeaveNothingInTheBudget(t *testing.T) {
	const n, head = 64, 10_000
	name := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(name, []byte("of the file"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, inline := range []bool{true, false} {
		s := newStage(t, stageConfig{inline: inline, handlers: 1, handle: func(r reqchan.Request) {
			if err := r.RespondParts([]reqchan.Part{{Bytes: make([]byte, head)}, {File: file, Length: 11}}, nil); err != nil {
				t.Error(err)
			}
		}})
		c := s.dial()
		for range n {
			if got, err := ask(c, "both"); err != nil || len(got) != 4+head+11 || !bytes.HasSuffix(got, []byte("of the file")) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
		}
		s.settled("all is given back", 0)
		_ = c.Close()
		s.stop(time.Second)
	}
}

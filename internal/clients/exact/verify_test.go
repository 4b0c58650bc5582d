package main

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestARecordThatIsMissingTwiceOrMisplacedIsFound(t *testing.T) {
	sent := []numbering{{partition: 0, sent: 3}, {partition: 1, sent: 1}}
	records := func(numbers ...int) (all []stored) {
		for _, n := range numbers {
			all = append(all, stored{0, 0, n})
		}
		return append(all, stored{1, 1, 0})
	}
	if err := verifyNumbered(records(0, 1, 2), sent); err != nil {
		t.Errorf("all is there: %v", err)
	}
	for name, bad := range map[string][]stored{
		"missing": records(0, 2), "last missing": records(0, 1), "twice": records(0, 1, 1, 2), "out of order": records(0, 2, 1),
		"more than were sent": records(0, 1, 2, 3), "elsewhere": {{0, 1, 0}}, "nobody's": {{0, 9, 0}},
	} {
		if verifyNumbered(bad, sent) == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

func TestATransactionInPartIsFound(t *testing.T) {
	ledgers := []ledger{{committed, aborted, unsure, unsure}}
	whole := func(numbers ...int) (all []stored) {
		for p := range int32(partitions) {
			for _, n := range numbers {
				all = append(all, stored{p, 0, n})
			}
		}
		return all
	}
	for _, good := range [][]stored{whole(0), whole(0, 2), whole(0, 2, 3)} {
		if err := verifyTransactions(good, ledgers); err != nil {
			t.Errorf("as it should be: %v", err)
		}
	}
	for name, bad := range map[string][]stored{
		"committed and missing": whole(2), "aborted and there": whole(0, 1), "twice": whole(0, 0), "out of order": whole(2, 0),
		"committed in part": whole(0)[1:], "unsure and in part": append(whole(0), stored{3, 0, 2}), "never begun": whole(0, 4),
	} {
		if verifyTransactions(bad, ledgers) == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

func TestARecordThatComesAgainAfterItWasAcceptedIsFound(t *testing.T) {
	records := []*kgo.Record{{Partition: 0, Offset: 1}, {Partition: 1, Offset: 1}, {Partition: 2, Offset: 1}}
	s := newShared()
	s.given(records)
	refused := errors.New("refused")
	n := s.confirmed(records, kgo.ShareAckResults{{Partition: 0}, {Partition: 1}, {Partition: 1, Err: refused}}) // 2 was not answered for
	if n != 1 {
		t.Errorf("%d records are accepted, 1 was confirmed", n)
	}
	s.given(records[1:])
	if len(s.faults) > 0 || s.again != 2 {
		t.Errorf("%d came again, which were not confirmed: %v", s.again, s.faults)
	}
	s.given(records[:1])
	if len(s.faults) != 1 {
		t.Errorf("a record came again that was accepted: %v", s.faults)
	}
}

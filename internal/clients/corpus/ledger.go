package corpus

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// errorsKept bounds how many faults a Ledger keeps as text.
const errorsKept = 10

// Ledger keeps which records were read.
type Ledger struct {
	corpus Corpus
	// stream says which producer wrote a record: order is promised within
	// one producer's records of one partition, nowhere else.
	stream func(i int) int

	mu       sync.Mutex
	seen     map[int]int
	last     map[[2]int]int
	repeated int
	faults   []error
	faultsN  int
}

// NewLedger makes a Ledger. stream may be nil: one producer wrote all records.
func NewLedger(c Corpus, stream func(i int) int) *Ledger {
	if stream == nil {
		stream = func(int) int { return 0 }
	}
	return &Ledger{corpus: c, stream: stream, seen: map[int]int{}, last: map[[2]int]int{}}
}

// Deliver enters one record and returns how many different ones there are now.
func (l *Ledger) Deliver(partition int, key, value []byte) int {
	i, err := l.corpus.Check(key, value)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.fault(err)
		return len(l.seen)
	}
	l.seen[i]++
	if l.seen[i] > 1 {
		l.repeated++
		return len(l.seen)
	}
	at := [2]int{partition, l.stream(i)}
	if last, ok := l.last[at]; ok && i < last {
		l.fault(fmt.Errorf("partition %d: record %d came after record %d of the same producer", partition, i, last))
	}
	l.last[at] = i
	return len(l.seen)
}

func (l *Ledger) fault(err error) {
	l.faultsN++
	if len(l.faults) < errorsKept {
		l.faults = append(l.faults, err)
	}
}

// Count is how many different records were read.
func (l *Ledger) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seen)
}

// Has reports whether record i was read.
func (l *Ledger) Has(i int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[i] > 0
}

// Repeated is how many deliveries were of records that had been read before.
func (l *Ledger) Repeated() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.repeated
}

// FirstRepeated is the first record that was read more than once, -1 if none was.
func (l *Ledger) FirstRepeated() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := -1
	for i, n := range l.seen {
		if n > 1 && (first < 0 || i < first) {
			first = i
		}
	}
	return first
}

// Verify returns everything that is wrong with what was read, if exactly those of the
// first n records for which want is true should have been. Repetition is not a fault
// here: whether it is allowed depends on the promise that is tested. want may call the
// Ledger.
func (l *Ledger) Verify(n int, want func(i int) bool) error {
	l.mu.Lock()
	seen, faults := maps.Clone(l.seen), slices.Clone(l.faults)
	if l.faultsN > len(faults) {
		faults = append(faults, fmt.Errorf("and %d faults more", l.faultsN-len(faults)))
	}
	l.mu.Unlock()
	missing, first := 0, 0
	for i := range n {
		if want(i) && seen[i] == 0 {
			if missing == 0 {
				first = i
			}
			missing++
		}
	}
	if missing > 0 {
		faults = append(faults, fmt.Errorf("%d of %d records never came back, the first is record %d", missing, n, first))
	}
	stray := 0
	for i := range seen {
		if i >= n || i < 0 || !want(i) {
			first = i
			stray++
		}
	}
	if stray > 0 {
		faults = append(faults, fmt.Errorf("%d records came back that should be invisible, one is record %d", stray, first))
	}
	return errors.Join(faults...)
}

// Every is the condition that holds for every record.
func Every(int) bool { return true }

package corpus

import (
	"strings"
	"testing"
)

func TestTenThousandRecordsHoldEverySizeWithinABound(t *testing.T) {
	c := Corpus{Seed: 1}
	total, sizes := 0, map[int]int{}
	for i := range 10_000 {
		total += c.Size(i)
		sizes[c.Size(i)]++
	}
	if total > 64<<20 {
		t.Errorf("10,000 records hold %d bytes, more than 64 MiB", total)
	}
	for _, size := range []int{0, 1, SizeMax} {
		if sizes[size] == 0 {
			t.Errorf("no record has %d bytes", size)
		}
	}
	if len(sizes) < 1000 {
		t.Errorf("only %d different sizes", len(sizes))
	}
}

func TestAChangedByteIsNoticed(t *testing.T) {
	c := Corpus{Seed: 2}
	for i := range 2000 {
		value := c.Value(i)
		if got, err := c.Check(c.Key(i), value); err != nil || got != i {
			t.Fatalf("Check(%d) = %d, %v", i, got, err)
		}
		if len(value) == 0 {
			continue
		}
		value[len(value)/2] ^= 1
		if _, err := c.Check(c.Key(i), value); err == nil {
			t.Fatalf("record %d: a flipped bit went unnoticed", i)
		}
	}
}

func TestLedgerNamesWhatIsMissingStrayAndOutOfOrder(t *testing.T) {
	c := Corpus{Seed: 3, BytesMax: 100}
	l := NewLedger(c, nil)
	for _, i := range []int{0, 2, 1, 7, 7} {
		l.Deliver(0, c.Key(i), c.Value(i))
	}
	err := l.Verify(5, func(i int) bool { return i != 2 })
	if err == nil {
		t.Fatal("no fault found")
	}
	for _, want := range []string{
		"record 1 came after record 2",
		"2 of 5 records never came back, the first is record 3",
		"2 records came back that should be invisible",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if l.Repeated() != 1 || l.FirstRepeated() != 7 {
		t.Errorf("Repeated() = %d, FirstRepeated() = %d, want 1 and 7", l.Repeated(), l.FirstRepeated())
	}
}

func TestVerifyMayAskTheLedgerItself(t *testing.T) {
	c := Corpus{Seed: 4, BytesMax: 100}
	l := NewLedger(c, nil)
	l.Deliver(0, c.Key(3), c.Value(3))
	if err := l.Verify(5, l.Has); err != nil {
		t.Error(err)
	}
}

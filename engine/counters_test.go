package engine_test

import (
	"reflect"
	"testing"

	"kring/engine"
)

// TestEveryCounterIsInTheSnapshotAndTheSum gives each counter a number of its
// own, by the names that both types share.
func TestEveryCounterIsInTheSnapshotAndTheSum(t *testing.T) {
	var c engine.Counters
	counters := reflect.ValueOf(&c).Elem()
	for i := range counters.NumField() {
		store := counters.Field(i).Addr().MethodByName("Store")
		store.Call([]reflect.Value{reflect.ValueOf(i + 1).Convert(store.Type().In(0))})
	}
	sum := c.Snapshot()
	sum.Add(c.Snapshot())
	counts := reflect.ValueOf(sum)
	if counts.NumField() != counters.NumField() {
		t.Errorf("%d counters and %d counts", counters.NumField(), counts.NumField())
	}
	for i := range counters.NumField() {
		name := counters.Type().Field(i).Name
		f := counts.FieldByName(name)
		if !f.IsValid() || f.Convert(reflect.TypeFor[int64]()).Int() != int64(2*(i+1)) {
			t.Errorf("%s: %v in the sum of two snapshots, want %d", name, f, 2*(i+1))
		}
	}
}

func TestBatchingIsPerEnter(t *testing.T) {
	n := engine.Counts{Enters: 4, Submitted: 6, Completed: 10}
	if n.SubmittedPerEnter() != 1.5 || n.CompletedPerEnter() != 2.5 || (engine.Counts{}).CompletedPerEnter() != 0 {
		t.Errorf("%v submitted, %v completed", n.SubmittedPerEnter(), n.CompletedPerEnter())
	}
}

package processor

import (
	"reflect"
	"testing"

	"kring/internal/conn"
)

// TestEveryCountIsReadUnderItsOwnName: they stand in an array, by numbers.
func TestEveryCountIsReadUnderItsOwnName(t *testing.T) {
	var c conn.Counts
	names := map[string]string{"Slow": "SlowReaders", "Depth": "LatencyDepth", "Lost": "BytesLost"}
	next, want := uint64(0), map[string]uint64{}
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		for i := range v.NumField() {
			switch f, name := v.Field(i), v.Type().Field(i).Name; f.Kind() {
			case reflect.Struct:
				fill(f)
			case reflect.Array:
				for k := range f.Len() {
					next++
					f.Index(k).SetUint(next)
				}
			default:
				next++
				f.SetUint(next)
				if names[name] != "" {
					name = names[name]
				}
				want[name] = next
			}
		}
	}
	fill(reflect.ValueOf(&c).Elem())
	delete(want, "Home") // is a part of ResponsesWaiting
	var p published
	for range 2 { // the second has the seldom ones unchanged
		p.publish(&c)
	}
	s := p.read()
	for name, n := range want {
		if got := reflect.ValueOf(s).FieldByName(name); !got.IsValid() || got.Uint() != n {
			t.Errorf("%s is %v, want %d", name, got, n)
		}
	}
	if s.Closed != c.Closed || p.home() != c.Home {
		t.Errorf("closed %v, want %v; %d answers came home, want %d", s.Closed, c.Closed, p.home(), c.Home)
	}
}

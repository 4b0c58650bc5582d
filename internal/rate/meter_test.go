package rate

import (
	"math"
	"strings"
	"sync"
	"testing"
	"time"
)

const second = int64(time.Second)

func TestARateIsOverTheLastWindows(t *testing.T) {
	m := New(Windows{}, 0)
	m.Record(0, 100)
	if got := m.Rate(0); got != 10 {
		t.Errorf("100 at once are %v a second, want 10: the ten full windows of a young meter count as passed", got)
	}
	for s := range 60 * second / second {
		m.Record(s*second+second/2, 30)
	}
	if got := m.Rate(60 * second); math.Abs(got-30) > 3 {
		t.Errorf("30 a second are %v a second", got)
	}
	if got := m.Rate(70*second + second - 1); got != 0 {
		t.Errorf("after 11 windows of silence the rate is %v", got)
	}
}

// Kafka: QuotaUtilsTest.
func TestWhoWaitsTheThrottleTimeIsAtTheLimit(t *testing.T) {
	for _, limit := range []float64{0.5, 1, 20, 500} {
		m := New(Windows{}, 0)
		now := int64(0)
		for range 3000 {
			m.Record(now, 1)
			wait := m.Throttle(now, limit)
			// Inside one window, what was recorded stays: the rate only falls.
			if d := int64(wait); d > 0 && now%second+d < second {
				if got := m.Rate(now + d); got > limit*1.0001 {
					t.Fatalf("limit %v: after the wait of %v the rate is %v", limit, wait, got)
				}
				if got := m.Rate(now + d - 1000); got <= limit*0.9999 {
					t.Fatalf("limit %v: a wait of %v was too long: %v before its end", limit, wait, got)
				}
			}
			now += int64(min(wait, time.Second))
		}
	}
}

// Kafka: QuotaUtilsTest.
func TestNobodyWaitsAtTheLimitOrBelow(t *testing.T) {
	m := New(Windows{}, 0)
	m.Record(0, 200)
	if got := m.Throttle(0, 20); got != 0 {
		t.Errorf("at the limit: %v", got)
	}
	m.Record(0, 1)
	if got := m.Throttle(0, 20); got != time.Second/20 {
		t.Errorf("one over a limit of 20 a second waits %v, want 50ms", got)
	}
	m.Record(0, -1)
	if got := m.Throttle(0, 20); got != 0 {
		t.Errorf("after it was taken back: %v", got)
	}
	if got := m.Throttle(0, 0); got != math.MaxInt64 {
		t.Errorf("a limit of nothing lets in after %v", got)
	}
}

func TestALongRunIsHeldAtTheLimit(t *testing.T) {
	m := New(Windows{}, 5*second)
	admitted, now := 0, 5*second
	for now < 65*second {
		m.Record(now, 1)
		admitted++
		now += int64(min(m.Throttle(now, 20), time.Second)) + 1
	}
	if rate := float64(admitted) / 60; rate < 19 || rate > 24 { // one burst of 200 at the start
		t.Errorf("%v a second got through a limit of 20", rate)
	}
}

func TestManyGoroutinesLoseNothing(t *testing.T) {
	m := New(Windows{Count: 4, Size: time.Millisecond}, 0)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 1000 {
				m.Record(int64(i%2)*int64(time.Millisecond), int64(1+g%2*2)-2) // 1 or -1
				m.Record(2*int64(time.Millisecond), 1)
			}
		})
	}
	all.Wait()
	if got := m.Total(3 * int64(time.Millisecond)); got != 8000 {
		t.Errorf("the sum is %d, want 8000", got)
	}
}

func TestATimeBeforeTheWindowStillCounts(t *testing.T) {
	m := New(Windows{Count: 3}, 0)
	m.Record(7*second, 5)
	m.Record(4*second, 2) // the same slot, three windows ago
	if got := m.Total(7 * second); got != 7 {
		t.Errorf("the sum is %d, want 7", got)
	}
}

func TestASumStopsAtItsBoundsAndKeepsItsSign(t *testing.T) {
	m := New(Windows{Count: 2}, 0)
	m.Record(0, math.MaxInt64)
	m.Record(0, math.MaxInt64)
	if got := m.Total(0); got != sumMax {
		t.Errorf("the sum is %d", got)
	}
	m.Record(second, -5)
	if got := m.Total(second); got != sumMax-5 {
		t.Errorf("the sum is %d", got)
	}
}

func TestWrongWindowsAreNamedAllAtOnce(t *testing.T) {
	err := Windows{Count: -1, Size: time.Nanosecond}.Validate()
	if err == nil || !strings.Contains(err.Error(), "Count is -1") || !strings.Contains(err.Error(), "Size is 1ns") {
		t.Errorf("error %v", err)
	}
	if err := (Windows{}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestAMeterAllocatesNothing(t *testing.T) {
	m := New(Windows{}, 0)
	now := int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += second / 10
		m.Record(now, 1)
		m.Throttle(now, 5)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRecordAndThrottle(b *testing.B) {
	m := New(Windows{}, 0)
	b.RunParallel(func(p *testing.PB) {
		for now := int64(0); p.Next(); now += 1000 {
			m.Record(now, 1)
			m.Throttle(now, 1e9)
		}
	})
}

package processor

import "testing"

func TestAlarmsComeInOrderOfTimeAndMoveAndGo(t *testing.T) {
	var a alarms
	conns := make([]*slot, 50)
	for i := range conns {
		conns[i] = &slot{}
		a.set(conns[i], int64(i*37%50)*1000)
	}
	for i, c := range conns {
		switch i % 3 {
		case 0:
			a.remove(c)
			a.remove(c)
		case 1:
			a.set(c, c.alarm.at+500_000)
		}
	}
	if got := a.wait(0, -1); got != 1000 { // the first that is left
		t.Errorf("the first is due in %d ns", got)
	}
	if got := a.wait(0, 5); got != 5 {
		t.Errorf("the wheel's turn is due in %d ns", got)
	}
	last := int64(-1)
	for n := 0; len(a.byTime) > 0; n++ {
		c := a.byTime[0]
		if c.alarm.at < last || c.alarm.place != 1 {
			t.Fatalf("alarm of %d after %d, at place %d", c.alarm.at, last, c.alarm.place)
		}
		last = c.alarm.at
		a.remove(c)
	}
	if got := a.wait(0, -1); got != -1 {
		t.Errorf("without an alarm the wait is %d", got)
	}
}

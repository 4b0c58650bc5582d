package reqchan

import (
	"testing"
)

// run links n requests of o to a run.
func (o *owner) run(n int) *Job {
	reqs := o.begun(n)
	for i, r := range reqs[1:] {
		reqs[0].Append(reqs[i], r)
	}
	return reqs[0]
}

func TestTheChannelCountsTheRequestsOfRuns(t *testing.T) {
	c := New(Config{RequestsMax: 8})
	o := newOwner()
	s, v := c.NewSender(o.wakeFlag), c.NewReceiver(nil)
	first, second, third := o.run(3), o.run(4), o.run(5)
	if n, _ := s.TrySend([]*Job{first, second, third}); n != 2 || c.Len() != 7 {
		t.Fatalf("%d runs accepted, %d requests wait; there is room for 8", n, c.Len())
	}
	if n, _ := s.TrySend([]*Job{third}); n != 0 {
		t.Fatal("a run of 5 was accepted, there is room for 1")
	}
	into := make([]*Job, 4)
	if n, _ := v.Receive(into[:1]); n != 1 || into[0] != first || into[0].InRun() != 3 || c.Len() != 4 {
		t.Fatalf("%d runs taken, %d requests wait", n, c.Len())
	}
	if n, _ := s.TrySend([]*Job{third}); n != 0 {
		t.Fatal("a run of 5 was accepted, there is room for 4")
	}
	o.wakeFlag.AfterSleep()
	o.wakeFlag.BeforeSleep()
	if n, _ := v.Receive(into[:1]); n != 1 || into[0] != second {
		t.Fatal("not the second run")
	}
	if !o.sleep(t, "the sender of the third run") {
		return
	}
	if n, _ := s.TrySend([]*Job{third}); n != 1 || c.Len() != 5 {
		t.Fatalf("%d runs accepted, %d requests wait", n, c.Len())
	}
	v.Receive(into)
	if c.Len() != 0 {
		t.Errorf("%d requests wait in an empty channel", c.Len())
	}
}

func TestWhatWasNotBegunOfARunIsARunAgain(t *testing.T) {
	o := newOwner()
	r := o.run(5)
	for range 2 {
		r.Request().NoResponse()
		r.HandleReturned()
		r = r.NextInRun()
	}
	r.HandleReturned() // answered later
	r.Request().NoResponse()
	home := o.home.Take()
	if home != r {
		t.Fatal("it did not come home")
	}
	rest := home.Unbegun()
	if rest == nil || rest.InRun() != 2 || rest.Follows() || !rest.Behind().Follows() || home.Behind() != nil {
		t.Fatalf("left is %v", rest)
	}
	if last := rest.Unbegun(); last == nil || last.InRun() != 1 || rest.InRun() != 1 || last.Unbegun() != nil {
		t.Error("the last one is not alone")
	}
}

func TestARunEndsWhenItsResponsesAreAsManyAsItMayHave(t *testing.T) {
	const each = SizeBytes + 10
	answers := []func(Request){
		func(r Request) { r.Respond(make([]byte, 10)) },
		func(r Request) { r.Respond(r.Buffer(10)) },
		func(r Request) { _ = r.RespondParts([]Part{{Bytes: make([]byte, 10)}}, nil) },
	}
	for room, want := range map[int]int{1: 1, each: 1, each + 1: 2, 2 * each: 2, 2*each + 1: 3, 1 << 40: 5} {
		for _, answer := range answers {
			o := newOwner()
			r, n := o.run(5), 0
			for r.SetRoom(room); r != nil; n++ {
				answer(r.Request())
				r.HandleReturned()
				r = r.NextInRun()
			}
			if n != want {
				t.Errorf("%d responses of %d bytes, %d may be queued; want %d", n, each, room, want)
			}
		}
	}
}

package budget_test

import (
	"slices"
	"testing"

	"kring/internal/budget"
)

const mib = 1 << 20

// Tickets are granted in the order in which they came, whatever their sizes.
func TestALineIsServedInOrder(t *testing.T) {
	b := budget.New(16 * mib)
	b.Change(0, 12*mib)
	var came []int
	var tickets []*budget.Ticket
	for i, n := range []int64{8 * mib, 1 * mib, 4 * mib} {
		tickets = append(tickets, b.Queue(n, func() { came = append(came, i) }))
	}
	if st := b.Stats(); st.Waiting != 3 || st.Waited != 3 || st.Used != 12*mib {
		t.Fatalf("%+v", st)
	}
	b.Change(12*mib, 8*mib) // there is room for the second and the third
	if len(came) != 0 {
		t.Errorf("%v overtook the first", came)
	}
	b.Change(8*mib, 0)
	if !slices.Equal(came, []int{0, 1}) || tickets[2].Granted() {
		t.Errorf("%v came, and not 0 and 1", came)
	}
	tickets[0].Release()
	if !slices.Equal(came, []int{0, 1, 2}) {
		t.Errorf("%v came", came)
	}
	tickets[1].Release()
	tickets[2].Release()
	if st := b.Stats(); st.Used != 0 || st.Waiting != 0 {
		t.Errorf("%+v", st)
	}
}

// Large responses leave a share to small ones, and small ones may use what is free of the
// large share.
func TestSmallResponsesHaveAShareOfTheirOwn(t *testing.T) {
	b := budget.New(16 * mib)
	full := b.Queue(12*mib, nil)
	if !full.Granted() || b.Queue(mib, func() {}).Granted() {
		t.Fatal("large responses have not three quarters")
	}
	var small []*budget.Ticket
	for range 4 * mib / budget.SmallBytes {
		small = append(small, b.Queue(budget.SmallBytes, func() {}))
	}
	if !small[len(small)-1].Granted() {
		t.Error("small responses have not a quarter")
	}
	late := b.Queue(budget.SmallBytes, func() {})
	if late.Granted() {
		t.Error("more than the quarter is given")
	}
	small[0].Release()
	if !late.Granted() {
		t.Error("room was not passed on")
	}
}

// Small responses use what large ones leave free, and stop when a large one waits: together
// they stay within the bound.
func TestBothSharesTogetherStayWithinTheBound(t *testing.T) {
	b := budget.New(16 * mib)
	var small []*budget.Ticket
	for range 12 * mib / budget.SmallBytes {
		small = append(small, b.Queue(budget.SmallBytes, func() {}))
	}
	if !small[len(small)-1].Granted() {
		t.Fatal("small responses can't have what is free")
	}
	if room := b.Room(); room > 4*mib/16 {
		t.Errorf("room for %d bytes where 4 MiB are free", room)
	}
	first, second := b.Queue(mib, nil), b.Queue(8*mib, func() {})
	if !first.Granted() || second.Granted() {
		t.Errorf("the first large one goes: %t, the second beyond the bound: %t", first.Granted(), second.Granted())
	}
	late := b.Queue(budget.SmallBytes, func() {})
	if late.Granted() {
		t.Error("a small one beyond its quarter goes while a large one waits")
	}
	for _, s := range small {
		s.Release()
		if st := b.Stats(); st.Used > 16*mib {
			t.Fatalf("%d bytes are taken", st.Used)
		}
	}
	if !second.Granted() || !late.Granted() {
		t.Errorf("there is room, and the large one waits: %t, the small one: %t", !second.Granted(), !late.Granted())
	}
}

// A response larger than the budget is granted when nothing else is taken, alone.
func TestWhatIsMoreThanAllOfItGoesAlone(t *testing.T) {
	b := budget.New(16 * mib)
	first := b.Queue(mib, nil)
	giant := b.Queue(100*mib, func() {})
	behind := b.Queue(mib, func() {})
	if giant.Granted() || behind.Granted() {
		t.Fatal("it did not wait, or was overtaken")
	}
	first.Release()
	if !giant.Granted() || behind.Granted() {
		t.Error("it does not go alone")
	}
	giant.ReplaceWith(0, 100*mib) // now it is memory
	if behind.Granted() {
		t.Error("another goes beside it")
	}
	b.Change(100*mib, 0)
	if !behind.Granted() {
		t.Error("the next one does not go")
	}
}

// A ticket that leaves the queue is not called, and blocks nobody.
func TestWhoLeavesTheLineIsNotInTheWay(t *testing.T) {
	b := budget.New(16 * mib)
	full := b.Queue(12*mib, nil)
	gone := b.Queue(12*mib, func() { t.Error("who left was called") })
	next := b.Queue(mib, func() {})
	gone.Release()
	full.Release()
	if !next.Granted() || gone.Granted() {
		t.Error("the next one does not go")
	}
	gone.Release()
	next.Release()
	if st := b.Stats(); st.Used != 0 || b.Tight() {
		t.Errorf("%+v, tight %v", st, b.Tight())
	}
}

// The more is taken, the less another response gets: some is always left.
func TestThereIsAlwaysRoomForOneMore(t *testing.T) {
	b := budget.New(128 * mib)
	first := b.Room()
	for range 1000 {
		room := b.Room()
		if room < budget.SmallBytes || room > first {
			t.Fatalf("room for %d bytes", room)
		}
		if room > budget.SmallBytes {
			b.Change(0, room)
		}
	}
	if st := b.Stats(); st.Used > 96*mib {
		t.Errorf("%d bytes are taken", st.Used)
	}
}

// The size of an API's responses is expected again, and forgotten if they are small.
func TestLargeResponsesAreExpectedAgainAndForgotten(t *testing.T) {
	b := budget.New(128 * mib)
	b.Learn(1, 10*mib)
	b.Learn(1, mib)
	if n := b.Expect(1); n != 10*mib {
		t.Errorf("%d bytes expected", n)
	}
	if n := b.Expect(3); n != budget.SmallestBytes {
		t.Errorf("%d bytes expected of an API that nothing is known of", n)
	}
	for range 100 {
		b.Unlearn(1)
	}
	if n := b.Expect(1); n != budget.SmallestBytes {
		t.Errorf("%d bytes are still expected", n)
	}
}

// Without a budget nothing is bounded and nothing waits.
func TestNoBudgetBoundsNothing(t *testing.T) {
	var b *budget.Budget
	b.Change(0, mib)
	if ticket := b.Queue(1<<50, nil); !ticket.Granted() || b.Tight() || b.Room() < 1<<30 {
		t.Error("it bounds something")
	} else {
		ticket.Release()
	}
}

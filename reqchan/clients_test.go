package reqchan

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// TestClientIDsAreBoundedAndGoneWithTheirLastConnection: ten thousand ids, a hundred of which
// are kept, whatever order they are said and left in, while somebody scrapes.
func TestClientIDsAreBoundedAndGoneWithTheirLastConnection(t *testing.T) {
	const kept, ids = 100, 10_000
	s := NewClientIDs(kept)
	conns := make([]*Conn, ids)
	for i := range conns {
		conns[i] = new(Conn)
		s.Enter(conns[i])
		conns[i].SetClientID(fmt.Appendf(nil, "client-%d", i))
		CountUse(conns[i], 1, 10, 100)
	}
	counts := s.Counts()
	other := counts[len(counts)-1]
	if len(counts) != kept+1 || other != (ClientCount{OtherClient, ids - kept, ids - kept, 10 * (ids - kept), 100 * (ids - kept)}) {
		t.Errorf("%d ids, others %+v", len(counts), other)
	}
	if counts[0].ID != "client-0" || counts[0].Requests != 1 || counts[0].BytesIn != 10 || counts[0].BytesOut != 100 {
		t.Errorf("the first: %+v", counts[0])
	}
	var all sync.WaitGroup
	for _, c := range conns {
		all.Go(func() { c.SetClientID([]byte("another")) })
		all.Go(func() { CountUse(c, 1, 1, 1) })
		all.Go(func() { LeaveClientIDs(c) })
	}
	for range 100 {
		all.Go(func() {
			if n := len(s.Counts()); n > kept+1 {
				t.Errorf("%d ids", n)
			}
		})
	}
	all.Wait()
	if counts := s.Counts(); len(counts) != 1 || counts[0].ID != OtherClient || counts[0].Conns != 0 {
		t.Errorf("left: %+v", counts)
	}
}

// TestAScrapeHasAllThatAConnectionDidUntilItIsGone: of two connections of an id one goes, and
// what it did stays, because a counter must not go back while its id is there.
func TestAScrapeHasAllThatAConnectionDidUntilItIsGone(t *testing.T) {
	s := NewClientIDs(1)
	var goes, stays Conn
	for _, c := range []*Conn{&goes, &stays} {
		s.Enter(c)
		c.SetClientID([]byte("same"))
		CountUse(c, 2, 3, 4)
	}
	LeaveClientIDs(&goes)
	if got := s.Counts()[0]; got != (ClientCount{"same", 1, 4, 6, 8}) {
		t.Errorf("%+v", got)
	}
	LeaveClientIDs(&stays)
	if got := s.Counts(); len(got) != 1 {
		t.Errorf("left: %+v", got)
	}
}

// TestAClientIDIsAShortLabel, whatever bytes a client sends, and one that calls itself "other"
// is counted with all others.
func TestAClientIDIsAShortLabel(t *testing.T) {
	s := NewClientIDs(10)
	for _, sent := range []string{"plain", "", "other", "a\xffb", strings.Repeat("é", 300), strings.Repeat("x", 32<<10)} {
		var c Conn
		s.Enter(&c)
		c.SetClientID([]byte(sent))
		id := c.ClientID()
		if !utf8.ValidString(id) || len(id) > ClientIDBytesMax+2 || sent == "plain" && id != sent {
			t.Errorf("%.20q... is %q", sent, id)
		}
		if n := testing.AllocsPerRun(10, func() { c.SetClientID([]byte(sent)) }); sent != "" && sent == id && len(sent) < 32 && n > 1 {
			t.Errorf("%q again: %v allocations", sent, n) // one is the test's own
		}
	}
	if counts := s.Counts(); counts[len(counts)-1].Conns != 1 || len(counts) != 5 {
		t.Errorf("%+v", counts)
	}
}

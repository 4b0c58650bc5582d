package views_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"kring"
	"kring/internal/leaktest"
	"kring/internal/servertest"
	"kring/reqchan"
	"kring/views"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// page is what /connections answers.
type page struct {
	Open, Matched int
	Incomplete    string
	Connections   []views.Connection
	Closed        []views.ClosedConnection
}

// get asks a view and reads its answer.
func get(t *testing.T, v http.Handler, target string, into any) int {
	t.Helper()
	w := httptest.NewRecorder()
	v.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("%s: Content-Type %q", target, got)
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		t.Fatalf("%s: %v in %s", target, err, w.Body)
	}
	return w.Code
}

// TestWhoIsConnectedIsListedWithWhatItDid, and who has left with why.
func TestWhoIsConnectedIsListedWithWhatItDid(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		closed := &views.Closed{}
		cfg.Events.ConnClosed = closed.Add
		s := servertest.Start(t, cfg, servertest.Echo)
		v := &views.View{Source: s, Closed: closed}
		quiet, busy := servertest.Dial(t, s), servertest.Dial(t, s)
		const n = 5
		for range n {
			busy.Send("hello")
			if _, err := servertest.ReadFrame(busy); err != nil {
				t.Fatal(err)
			}
		}
		var got page
		servertest.Eventually(t, "both connections", func() bool {
			got = page{}
			get(t, v, "/connections?sort=requests", &got)
			return got.Open == 2 && got.Connections[0].Requests == n && got.Connections[0].BytesOut == n*9
		})
		first := got.Connections[0]
		if first.Remote != busy.LocalAddr().String() || first.Local != busy.RemoteAddr().String() || first.BytesIn != n*9 ||
			first.State != "open" || first.Principal != "User:ANONYMOUS" || got.Connections[1].Requests != 0 {
			t.Errorf("%+v", got.Connections)
		}
		_ = quiet.Close()
		servertest.Eventually(t, "the end of one", func() bool {
			got = page{}
			get(t, v, "/connections", &got)
			return len(got.Closed) == 1
		})
		if c := got.Closed[0]; c.Remote != quiet.LocalAddr().String() || c.Reason != kring.ReasonPeerFinished.String() {
			t.Errorf("%+v", c)
		}
		var loops struct{ Processors []views.Processor }
		requests := func() (all uint64) {
			get(t, v, "/processors", &loops)
			for _, p := range loops.Processors {
				all += p.Requests
			}
			return all
		}
		servertest.Eventually(t, "the processors' requests", func() bool { return requests() >= n }) // shown at the end of a pass
		if got := requests(); got != n {
			t.Errorf("the processors have %d requests, want %d", got, n)
		}
	})
}

// list is a source with connections of its own.
type list struct {
	conns []kring.ConnInfo
	err   error
}

func (l list) Conns(context.Context) ([]kring.ConnInfo, error) { return slices.Clone(l.conns), l.err }
func (l list) Stats() kring.Stats                              { return kring.Stats{} }

// TestAPageIsCutAfterItIsSortedAndChosen: the busiest of all are shown, not the busiest of
// the first hundred.
func TestAPageIsCutAfterItIsSortedAndChosen(t *testing.T) {
	var l list
	for i := range 1000 {
		l.conns = append(l.conns, kring.ConnInfo{
			ID: reqchan.ConnID{Index: uint64(i)}, Listener: fmt.Sprintf("L%d", i%2), Requests: uint64(i * 7919 % 1000), Age: time.Duration(i) * time.Second,
			Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 9),
		})
	}
	v := &views.View{Source: l}
	for _, c := range []struct {
		query   string
		matched int
		want    []uint64
	}{
		{"sort=requests&limit=3", 1000, []uint64{999, 998, 997}},
		{"sort=requests&limit=3&offset=3", 1000, []uint64{996, 995, 994}},
		{"sort=requests&order=asc&limit=2&listener=L1", 500, []uint64{1, 3}},
		{"sort=requests&limit=5&offset=998", 1000, []uint64{1, 0}},
		{"sort=requests&limit=5&offset=2000", 1000, nil},
		{"limit=0", 1000, nil},
		{"principal=nobody", 0, nil},
		{"remote=10.0.0.7", 1, []uint64{433}},
		{"remote=10.0.0.7:9", 1, []uint64{433}},
		{"remote=10.0.0.7:8", 0, nil},
	} {
		var got page
		if status := get(t, v, "/connections?"+c.query, &got); status != http.StatusOK {
			t.Errorf("%s: status %d", c.query, status)
		}
		var requests []uint64
		for _, one := range got.Connections {
			requests = append(requests, one.Requests)
		}
		if got.Matched != c.matched || !slices.Equal(requests, c.want) || got.Connections == nil || got.Closed == nil {
			t.Errorf("%s: %d matched, %v; want %d, %v", c.query, got.Matched, requests, c.matched, c.want)
		}
	}
}

// TestAWrongParameterIsNamedWithTheRemedy.
func TestAWrongParameterIsNamedWithTheRemedy(t *testing.T) {
	v := &views.View{Source: list{}}
	for query, want := range map[string]string{
		"sort=name":   `sort="name": give one of age,`,
		"order=up":    `order="up": give asc or desc`,
		"limit=-1":    `limit="-1": give a number from 0 to 10000`,
		"limit=10001": `limit="10001": give a number from 0 to 10000`,
		"offset=x":    `offset="x": give a number`,
		"color=red":   "color: no such parameter; there are sort, order, limit, offset, listener,",
	} {
		var got struct{ Error string }
		if status := get(t, v, "/connections?"+query, &got); status != http.StatusBadRequest || !strings.HasPrefix(got.Error, want) {
			t.Errorf("%s: %d %q, want 400 %q", query, status, got.Error, want)
		}
	}
}

// TestAListThatLacksAProcessorSaysSo.
func TestAListThatLacksAProcessorSaysSo(t *testing.T) {
	var got page
	get(t, &views.View{Source: list{err: errors.New("processors [1] did not list")}}, "/connections", &got)
	if got.Incomplete != "processors [1] did not list" {
		t.Errorf("%+v", got)
	}
}

// TestOnlyTheLastThatEndedAreRemembered, the last first.
func TestOnlyTheLastThatEndedAreRemembered(t *testing.T) {
	var c views.Closed
	const ended = 1000
	for i := range ended {
		c.Add(&kring.Conn{ID: reqchan.ConnID{Index: uint64(i)}}, kring.ReasonPeerReset)
	}
	var got page
	get(t, &views.View{Source: list{}, Closed: &c}, "/connections", &got)
	last := reqchan.ConnID{Index: ended - 1}
	if len(got.Closed) >= ended || len(got.Closed) < 100 || got.Closed[0].ID != last.String() {
		t.Errorf("%d remembered, the first is %+v", len(got.Closed), got.Closed[0])
	}
}

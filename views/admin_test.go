package views_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/views"
)

// post asks for connections to be closed.
func post(t *testing.T, v http.Handler, contentType, body string) (status int, got views.CloseAnswer, fault string) {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/connections/close", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	v.ServeHTTP(w, r)
	var both struct {
		views.CloseAnswer
		Error string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &both); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return w.Code, both.CloseAnswer, both.Error
}

// TestConnectionsAreClosedByIDOrByFilter, on every engine, and remembered with their reason.
func TestConnectionsAreClosedByIDOrByFilter(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		closed := &views.Closed{}
		cfg.Events.ConnClosed = closed.Add
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			r.Conn().SetClientID(r.Payload())
			r.Respond(r.Payload())
		}))
		told := 0
		v := &views.View{Source: s, Closed: closed, Admin: true, Administered: func(_ *http.Request, n int) { told += n }}
		one, two, stays := servertest.Dial(t, s), servertest.Dial(t, s), servertest.Dial(t, s)
		for c, id := range map[*servertest.Client]string{one: "one", two: "two", stays: "stays"} {
			c.Ask(id, id)
		}
		var list page
		servertest.Eventually(t, "all are listed", func() bool { // a busy machine may keep a processor from it
			list = page{}
			get(t, v, "/connections?client_id=one", &list)
			return list.Open == 3
		})
		if list.Matched != 1 || list.Connections[0].ClientID != "one" {
			t.Fatalf("%+v", list)
		}
		id := list.Connections[0].ID
		status, got, fault := post(t, v, "application/json", fmt.Sprintf(`{"ids": [%q, "9-9"]}`, id))
		if status != http.StatusOK || !slices.Equal(got.Closed, []string{id}) || !slices.Equal(got.NotFound, []string{"9-9"}) {
			t.Errorf("%d %+v %s", status, got, fault)
		}
		one.AwaitClose()
		if status, got, fault = post(t, v, "application/json; charset=utf-8", `{"filter": {"client_id": "two"}}`); status != http.StatusOK || len(got.Closed) != 1 {
			t.Errorf("%d %+v %s", status, got, fault)
		}
		two.AwaitClose()
		stays.Ask("stays", "stays")
		servertest.Eventually(t, "both are remembered", func() bool {
			list = page{}
			get(t, v, "/connections?reason=closed_by_admin", &list)
			return len(list.Closed) == 2 && list.Open == 1
		})
		if c := list.Closed[0]; c.ClientID != "two" && c.ClientID != "one" || c.Requests != 1 || c.BytesIn != 7 {
			t.Errorf("%+v", c)
		}
		get(t, v, "/connections?search=NE&closed_limit=1", &list)
		if len(list.Closed) != 1 || list.Closed[0].ClientID != "one" || told != 2 {
			t.Errorf("%+v, told of %d", list.Closed, told)
		}
	})
}

// TestNothingIsClosedUnlessItIsAskedForRight: neither without leave, nor by a form of
// another site, nor all by mistake.
func TestNothingIsClosedUnlessItIsAskedForRight(t *testing.T) {
	source := &closes{}
	admin := &views.View{Source: source, Admin: true}
	for _, c := range []struct {
		view       *views.View
		kind, body string
		status     int
		says       string
	}{
		{&views.View{Source: source}, "application/json", `{"ids": ["0-1"]}`, http.StatusForbidden, "--http-admin"},
		{&views.View{Source: list{}, Admin: true}, "application/json", `{"ids": ["0-1"]}`, http.StatusForbidden, "--http-admin"},
		{admin, "application/x-www-form-urlencoded", "ids=0-1", http.StatusUnsupportedMediaType, "application/json"},
		{admin, "text/plain", `{"ids": ["0-1"]}`, http.StatusUnsupportedMediaType, "application/json"},
		{admin, "", `{"ids": ["0-1"]}`, http.StatusUnsupportedMediaType, "application/json"},
		{admin, "application/json", "", http.StatusBadRequest, "the body"},
		{admin, "application/json", "{}", http.StatusBadRequest, "ids or a filter"},
		{admin, "application/json", `{"filter": {}}`, http.StatusBadRequest, "ids or a filter"},
		{admin, "application/json", `{"ids": ["0-1"], "filter": {"id": "0-1"}}`, http.StatusBadRequest, "ids or a filter"},
		{admin, "application/json", `{"ids": ["x"]}`, http.StatusBadRequest, `connection id "x": want PROCESSOR-INDEX`},
		{admin, "application/json", `{"filter": {"color": "red"}}`, http.StatusBadRequest, `filter "color": give one of listener,`},
		{admin, "application/json", `{"filter": {"listener": "x", "search": ""}}`, http.StatusBadRequest, `filter "search": it is empty`},
		{admin, "application/json", `{"all": true}`, http.StatusBadRequest, `unknown field "all"`},
		{admin, "application/json", `{"ids": ["` + strings.Repeat("1", 1<<20) + `"]}`, http.StatusBadRequest, "too large"},
	} {
		if status, _, fault := post(t, c.view, c.kind, c.body); status != c.status || !strings.Contains(fault, c.says) {
			t.Errorf("%s %.60s: %d %q, want %d %q", c.kind, c.body, status, fault, c.status, c.says)
		}
	}
	var fault struct{ Error string }
	if status := get(t, admin, "/connections/close", &fault); status != http.StatusMethodNotAllowed || source.asked != 0 {
		t.Errorf("GET: %d, and %d were closed", status, source.asked)
	}
}

// closes counts what it is asked to close.
type closes struct {
	list
	asked int
}

func (c *closes) CloseConns(_ context.Context, ids []kring.ConnID) ([]kring.ConnID, error) {
	c.asked += len(ids)
	return nil, nil
}

// TestTheStatusHasWhatTheServerCounts.
func TestTheStatusHasWhatTheServerCounts(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Dispatch.APIOf = func(p []byte) (int16, int16) { return int16(p[0] - '0'), 0 }
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			r.SetErrorCode(7)
			r.Respond(r.Payload())
		}))
		v := &views.View{Source: s, Version: "v1", APIName: func(key int16) string { return fmt.Sprint("API-", key) }, LongPoll: func(key int16) bool { return key == 1 }}
		c := servertest.Dial(t, s)
		for range 3 {
			c.Ask("1 hello", "1 hello")
		}
		var got views.Status
		var n uint64
		servertest.Eventually(t, "three requests", func() bool {
			got, n = views.Status{}, 0
			if get(t, v, "/status", &got); len(got.APIs) != 1 {
				return false
			}
			for _, b := range got.APIs[0].Latency {
				n += b[1]
			}
			return got.Requests == 3 && got.BytesIn == 33 && got.APIs[0].Requests == 3 && n == 3
		})
		if a := got.APIs[0]; a.Name != "API-1" || !a.LongPoll || a.Errors != 3 || n != 3 {
			t.Errorf("%+v", a)
		}
		if got.Open != 1 || got.BytesIn != 33 || got.Version != "v1" || got.Engine != string(s.Engine()) || got.Why != s.Why() || got.Admin || len(got.Limits) < 3 || got.Processors != 2 {
			t.Errorf("%+v", got)
		}
	})
}

// TestProducersAreSortedAndChosenBeforeThePageIsCut.
func TestProducersAreSortedAndChosenBeforeThePageIsCut(t *testing.T) {
	var fault struct{ Error string }
	if status := get(t, &views.View{Source: list{}}, "/producers", &fault); status != http.StatusNotFound {
		t.Errorf("without any: %d", status)
	}
	start := time.Now()
	v := &views.View{Source: list{}, Producers: func() (all []views.Producer, forgotten uint64) {
		for i := range 1000 {
			all = append(all, views.Producer{Topic: fmt.Sprint("topic-", i%10), Bytes: uint64(i * 7919 % 1000), Last: start.Add(time.Duration(i) * time.Second)})
		}
		return all, 5
	}}
	for query, want := range map[string][]uint64{
		"sort=bytes&limit=2":                         {999, 998},
		"sort=bytes&order=asc&limit=2&topic=topic-3": {7, 17},
		"topic=topic-77":                             {},
		"limit=1":                                    {999 * 7919 % 1000},
	} {
		var got views.Producers
		if status := get(t, v, "/producers?"+query, &got); status != http.StatusOK || got.Forgotten != 5 || got.Producers == nil {
			t.Errorf("%s: %d %+v", query, status, got)
		}
		bytes := []uint64{}
		for _, p := range got.Producers {
			bytes = append(bytes, p.Bytes)
		}
		if !slices.Equal(bytes, want) {
			t.Errorf("%s: %v, want %v", query, bytes, want)
		}
	}
	for _, query := range []string{"sort=x", "order=x", "limit=x", "offset=-1", "colour=red"} {
		if status := get(t, v, "/producers?"+query, &fault); status != http.StatusBadRequest || fault.Error == "" {
			t.Errorf("%s: %d %s", query, status, fault.Error)
		}
	}
}

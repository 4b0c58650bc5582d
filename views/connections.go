package views

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"kring"
	"kring/reqchan"
)

// Connection is one open connection, as JSON. Times are in milliseconds; rates are averages
// over the connection's age.
type Connection struct {
	ID               string  `json:"id"`
	Listener         string  `json:"listener"`
	Remote           string  `json:"remote"`
	Local            string  `json:"local"`
	Principal        string  `json:"principal"`
	Software         string  `json:"software"`
	SoftwareVersion  string  `json:"software_version"`
	State            string  `json:"state"`
	Muted            string  `json:"muted"`
	Requests         uint64  `json:"requests"`
	RequestsPerSec   float64 `json:"requests_per_second"`
	InFlight         int     `json:"in_flight"`
	BytesIn          uint64  `json:"bytes_in"`
	BytesInPerSec    float64 `json:"bytes_in_per_second"`
	BytesOut         uint64  `json:"bytes_out"`
	BytesOutPerSec   float64 `json:"bytes_out_per_second"`
	HeldBytes        int     `json:"held_bytes"`
	QueuedBytes      int     `json:"queued_bytes"`
	AgeMilliseconds  int64   `json:"age_ms"`
	IdleMilliseconds int64   `json:"idle_ms"`
}

// connectionOf says what is known of a connection.
func connectionOf(i *kring.ConnInfo) Connection {
	seconds := max(i.Age.Seconds(), 0.001)
	return Connection{
		ID: i.ID.String(), Listener: i.Listener,
		Remote: reqchan.EndString(i.Remote), Local: reqchan.EndString(i.Local),
		Principal: i.Principal, Software: i.Software.Name, SoftwareVersion: i.Software.Version,
		State: string(i.State), Muted: string(i.Muted),
		Requests: i.Requests, RequestsPerSec: float64(i.Requests) / seconds, InFlight: i.InFlight,
		BytesIn: i.BytesIn, BytesInPerSec: float64(i.BytesIn) / seconds,
		BytesOut: i.BytesOut, BytesOutPerSec: float64(i.BytesOut) / seconds,
		HeldBytes: i.HeldBytes, QueuedBytes: i.QueuedBytes,
		AgeMilliseconds: millis(i.Age), IdleMilliseconds: millis(i.Idle),
	}
}

// orders are what connections can be sorted by. The largest come first.
var orders = map[string]func(a, b *kring.ConnInfo) int{
	"requests":     func(a, b *kring.ConnInfo) int { return cmp.Compare(a.Requests, b.Requests) },
	"in_flight":    func(a, b *kring.ConnInfo) int { return cmp.Compare(a.InFlight, b.InFlight) },
	"bytes_in":     func(a, b *kring.ConnInfo) int { return cmp.Compare(a.BytesIn, b.BytesIn) },
	"bytes_out":    func(a, b *kring.ConnInfo) int { return cmp.Compare(a.BytesOut, b.BytesOut) },
	"held_bytes":   func(a, b *kring.ConnInfo) int { return cmp.Compare(a.HeldBytes, b.HeldBytes) },
	"queued_bytes": func(a, b *kring.ConnInfo) int { return cmp.Compare(a.QueuedBytes, b.QueuedBytes) },
	"age":          func(a, b *kring.ConnInfo) int { return cmp.Compare(a.Age, b.Age) },
	"idle":         func(a, b *kring.ConnInfo) int { return cmp.Compare(a.Idle, b.Idle) },
}

// filters are what connections can be chosen by, each by the value that it must have.
var filters = map[string]func(i *kring.ConnInfo, value string) bool{
	"listener":  func(i *kring.ConnInfo, v string) bool { return i.Listener == v },
	"principal": func(i *kring.ConnInfo, v string) bool { return i.Principal == v },
	"software":  func(i *kring.ConnInfo, v string) bool { return i.Software.Name == v },
	"state":     func(i *kring.ConnInfo, v string) bool { return string(i.State) == v },
	"muted":     func(i *kring.ConnInfo, v string) bool { return string(i.Muted) == v },
	"remote": func(i *kring.ConnInfo, v string) bool {
		return reqchan.EndString(i.Remote) == v || i.Remote.IsValid() && i.Remote.Addr().String() == v
	},
}

// page is which connections are asked for.
type page struct {
	sort      string
	ascending bool
	offset    int
	limit     int
	chosen    map[string]string
}

const (
	pageDefault = 100
	pageMax     = 10_000
)

// pageOf reads the parameters of a request.
func pageOf(q url.Values) (page, error) {
	p := page{sort: "age", limit: pageDefault, chosen: map[string]string{}}
	for name, values := range q {
		value := values[len(values)-1]
		_, isFilter := filters[name]
		var err error
		switch {
		case isFilter:
			p.chosen[name] = value
		case name == "sort":
			if p.sort = value; orders[value] == nil {
				err = fmt.Errorf("sort=%q: give one of %s", value, strings.Join(slices.Sorted(maps.Keys(orders)), ", "))
			}
		case name == "order":
			if p.ascending = value == "asc"; value != "asc" && value != "desc" {
				err = fmt.Errorf("order=%q: give asc or desc", value)
			}
		case name == "limit":
			p.limit, err = number(name, value, pageMax)
		case name == "offset":
			p.offset, err = number(name, value, 1<<30)
		default:
			err = fmt.Errorf("%s: no such parameter; there are sort, order, limit, offset, %s", name, strings.Join(slices.Sorted(maps.Keys(filters)), ", "))
		}
		if err != nil {
			return page{}, err
		}
	}
	return p, nil
}

func number(name, value string, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%s=%q: give a number from 0 to %d", name, value, most)
	}
	return n, nil
}

// of gives the connections of the page: chosen, sorted, and only then cut. matched is how
// many there are on all pages.
func (p page) of(all []kring.ConnInfo) (shown []Connection, matched int) {
	all = slices.DeleteFunc(all, func(i kring.ConnInfo) bool {
		for name, value := range p.chosen {
			if !filters[name](&i, value) {
				return true
			}
		}
		return false
	})
	order := orders[p.sort]
	slices.SortStableFunc(all, func(a, b kring.ConnInfo) int {
		if p.ascending {
			return order(&a, &b)
		}
		return order(&b, &a)
	})
	from := min(p.offset, len(all))
	shown = []Connection{} // [] and not null
	for i := range all[from:min(from+p.limit, len(all))] {
		shown = append(shown, connectionOf(&all[from+i]))
	}
	return shown, len(all)
}

// connections answers GET /connections.
func (v *View) connections(w http.ResponseWriter, r *http.Request) {
	p, err := pageOf(r.URL.Query())
	if err != nil {
		refuse(w, err)
		return
	}
	all, err := v.Source.Conns(r.Context())
	body := struct {
		At          time.Time          `json:"at"`
		Open        int                `json:"open"`
		Matched     int                `json:"matched"`
		Incomplete  string             `json:"incomplete,omitempty"`
		Connections []Connection       `json:"connections"`
		Closed      []ClosedConnection `json:"closed"`
	}{At: time.Now().UTC(), Open: len(all), Closed: v.Closed.last()}
	if err != nil { // of some processors nothing is known
		body.Incomplete = err.Error()
	}
	body.Connections, body.Matched = p.of(all)
	answer(w, http.StatusOK, body)
}

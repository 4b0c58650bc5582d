package views

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"kring"
	"kring/internal/pace"
	"kring/reqchan"
)

// orders are what connections can be sorted by. The largest come first.
var orders = map[string]func(a, b *kring.ConnInfo) int{
	"requests":             by(func(i *kring.ConnInfo) uint64 { return i.Requests }),
	"requests_per_second":  by(func(i *kring.ConnInfo) float64 { return i.Rates.Requests }),
	"in_flight":            by(func(i *kring.ConnInfo) int { return i.InFlight }),
	"bytes_in":             by(func(i *kring.ConnInfo) uint64 { return i.BytesIn }),
	"bytes_in_per_second":  by(func(i *kring.ConnInfo) float64 { return i.Rates.BytesIn }),
	"bytes_out":            by(func(i *kring.ConnInfo) uint64 { return i.BytesOut }),
	"bytes_out_per_second": by(func(i *kring.ConnInfo) float64 { return i.Rates.BytesOut }),
	"bytes_per_second":     by(func(i *kring.ConnInfo) float64 { return i.Rates.BytesIn + i.Rates.BytesOut }),
	"held_bytes":           by(func(i *kring.ConnInfo) int { return i.HeldBytes }),
	"queued_bytes":         by(func(i *kring.ConnInfo) int { return i.QueuedBytes }),
	"latency":              by(func(i *kring.ConnInfo) int64 { return int64(i.Latency.P99) }),
	"age":                  by(func(i *kring.ConnInfo) int64 { return int64(i.Age) }),
	"idle":                 by(func(i *kring.ConnInfo) int64 { return int64(i.Idle) }),
}

func by[T cmp.Ordered](of func(*kring.ConnInfo) T) func(a, b *kring.ConnInfo) int {
	return func(a, b *kring.ConnInfo) int { return cmp.Compare(of(a), of(b)) }
}

// SortKeys are what connections can be sorted by.
func SortKeys() []string { return slices.Sorted(maps.Keys(orders)) }

// about is what a filter looks at: of a connection that is open, or has ended.
type about struct {
	id, listener, remote, principal, clientID, software, version string
	state, muted, tls                                            string
}

func aboutOpen(i *kring.ConnInfo) about {
	return about{
		id: i.ID.String(), listener: i.Listener, remote: reqchan.EndString(i.Remote), principal: i.Principal,
		clientID: i.ClientID, software: i.Software.Name, version: i.Software.Version,
		state: string(i.State), muted: string(i.Muted), tls: i.TLS,
	}
}

// address is the remote end without its port.
func (a *about) address() string {
	if end, err := reqchan.ParseEnd(a.remote); err == nil && end.IsValid() {
		return end.Addr().String()
	}
	return a.remote
}

// filters are what connections can be chosen by, each by the value that it must have.
var filters = map[string]func(a *about, value string) bool{
	"id":               func(a *about, v string) bool { return a.id == v },
	"listener":         func(a *about, v string) bool { return a.listener == v },
	"principal":        func(a *about, v string) bool { return a.principal == v },
	"client_id":        func(a *about, v string) bool { return a.clientID == v },
	"software":         func(a *about, v string) bool { return a.software == v },
	"software_version": func(a *about, v string) bool { return a.version == v },
	"remote":           func(a *about, v string) bool { return a.remote == v || a.address() == v },
	"search": func(a *about, v string) bool {
		return slices.ContainsFunc([]string{a.clientID, a.principal, a.remote, a.software, a.listener}, func(s string) bool {
			return strings.Contains(strings.ToLower(s), strings.ToLower(v))
		})
	},
	"state": func(a *about, v string) bool { return a.state == v },
	"muted": func(a *about, v string) bool { return a.muted == v || v == "*" && a.muted != "" },
	"tls":   func(a *about, v string) bool { return a.tls == v || v == "*" && a.tls != "" },
}

// openOnly are filters of connections that are open: those that have ended are not chosen
// by them.
var openOnly = []string{"state", "muted", "tls"}

// FilterKeys are what connections can be chosen by.
func FilterKeys() []string {
	return []string{"listener", "remote", "principal", "client_id", "software", "software_version", "id", "search", "state", "muted", "tls"}
}

// filter has the values that connections must have, by key.
type filter map[string]string

func (f filter) matches(a *about) bool {
	for name, value := range f {
		if !filters[name](a, value) {
			return false
		}
	}
	return true
}

// page is which connections are asked for.
type page struct {
	paging[kring.ConnInfo]
	chosen filter
	// of those that have ended
	closedOffset, closedLimit int
	reason                    string
}

// pageOf reads the parameters of a request.
func pageOf(q url.Values) (page, error) {
	p := page{paging: pagingBy(orders, "age"), closedLimit: closedMax, chosen: filter{}}
	err := p.read(q, p.set)
	return p, err
}

// set takes a parameter that is of connections alone.
func (p *page) set(name, value string) (err error) {
	if _, is := filters[name]; is {
		p.chosen[name] = value
		return nil
	}
	switch name {
	case "closed_limit":
		p.closedLimit, err = number(name, value, closedMax)
	case "closed_offset":
		p.closedOffset, err = number(name, value, closedMax)
	case "reason":
		p.reason = value
	default:
		err = noParameter(name, append(FilterKeys(), "closed_limit", "closed_offset", "reason"))
	}
	return err
}

// choose leaves those of all that the filter chooses, in all's memory. There may be very many.
func (f filter) choose(all []kring.ConnInfo) []kring.ConnInfo {
	if len(f) == 0 {
		return all
	}
	var p pace.Pace
	return slices.DeleteFunc(all, func(i kring.ConnInfo) bool {
		p.Step()
		a := aboutOpen(&i)
		return !f.matches(&a)
	})
}

// of gives the connections of the page: chosen, sorted, and only then cut. matched is how
// many there are on all pages.
func (p page) of(all []kring.ConnInfo) (shown []Connection, matched int) {
	all = p.chosen.choose(all)
	on := p.cut(all)
	shown = []Connection{} // [] and not null
	for i := range on {
		p.pace.SmallStep()
		shown = append(shown, connectionOf(&on[i]))
	}
	return shown, len(all)
}

// ofClosed gives those that have ended, the last first: chosen, and only then cut.
func (p page) ofClosed(all []ClosedConnection) (shown []ClosedConnection, matched int) {
	for _, name := range openOnly {
		if _, asked := p.chosen[name]; asked {
			return []ClosedConnection{}, 0
		}
	}
	all = slices.DeleteFunc(all, func(c ClosedConnection) bool {
		a := c.about()
		return p.reason != "" && p.reason != c.Reason || !p.chosen.matches(&a)
	})
	from := min(p.closedOffset, len(all))
	return all[from:min(from+p.closedLimit, len(all))], len(all)
}

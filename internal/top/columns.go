package top

import (
	"strings"

	"kring/views"
)

// column is one of a table. The first that a table has are the last to go when the terminal
// is narrow.
type column[T any] struct {
	title string
	width int
	right bool
	text  func(*T) string
	sort  string // the key of views that it is sorted by; "": none
	warns bool   // what stands in it is shown as a warning, unless it is in the course of things
}

// openColumns are of connections that are open, the most important first; the first takes
// what is left of the width.
var openColumns = []column[views.Connection]{
	{title: "CLIENT", width: 18, text: func(c *views.Connection) string { return OrDash(c.ClientID) }},
	{title: "REQ/S", width: 7, right: true, sort: "requests_per_second", text: func(c *views.Connection) string { return Amount(c.RequestsPerSec) }},
	{title: "P99", width: 7, right: true, sort: "latency", text: func(c *views.Connection) string { return Millis(c.LatencyP99) }},
	{title: "IN/S", width: 7, right: true, sort: "bytes_in_per_second", text: func(c *views.Connection) string { return Amount(c.BytesInPerSec) }},
	{title: "OUT/S", width: 7, right: true, sort: "bytes_out_per_second", text: func(c *views.Connection) string { return Amount(c.BytesOutPerSec) }},
	{title: "MUTED", width: 16, warns: true, text: func(c *views.Connection) string { return OrDash(c.Muted) }},
	{title: "FLY", width: 3, right: true, sort: "in_flight", text: func(c *views.Connection) string { return Amount(float64(c.InFlight)) }},
	{title: "ID", width: 8, text: func(c *views.Connection) string { return c.ID }},
	{title: "REMOTE", width: 21, text: func(c *views.Connection) string { return c.Remote }},
	{title: "IDLE", width: 6, right: true, sort: "idle", text: func(c *views.Connection) string { return Since(c.IdleMilliseconds) }},
	{title: "P50", width: 6, right: true, text: func(c *views.Connection) string { return Millis(c.LatencyP50) }},
	{title: "SOFTWARE", width: 22, text: func(c *views.Connection) string {
		return OrDash(strings.TrimSpace(c.Software + " " + c.SoftwareVersion))
	}},
	{title: "PRINCIPAL", width: 18, text: func(c *views.Connection) string { return OrDash(c.Principal) }},
	{title: "AGE", width: 6, right: true, sort: "age", text: func(c *views.Connection) string { return Since(c.AgeMilliseconds) }},
	{title: "LISTENER", width: 12, text: func(c *views.Connection) string { return OrDash(c.Listener) }},
}

// closedColumns are of those that have ended.
var closedColumns = []column[views.ClosedConnection]{
	{title: "CLIENT", width: 16, text: func(c *views.ClosedConnection) string { return OrDash(c.ClientID) }},
	{title: "REASON", width: 22, text: func(c *views.ClosedConnection) string { return c.Reason }},
	{title: "AT", width: 8, text: func(c *views.ClosedConnection) string { return c.At.Local().Format("15:04:05") }},
	{title: "AGE", width: 6, right: true, text: func(c *views.ClosedConnection) string { return Since(c.AgeMilliseconds) }},
	{title: "REQS", width: 6, right: true, text: func(c *views.ClosedConnection) string { return Amount(float64(c.Requests)) }},
	{title: "ID", width: 8, text: func(c *views.ClosedConnection) string { return c.ID }},
	{title: "REMOTE", width: 21, text: func(c *views.ClosedConnection) string { return c.Remote }},
	{title: "PRINCIPAL", width: 18, text: func(c *views.ClosedConnection) string { return OrDash(c.Principal) }},
	{title: "DETAIL", width: 40, text: func(c *views.ClosedConnection) string { return Clean(c.Detail) }},
}

// fitting are as many columns as the width has room for, the first of them as wide as may be.
func fitting[T any](all []column[T], width int) (shown []column[T]) {
	used := all[0].width
	n := 1
	for ; n < len(all) && used+1+all[n].width <= width; n++ {
		used += 1 + all[n].width
	}
	shown = append(shown, all[:n]...)
	shown[0].width += max(min(width-used, 40), -shown[0].width+1)
	return shown
}

// header is the line of titles; the column that is sorted by has an arrow.
func header[T any](shown []column[T], sort string, ascending bool) string {
	var cells []string
	for _, c := range shown {
		title := c.title
		if c.sort != "" && c.sort == sort {
			title += map[bool]string{true: "↑", false: "↓"}[ascending]
		}
		cells = append(cells, fit(title, c.width, c.right))
	}
	return strings.Join(cells, " ")
}

// row is the line of one of a table; styled: for a terminal.
func row[T any](shown []column[T], one *T, styled bool) string {
	var cells []string
	for _, c := range shown {
		cell := c.text(one)
		warns := styled && c.warns && cell != "-" && cell != "in_flight" && cell != "waiting"
		cell = fit(cell, c.width, c.right)
		if warns {
			cell = yellow + cell + plain
		}
		cells = append(cells, cell)
	}
	return strings.TrimRight(strings.Join(cells, " "), " ")
}

package main

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"kring/gateway"
)

// upstreams shows what a Gateway knows of the brokers: as metrics, and as JSON.
type upstreams struct{ of *gateway.Gateway }

// anyNode is the label of what goes to no broker in particular.
const anyNode = "any"

func nodeLabel(node int32) string {
	if node == gateway.NoNode {
		return anyNode
	}
	return strconv.Itoa(int(node))
}

// upstreamCounts are the counters of a broker, by the end of their names.
var upstreamCounts = []struct {
	name, help string
	of         func(*gateway.NodeCounts) uint64
}{
	{"answered", "Requests that the broker answered.", func(c *gateway.NodeCounts) uint64 { return c.Answered }},
	{"refused", "Requests of APIs that a gateway does not serve.", func(c *gateway.NodeCounts) uint64 { return c.Refused }},
	{"waited", "Times that a client waited for an upstream connection.", func(c *gateway.NodeCounts) uint64 { return c.Waited }},
	{"given_up", "Times that a client waited too long, and was told to try again.", func(c *gateway.NodeCounts) uint64 { return c.GivenUp }},
	{"own_full", "Of these, because all upstream connections of clients' own (--upstream-own) were taken.", func(c *gateway.NodeCounts) uint64 { return c.OwnFull }},
	{"connections_opened", "Upstream connections that were opened.", func(c *gateway.NodeCounts) uint64 { return c.Opened }},
	{"connections_closed", "Upstream connections that ended.", func(c *gateway.NodeCounts) uint64 { return c.Closed }},
	{"connection_failures", "Upstream connections that could not be opened.", func(c *gateway.NodeCounts) uint64 { return c.OpenFailures }},
	{"clients_cut", "Clients whose connection was closed because an upstream one was lost.", func(c *gateway.NodeCounts) uint64 { return c.Cut }},
	{"resent", "Requests that had not left when their connection was lost, and went by another.", func(c *gateway.NodeCounts) uint64 { return c.Resent }},
	{"lost", "Requests without an answer (acks=0) that had not left when their connection was lost.", func(c *gateway.NodeCounts) uint64 { return c.Lost }},
	{"late", "Upstream connections closed because a request took too long.", func(c *gateway.NodeCounts) uint64 { return c.Late }},
	{"no_room", "Upstream connections closed because a response found no room in --response-memory-max.", func(c *gateway.NodeCounts) uint64 { return c.NoRoom }},
	{"mismatched", "Upstream connections closed because a response was of another request.", func(c *gateway.NodeCounts) uint64 { return c.Mismatches }},
	{"throttled", "Responses by which the broker throttled.", func(c *gateway.NodeCounts) uint64 { return c.Throttled }},
	{"reauthenticated", "Authentications again.", func(c *gateway.NodeCounts) uint64 { return c.Renewed }},
}

// Describe is of prometheus.Collector: brokers come and go.
func (u upstreams) Describe(chan<- *prometheus.Desc) {}

// Collect is of prometheus.Collector.
func (u upstreams) Collect(to chan<- prometheus.Metric) {
	send := func(name, help string, kind prometheus.ValueType, v float64, labels, values []string) {
		to <- prometheus.MustNewConstMetric(prometheus.NewDesc("kring_upstream_"+name, help, labels, nil), kind, v, values...)
	}
	byNode, byLane := []string{"node"}, []string{"node", "lane"}
	for _, n := range u.of.Stats() {
		node := nodeLabel(n.Node)
		up := 0.0
		if n.State == "up" {
			up = 1
		}
		send("up", "1: the broker can be reached.", prometheus.GaugeValue, up, byNode, []string{node})
		for _, c := range upstreamCounts {
			send(c.name+"_total", c.help, prometheus.CounterValue, float64(c.of(&n.Counts)), byNode, []string{node})
		}
		for _, l := range n.Lanes {
			of := []string{node, l.Lane.String()}
			send("requests_total", "Requests that went to the broker.", prometheus.CounterValue, float64(n.Counts.Sent[l.Lane]), byLane, of)
			send("connections", "Upstream connections now.", prometheus.GaugeValue, float64(l.Links), byLane, of)
			send("connections_max", "Upstream connections at most, of the principals that there are.", prometheus.GaugeValue, float64(l.Most), byLane, of)
			send("requests_under_way", "Requests that the broker has not answered.", prometheus.GaugeValue, float64(l.Away), byLane, of)
			send("clients_waiting", "Clients that wait for an upstream connection.", prometheus.GaugeValue, float64(l.Waiting), byLane, of)
		}
	}
}

// ServeHTTP shows every broker, as JSON.
func (u upstreams) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	type lane struct {
		Lane        string `json:"lane"`
		Connections int    `json:"connections"`
		Max         int    `json:"max"`
		UnderWay    int    `json:"under_way"`
		Waiting     int    `json:"waiting"`
	}
	type broker struct {
		Node    string  `json:"node"`
		Address string  `json:"address"`
		State   string  `json:"state"`
		Failure string  `json:"failure,omitempty"`
		RetryMs float64 `json:"retry_ms,omitempty"`
		Lanes   []lane  `json:"lanes"`
	}
	all := []broker{}
	for _, n := range u.of.Stats() {
		b := broker{Node: nodeLabel(n.Node), Address: n.Address.String(), State: n.State, RetryMs: float64(n.RetryIn.Milliseconds())}
		if n.Failure != nil {
			b.Failure = n.Failure.Error()
		}
		for _, l := range n.Lanes {
			b.Lanes = append(b.Lanes, lane{l.Lane.String(), l.Links, l.Most, l.Away, l.Waiting})
		}
		all = append(all, b)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all) // a client that has gone
}

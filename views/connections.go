package views

import (
	"net/http"
	"time"

	"kring"
	"kring/reqchan"
	"kring/telemetry"
)

// Connection is one open connection, as JSON. docs/views.md says what each field means.
type Connection struct {
	ID               string  `json:"id"`
	Listener         string  `json:"listener"`
	Remote           string  `json:"remote"`
	Local            string  `json:"local"`
	Principal        string  `json:"principal"`
	ClientID         string  `json:"client_id"`
	Software         string  `json:"software"`
	SoftwareVersion  string  `json:"software_version"`
	TLS              string  `json:"tls"`
	State            string  `json:"state"`
	Muted            string  `json:"muted"`
	MuteState        string  `json:"mute_state"`
	Requests         uint64  `json:"requests"`
	RequestsPerSec   float64 `json:"requests_per_second"`
	InFlight         int     `json:"in_flight"`
	BytesIn          uint64  `json:"bytes_in"`
	BytesInPerSec    float64 `json:"bytes_in_per_second"`
	BytesOut         uint64  `json:"bytes_out"`
	BytesOutPerSec   float64 `json:"bytes_out_per_second"`
	HeldBytes        int     `json:"held_bytes"`
	QueuedBytes      int     `json:"queued_bytes"`
	LatencyP50       float64 `json:"latency_p50_ms"`
	LatencyP95       float64 `json:"latency_p95_ms"`
	LatencyP99       float64 `json:"latency_p99_ms"`
	AgeMilliseconds  int64   `json:"age_ms"`
	IdleMilliseconds int64   `json:"idle_ms"`

	// Telemetry is what the client pushed of its own metrics; nil: nothing.
	Telemetry *telemetry.Pushed `json:"telemetry,omitempty"`
}

// connectionOf says what is known of a connection.
func connectionOf(i *kring.ConnInfo) Connection {
	return Connection{
		ID: i.ID.String(), Listener: i.Listener,
		Remote: reqchan.EndString(i.Remote), Local: reqchan.EndString(i.Local),
		Principal: i.Principal, ClientID: i.ClientID, Software: i.Software.Name, SoftwareVersion: i.Software.Version, TLS: i.TLS,
		State: string(i.State), Muted: string(i.Muted), MuteState: i.MuteState,
		Requests: i.Requests, RequestsPerSec: i.Rates.Requests, InFlight: i.InFlight,
		BytesIn: i.BytesIn, BytesInPerSec: i.Rates.BytesIn,
		BytesOut: i.BytesOut, BytesOutPerSec: i.Rates.BytesOut,
		HeldBytes: i.HeldBytes, QueuedBytes: i.QueuedBytes,
		LatencyP50: floatMillis(i.Latency.P50), LatencyP95: floatMillis(i.Latency.P95), LatencyP99: floatMillis(i.Latency.P99),
		AgeMilliseconds: millis(i.Age), IdleMilliseconds: millis(i.Idle),
	}
}

// Connections is what /connections answers.
type Connections struct {
	At          time.Time    `json:"at"`
	Open        int          `json:"open"`
	Matched     int          `json:"matched"`
	Incomplete  string       `json:"incomplete,omitempty"`
	Connections []Connection `json:"connections"`
	// ClosedMatched of those that are remembered match.
	ClosedMatched int                `json:"closed_matched"`
	Closed        []ClosedConnection `json:"closed"`
}

// connections answers GET /connections.
func (v *View) connections(w http.ResponseWriter, r *http.Request) {
	p, err := pageOf(r.URL.Query())
	if err != nil {
		refuse(w, err)
		return
	}
	all, err := v.Source.Conns(r.Context())
	body := Connections{At: time.Now().UTC(), Open: len(all)}
	if err != nil { // of some processors nothing is known
		body.Incomplete = err.Error()
	}
	body.Connections, body.Matched = p.of(all)
	body.Closed, body.ClosedMatched = p.ofClosed(v.Closed.last())
	for i := range body.Connections { // of leaves the page's where it begins
		body.Connections[i].Telemetry = v.telemetryOf(all[p.offset+i].ID)
	}
	answer(w, http.StatusOK, body)
}

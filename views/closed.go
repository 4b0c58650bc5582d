package views

import (
	"sync"
	"time"

	"kring"
	"kring/reqchan"
)

// closedMax bounds the connections that ended and are remembered.
const closedMax = 256

// Closed remembers the connections that ended last: give its Add to
// kring.Events.ConnClosed. The zero value is ready. Any goroutine may use it.
type Closed struct {
	mu   sync.Mutex
	ring [closedMax]ended // guarded by mu
	n    uint64           // guarded by mu; how many were ever added
}

// ended is a connection that ended. It is put into words when somebody asks.
type ended struct {
	at   time.Time
	conn *kring.Conn
	why  kring.CloseReason
}

// ClosedConnection is a connection that ended, as JSON. docs/views.md says what each field
// means.
type ClosedConnection struct {
	At              time.Time `json:"at"`
	ID              string    `json:"id"`
	Listener        string    `json:"listener"`
	Remote          string    `json:"remote"`
	Principal       string    `json:"principal"`
	ClientID        string    `json:"client_id"`
	Software        string    `json:"software"`
	SoftwareVersion string    `json:"software_version"`
	Reason          string    `json:"reason"`
	Detail          string    `json:"detail"`
	Requests        uint64    `json:"requests"`
	BytesIn         uint64    `json:"bytes_in"`
	BytesOut        uint64    `json:"bytes_out"`
	AgeMilliseconds int64     `json:"age_ms"`
}

// Add remembers a connection that ended. It does not block, nor allocate.
func (c *Closed) Add(conn *kring.Conn, why kring.CloseReason) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ring[c.n%closedMax] = ended{now, conn, why}
	c.n++
}

// last lists them, the last first.
func (c *Closed) last() []ClosedConnection {
	if c == nil {
		return []ClosedConnection{}
	}
	c.mu.Lock()
	kept := make([]ended, 0, closedMax)
	for i := range min(c.n, closedMax) {
		kept = append(kept, c.ring[(c.n-1-i)%closedMax])
	}
	c.mu.Unlock()
	all := make([]ClosedConnection, len(kept))
	for i := range kept {
		all[i] = kept[i].closed()
	}
	return all
}

func (e *ended) closed() ClosedConnection {
	conn, did := e.conn, e.conn.Totals()
	c := ClosedConnection{
		At: e.at.UTC(), ID: conn.ID.String(), Listener: conn.Listener, Remote: reqchan.EndString(conn.Remote),
		Principal: conn.Principal(), ClientID: conn.ClientID(), Software: conn.Software().Name, SoftwareVersion: conn.Software().Version,
		Reason: e.why.String(), Requests: did.Requests, BytesIn: did.BytesIn, BytesOut: did.BytesOut, AgeMilliseconds: millis(did.Age),
	}
	if err := conn.EndDetail(); err != nil {
		c.Detail = err.Error()
	}
	return c
}

func (c *ClosedConnection) about() about {
	return about{
		id: c.ID, listener: c.Listener, remote: c.Remote, principal: c.Principal,
		clientID: c.ClientID, software: c.Software, version: c.SoftwareVersion,
	}
}

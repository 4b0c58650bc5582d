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
	ring [closedMax]ClosedConnection // guarded by mu
	n    uint64                      // guarded by mu; how many were ever added
}

// ClosedConnection is a connection that ended, as JSON.
type ClosedConnection struct {
	At        time.Time `json:"at"`
	ID        string    `json:"id"`
	Listener  string    `json:"listener"`
	Remote    string    `json:"remote"`
	Principal string    `json:"principal"`
	Software  string    `json:"software"`
	Reason    string    `json:"reason"`
}

// Add remembers a connection that ended. It does not block.
func (c *Closed) Add(conn *kring.Conn, why kring.CloseReason) {
	one := ClosedConnection{
		At: time.Now().UTC(), ID: conn.ID.String(), Listener: conn.Listener, Remote: reqchan.EndString(conn.Remote),
		Principal: conn.Principal(), Software: conn.Software().Name, Reason: why.String(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ring[c.n%closedMax] = one
	c.n++
}

// last lists them, the last first.
func (c *Closed) last() []ClosedConnection {
	all := []ClosedConnection{}
	if c == nil {
		return all
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range min(c.n, closedMax) {
		all = append(all, c.ring[(c.n-1-i)%closedMax])
	}
	return all
}

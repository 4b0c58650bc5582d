package reqchan

import (
	"strings"
	"time"
	"unicode/utf8"
)

// ClientIDBytesMax is how many bytes of a client id are kept with a connection: it is the
// client's own text, of up to 32 KiB.
const ClientIDBytesMax = 255

// ClientID is the client id of the last request that had another than the one before it, cut
// to ClientIDBytesMax bytes of UTF-8; empty while nobody has said. It is the client's own
// text: escape it wherever it is shown. Any goroutine.
func (c *Conn) ClientID() string {
	if s := c.clientID.Load(); s != nil {
		return *s
	}
	return ""
}

// SetClientID keeps what a request says. It copies id, and allocates only if it is another
// than before.
func (c *Conn) SetClientID(id []byte) {
	if len(id) > ClientIDBytesMax {
		id = id[:ClientIDBytesMax]
	}
	if now := c.clientID.Load(); now == nil && len(id) == 0 || now != nil && *now == string(id) {
		return
	}
	s := string(id)
	if !utf8.ValidString(s) { // as text, it is what every reader shows
		if valid := strings.ToValidUTF8(s, "\uFFFD"); c.ClientID() != valid {
			c.nameClient(valid)
		}
		return
	}
	c.nameClient(s)
}

// Totals are what a connection did in its life.
type Totals struct {
	Requests, BytesIn, BytesOut uint64
	// Age is how long it was open.
	Age time.Duration
}

// Totals are all that the connection did, once it has closed; zero before. Any goroutine.
func (c *Conn) Totals() Totals {
	if t := c.totals.Load(); t != nil {
		return *t
	}
	return Totals{}
}

// SetTotals is the processor's.
func (c *Conn) SetTotals(t Totals) { c.totals.Store(&t) }

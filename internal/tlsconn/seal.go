package tlsconn

import "kring/reqchan"

const (
	// recordCostMax is what sealing adds to a record: its head, an IV, a MAC and padding of
	// the worst cipher suite (AES-CBC with SHA-384).
	recordCostMax = headBytes + 16 + 48 + 16
	// recordBytesMin is how little of a piece crypto/tls puts into a record while it sizes
	// records by packets (tls.Config.DynamicRecordSizingDisabled is false).
	recordBytesMin = 1000
)

// Sealed is beside Waits.
func (t *Transport) Sealed(plain int) int {
	n := min(t.ownBytes(), ownPieceMax)
	if plain > 0 && t.open {
		n += plain + recordCostMax*(1+plain/recordBytesMin)
	}
	return n
}

// ownBytes is how much of its own there is to send.
func (t *Transport) ownBytes() int {
	if t.shakes == nil {
		return len(t.own)
	}
	t.shakes.mu.Lock()
	defer t.shakes.mu.Unlock()
	return len(t.shakes.out)
}

// Seal is beside Waits.
func (t *Transport) Seal(wire, plain []byte) (sealed []byte, end reqchan.CloseReason) {
	wire = t.sealOwn(wire)
	if len(plain) == 0 || !t.open {
		return wire, reqchan.ReasonNone
	}
	t.sealing = wire
	if _, err := t.tls.Write(plain); err != nil { // its memory never fails: it sent an alert before
		if end = t.end; end == reqchan.ReasonNone {
			end = t.fail(reqchan.HandshakeFailed)
		}
	}
	wire, t.sealing = t.sealing, nil
	return wire, end
}

// sealOwn appends what it has of its own, as far as there is room: a handshake may have
// written more since that was asked for. It is never much while there is plain.
func (t *Transport) sealOwn(wire []byte) []byte {
	from := &t.own
	if h := t.shakes; h != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		from = &h.out
	}
	n := min(len(*from), ownPieceMax, cap(wire)-len(wire))
	wire = append(wire, (*from)[:n]...)
	if *from = (*from)[n:]; len(*from) == 0 {
		*from = nil
	}
	return wire
}

// End is beside Waits.
func (t *Transport) End() {
	if t.open {
		_ = t.tls.CloseWrite() // into memory
	}
}

// readWire is net.Conn's Read when the handshake is over: what there is was lent.
func (t *Transport) readWire(b []byte) (int, error) {
	n := copy(b, t.reading)
	if t.reading = t.reading[n:]; n == 0 {
		return 0, errAgain
	}
	return n, nil
}

// writeWire is net.Conn's Write when the handshake is over.
func (t *Transport) writeWire(b []byte) (int, error) {
	if t.sealing != nil {
		t.sealing = append(t.sealing, b...)
	} else {
		t.own = append(t.own, b...)
	}
	return len(b), nil
}

// again is the error of a Read that has nothing yet: crypto/tls does not remember it.
type again struct{}

var errAgain error = again{}

func (again) Error() string   { return "no bytes yet" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

package tlsconn

import "bytes"

// plaintextMax is the largest plaintext of a record.
const plaintextMax = 16 << 10

// lend has crypto/tls read a record next, which is its own until then.
func (t *Transport) lend(record []byte) {
	if fields.known {
		*rawInput(t.tls) = *bytes.NewBuffer(record)
	} else {
		t.reading = record
	}
}

// pending is how much crypto/tls has opened and not given; at most as much, where nobody
// knows.
func (t *Transport) pending() int {
	switch {
	case fields.known:
		return input(t.tls).Len()
	case t.full:
		return plaintextMax
	}
	return 0
}

// wasRead is told what a Read of crypto/tls gave, of so many bytes that it was asked for.
func (t *Transport) wasRead(n, of int) {
	t.full = n == of
	if fields.known && input(t.tls).Len() == 0 {
		*rawInput(t.tls) = bytes.Buffer{} // nothing of it is needed any more
		*input(t.tls) = bytes.Reader{}
	}
}

// forgetHandshake drops the memory of the handshake.
func (t *Transport) forgetHandshake() {
	if !fields.known {
		return
	}
	for _, b := range []*bytes.Buffer{rawInput(t.tls), hand(t.tls)} {
		if b.Len() == 0 {
			*b = bytes.Buffer{}
		}
	}
}

// unhandled is how much crypto/tls holds of a handshake message that is not whole; 0 where
// nobody knows.
func (t *Transport) unhandled() int {
	if !fields.known {
		return 0
	}
	return hand(t.tls).Len()
}

package tlsconn

import "encoding/binary"

const (
	handshakeRecord = 22
	clientHello     = 1
	messageHead     = 4
	// helloBytesMax is how much of a client's first message is kept before its handshake
	// takes a place. Most have 300 bytes to 2 KiB; one with a large session ticket more.
	helloBytesMax = 8 << 10
)

// helloComes says that b, the first bytes of a connection, are the beginning of a
// ClientHello, and that more of it has to come before crypto/tls can do anything. What is
// longer than helloBytesMax, or no ClientHello, is for crypto/tls to judge.
func helloComes(b []byte) bool {
	if len(b) > helloBytesMax {
		return false
	}
	var head [messageHead]byte
	for got := 0; ; {
		n, known := lengthOf(b)
		switch {
		case !known:
			return true
		case n == headBytes || b[0] != handshakeRecord:
			return false // no record, or another
		case n > len(b):
			return true
		}
		body := b[headBytes:n]
		if got < messageHead {
			copy(head[got:], body)
		}
		if got += len(body); got >= messageHead {
			length := int(binary.BigEndian.Uint32(head[:]) & 0xffffff)
			if head[0] != clientHello || got >= messageHead+length {
				return false
			}
		}
		b = b[n:]
	}
}

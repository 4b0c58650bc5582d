// Package raw speaks just enough Kafka to send a request, right or wrong.
//
// Job. Build frames byte by byte, and make the simplest possible exchange: an
// ApiVersions request of version 0 and its response.
//
// Flow. Header and Frame make bytes; Ask writes one request and reads the
// response to it.
//
// Ownership. The connection stays the caller's; nothing is kept.
//
// Never. No client library, no retry, no judgement about what the bytes mean:
// what is sent is what the caller built.
//
// Kernel. Nothing of its own.
package raw

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// API keys that are asked for here.
const (
	KeyProduce     = 0
	KeyMetadata    = 3
	KeyApiVersions = 18
)

// answerWithin is how long Ask waits for the whole answer.
const answerWithin = time.Minute

// Frame puts its size before a payload.
func Frame(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

// Header is a request header up to and with the client id: all of it in
// version 1, all but the tagged fields in version 2.
func Header(key, version int16, correlation int32) []byte {
	const client = "kring-raw"
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	b = binary.BigEndian.AppendUint16(b, uint16(len(client)))
	return append(b, client...)
}

// Ask asks for the server's versions and reads the answer.
func Ask(conn net.Conn, correlation int32) error {
	if err := conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	if _, err := conn.Write(Frame(Header(KeyApiVersions, 0, correlation))); err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	if got := int32(binary.BigEndian.Uint32(head[4:])); got != correlation {
		return fmt.Errorf("the answer to request %d says it answers %d", correlation, got)
	}
	_, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head[:]))-4)
	return err
}

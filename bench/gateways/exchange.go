package gateways

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// answerMax is more than any answer here has.
const answerMax = 1 << 20

// exchange sends a request and reads its answer.
func exchange(conn net.Conn, request kmsg.Request) error {
	const correlation = 7
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("kring-bench")).AppendRequest(nil, request, correlation)); err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint32(head[:4]))
	if size < 4 || size > answerMax || binary.BigEndian.Uint32(head[4:]) != correlation {
		return errors.New("what came is no answer to it")
	}
	_, err := io.CopyN(io.Discard, conn, int64(size-4))
	return err
}

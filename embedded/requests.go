package embedded

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
	"kring/reqchan"
)

// HandleKafka takes a request that the door let through.
func (c *Cluster) HandleKafka(q kafka.Request) {
	if v := int(q.Header.Version); kmsg.Key(q.Header.Key) == kmsg.ApiVersions && v < len(c.apiVersions) {
		q.RespondBody(c.apiVersions[v])
		return
	}
	key := kmsg.Key(q.Header.Key)
	sessionOf(q.Request.Conn).add(job{q: q, waits: waits[key], poll: polls[key]})
}

// apiVersionsKept is the last version of ApiVersions whose answer is the same
// for everybody: the next one checks whom the client takes us for.
const apiVersionsKept = 4

// askVersions asks kfake what it serves, as a client would, and keeps its
// answers: every connection begins by asking this, and need not wait for a
// session for it.
func (c *Cluster) askVersions() (kafka.Versions, error) {
	pipe, err := c.listener.dial(netip.AddrPort{})
	if err != nil {
		return kafka.Versions{}, err
	}
	defer pipe.Close()
	req := kmsg.NewPtrApiVersionsRequest()
	var served kafka.Versions
	for version := int16(0); version <= apiVersionsKept; version++ {
		req.Version = version
		req.ClientSoftwareName, req.ClientSoftwareVersion = "kring", "1" // the form is checked
		body, err := askOnce(pipe, req)
		if err != nil {
			return kafka.Versions{}, err
		}
		resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
		if err := resp.ReadFrom(body); err != nil {
			return kafka.Versions{}, fmt.Errorf("ApiVersions response: %w", err)
		}
		if served, err = kafka.VersionsOf(resp); err != nil {
			return kafka.Versions{}, err
		}
		c.apiVersions = append(c.apiVersions, body)
		if !served.Supported(req.Key(), version+1) {
			break
		}
	}
	return served, nil
}

// askOnce gives the body of the response to an ApiVersions request, whose header is
// the same in every version.
func askOnce(pipe net.Conn, req *kmsg.ApiVersionsRequest) ([]byte, error) {
	if _, err := pipe.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 0)); err != nil {
		return nil, err
	}
	var size [reqchan.SizeBytes]byte
	if _, err := io.ReadFull(pipe, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(pipe, frame); err != nil {
		return nil, err
	}
	return frame[correlationBytes:], nil
}

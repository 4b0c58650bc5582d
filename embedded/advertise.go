package embedded

import (
	"encoding/binary"
	"maps"
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// Advertise says where clients reach the cluster: the address of the server's
// listener, or what the operator knows better. The first call starts the
// answers to clients.
func (c *Cluster) Advertise(host string, port uint16) {
	c.live.RLock()
	defer c.live.RUnlock()
	c.listener.advertise(net.JoinHostPort(host, strconv.Itoa(int(port))))
	c.advertise.Do(func() { close(c.advertised) })
}

// AdvertiseOn says the same for the clients of one of the server's listeners, by
// its name (KIP-103): they learn this address, and no other, wherever an answer
// has one. Call it before Advertise, whose address is for all other listeners.
func (c *Cluster) AdvertiseOn(listener, host string, port uint16) {
	c.adverts.Lock()
	defer c.adverts.Unlock()
	on := map[string]kafka.Address{}
	if was := c.adverts.on.Load(); was != nil {
		maps.Copy(on, *was)
	}
	on[listener] = kafka.Address{Host: host, Port: int32(port)}
	c.adverts.on.Store(&on)
}

// advertisedOn is where the clients of a listener are told to connect to, if it is
// another address than kfake's.
func (c *Cluster) advertisedOn(listener string) (at kafka.Address, own bool) {
	if on := c.adverts.on.Load(); on != nil {
		at, own = (*on)[listener]
	}
	return at, own
}

// readdress puts the address of the client's own listener into a response of
// kfake's, which knows one for all. Every API is here whose answer has an address:
// Produce, Fetch and ShareFetch have one only where another broker leads a
// partition, and there is no other.
func (s *session) readdress(q kafka.Request, response []byte) []byte {
	at, own := s.cluster.advertisedOn(s.client.Listener)
	if !own {
		return response
	}
	var moved []byte
	switch version := q.Header.Version; kmsg.Key(q.Header.Key) {
	case kmsg.Metadata:
		moved = readdressMetadata(version, response, at)
	case kmsg.FindCoordinator, kmsg.DescribeCluster:
		header := len(kafka.AppendResponseHeader(nil, q.Header.Key, version, 0))
		resp := kmsg.ResponseForKey(q.Header.Key)
		resp.SetVersion(version)
		if len(response) >= header && resp.ReadFrom(response[header:]) == nil {
			s.readdressDecoded(resp)
			moved = resp.AppendTo(append([]byte(nil), response[:header]...))
		}
	}
	if moved == nil {
		return response
	}
	response = q.Request.Buffer(len(moved))
	copy(response, moved)
	return response
}

// readdressDecoded does the same to a response that is decoded.
func (s *session) readdressDecoded(resp kmsg.Response) {
	at, own := s.cluster.advertisedOn(s.client.Listener)
	if !own {
		return
	}
	put := func(node int32, host *string, port *int32) {
		if node >= 0 && *host != "" { // else there is none to be told
			*host, *port = at.Host, at.Port
		}
	}
	switch resp := resp.(type) {
	case *kmsg.MetadataResponse:
		for i := range resp.Brokers {
			put(resp.Brokers[i].NodeID, &resp.Brokers[i].Host, &resp.Brokers[i].Port)
		}
	case *kmsg.FindCoordinatorResponse:
		put(resp.NodeID, &resp.Host, &resp.Port)
		for i := range resp.Coordinators {
			of := &resp.Coordinators[i]
			put(of.NodeID, &of.Host, &of.Port)
		}
	case *kmsg.DescribeQuorumResponse: // where a repair serves it; kfake does not
		for i := range resp.Nodes {
			for j := range resp.Nodes[i].Listeners {
				l := &resp.Nodes[i].Listeners[j]
				l.Host, l.Port = at.Host, uint16(at.Port)
			}
		}
	case *kmsg.DescribeClusterResponse:
		for i := range resp.Brokers {
			put(resp.Brokers[i].NodeID, &resp.Brokers[i].Host, &resp.Brokers[i].Port)
		}
	}
}

// readdressMetadata does the same without decoding: clients ask for it often, it
// can be large, and the one broker is at its beginning:
//
//	throttle (from version 3) · count of brokers · node id · host · port · …
func readdressMetadata(version int16, response []byte, at kafka.Address) []byte {
	const throttleFrom, flexibleFrom = 3, 9
	from := len(kafka.AppendResponseHeader(nil, int16(kmsg.Metadata), version, 0))
	if version >= throttleFrom {
		from += 4
	}
	rest := response[min(from, len(response)):]
	var brokers, hostBytes, before int // before: what stands before the host's characters
	if version >= flexibleFrom {
		var n, m int
		brokers, n = compactLength(rest)
		hostBytes, m = compactLength(rest[min(n+4, len(rest)):])
		from, before = from+n+4, m
	} else if len(rest) >= 10 {
		brokers, hostBytes = int(int32(binary.BigEndian.Uint32(rest))), int(int16(binary.BigEndian.Uint16(rest[8:])))
		from, before = from+8, 2
	}
	to := from + before + hostBytes + 4
	if brokers != 1 || hostBytes < 0 || before == 0 || to > len(response) {
		return nil
	}
	moved := append(make([]byte, 0, len(response)+len(at.Host)+binary.MaxVarintLen32), response[:from]...)
	if version >= flexibleFrom {
		moved = binary.AppendUvarint(moved, uint64(len(at.Host)+1))
	} else {
		moved = binary.BigEndian.AppendUint16(moved, uint16(len(at.Host)))
	}
	moved = binary.BigEndian.AppendUint32(append(moved, at.Host...), uint32(at.Port))
	return append(moved, response[to:]...)
}

// compactLength reads a compact length, and how many bytes it takes; those are 0
// when there is none.
func compactLength(b []byte) (length, bytes int) {
	n, bytes := binary.Uvarint(b)
	if bytes <= 0 || n > 1<<15 {
		return -1, 0
	}
	return int(n) - 1, bytes
}

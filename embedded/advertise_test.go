package embedded

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/kafka"
)

// withAddress are the APIs whose answers have a host and a port, and what becomes
// of it here.
var withAddress = map[kmsg.Key]string{
	kmsg.Metadata: "readdress", kmsg.FindCoordinator: "readdress", kmsg.DescribeCluster: "readdress",
	kmsg.Produce: "only of another leader", kmsg.Fetch: "only of another leader",
	kmsg.DescribeQuorum: "readdressDecoded, where a repair serves it",
	kmsg.ShareFetch:     "only of another leader", kmsg.ShareAcknowledge: "only of another leader",
}

// TestEveryServedAPIWithAnAddressIsKnown: a new one must not tell a client of one
// listener the address of another.
func TestEveryServedAPIWithAnAddressIsKnown(t *testing.T) {
	c := openAlone(t, Config{})
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		resp := kmsg.ResponseForKey(key)
		if resp == nil || !c.Versions().Supported(key, 0) && !c.Versions().Supported(key, resp.MaxVersion()) {
			continue
		}
		if has := hasAddress(reflect.TypeOf(resp).Elem()); has != (withAddress[kmsg.Key(key)] != "") {
			t.Errorf("%s: has an address: %v, and what becomes of it is %q", kmsg.NameForKey(key), has, withAddress[kmsg.Key(key)])
		}
	}
}

func hasAddress(typ reflect.Type) bool {
	switch typ.Kind() {
	case reflect.Slice, reflect.Pointer:
		return hasAddress(typ.Elem())
	case reflect.Struct:
		_, host := typ.FieldByName("Host")
		_, port := typ.FieldByName("Port")
		return host && port || slices.ContainsFunc(reflect.VisibleFields(typ), func(f reflect.StructField) bool { return hasAddress(f.Type) })
	}
	return false
}

// openAlone gives a cluster without a server.
func openAlone(t *testing.T, cfg Config) *Cluster {
	t.Helper()
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestEachListenersClientsLearnItsOwnAddress, in every version of every API that
// has one, and everything else is the same.
func TestEachListenersClientsLearnItsOwnAddress(t *testing.T) {
	c := openAlone(t, Config{Seed: []Topic{{"t", 3}}})
	s, err := kring.New(kring.Config{
		Engine:    kring.EnginePortable,
		Listeners: []kring.ListenerConfig{{Name: "PLAINTEXT", Address: "127.0.0.1:0"}, {Name: "SHORT", Address: "127.0.0.1:0"}, {Name: "LONG", Address: "127.0.0.1:0"}},
	}, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		_ = s.Shutdown(ctx)
	})
	own := []kafka.Address{{Host: "broker.example.org", Port: 9092}, {Host: "a", Port: 1}, {Host: strings.Repeat("long.", 50) + "example", Port: 65535}}
	c.AdvertiseOn("SHORT", own[1].Host, uint16(own[1].Port))
	c.AdvertiseOn("LONG", own[2].Host, uint16(own[2].Port))
	c.Advertise(own[0].Host, uint16(own[0].Port))
	for key := range withAddress {
		if withAddress[key] != "readdress" {
			continue
		}
		if key == kmsg.Metadata { // one that creates takes another way
			for i, at := range s.Addrs() {
				m := addressRequest(key, 12).(*kmsg.MetadataRequest)
				m.AllowAutoTopicCreation = true
				m.Topics[0].Topic = kmsg.StringPtr(strings.Repeat("n", i+1))
				if got := takeAddresses(askRaw(t, at.String(), m)); got[0] != own[i] {
					t.Errorf("Metadata that creates, on listener %d: %v, want %v", i, got, own[i])
				}
			}
		}
		for version := int16(0); version <= kmsg.RequestForKey(int16(key)).MaxVersion(); version++ {
			if !c.Versions().Supported(int16(key), version) {
				continue
			}
			var rest []kmsg.Response
			for i, at := range s.Addrs() {
				resp := askRaw(t, at.String(), addressRequest(key, version))
				for _, got := range takeAddresses(resp) {
					if got != own[i] {
						t.Errorf("%s v%d on listener %d: %v, want %v", kmsg.NameForKey(int16(key)), version, i, got, own[i])
					}
				}
				rest = append(rest, resp)
			}
			if !reflect.DeepEqual(rest[0], rest[1]) || !reflect.DeepEqual(rest[0], rest[2]) {
				t.Errorf("%s v%d: the answers differ in more than addresses", kmsg.NameForKey(int16(key)), version)
			}
		}
	}
}

// addressRequest asks for something that has an address in its answer.
func addressRequest(key kmsg.Key, version int16) kmsg.Request {
	switch key {
	case kmsg.Metadata:
		m := kmsg.NewPtrMetadataRequest()
		m.Version = version
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr("t")
		m.Topics = append(m.Topics, topic)
		return m
	case kmsg.FindCoordinator:
		f := kmsg.NewPtrFindCoordinatorRequest()
		f.Version, f.CoordinatorKey, f.CoordinatorKeys = version, "g", []string{"g", "h"}
		return f
	}
	d := kmsg.NewPtrDescribeClusterRequest()
	d.Version = version
	if version >= 1 {
		d.EndpointType = 1
	}
	return d
}

// takeAddresses gives the addresses in a response, one at least, and leaves none.
func takeAddresses(resp kmsg.Response) (all []kafka.Address) {
	take := func(host *string, port *int32) {
		all = append(all, kafka.Address{Host: *host, Port: *port})
		*host, *port = "", 0
	}
	switch resp := resp.(type) {
	case *kmsg.MetadataResponse:
		for i := range resp.Brokers {
			take(&resp.Brokers[i].Host, &resp.Brokers[i].Port)
		}
		for i := range resp.Topics { // kfake has them in any order
			slices.SortFunc(resp.Topics[i].Partitions, func(a, b kmsg.MetadataResponseTopicPartition) int { return int(a.Partition - b.Partition) })
		}
	case *kmsg.FindCoordinatorResponse:
		if resp.Version < 4 {
			take(&resp.Host, &resp.Port)
		}
		for i := range resp.Coordinators {
			take(&resp.Coordinators[i].Host, &resp.Coordinators[i].Port)
		}
	case *kmsg.DescribeClusterResponse:
		for i := range resp.Brokers {
			take(&resp.Brokers[i].Host, &resp.Brokers[i].Port)
		}
	}
	if len(all) == 0 {
		all = append(all, kafka.Address{Host: "none"})
	}
	return all
}

// askRaw sends one request on a connection of its own and decodes the answer.
func askRaw(t *testing.T, addr string, req kmsg.Request) kmsg.Response {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(deadline))
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 7)); err != nil {
		t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		t.Fatalf("%T v%d: %v", req, req.GetVersion(), err)
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, frame); err != nil {
		t.Fatal(err)
	}
	resp := req.ResponseKind()
	if err := resp.ReadFrom(frame[len(kafka.AppendResponseHeader(nil, req.Key(), req.GetVersion(), 0)):]); err != nil {
		t.Fatalf("%T v%d: %v", req, req.GetVersion(), err)
	}
	return resp
}

// FuzzReaddressMetadata: whatever the bytes are, none is made up.
func FuzzReaddressMetadata(f *testing.F) {
	f.Add(int16(1), []byte{0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 0, 1})
	f.Add(int16(9), []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 'a', 0, 0, 0, 1})
	f.Add(int16(12), []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 2})
	f.Fuzz(func(t *testing.T, version int16, response []byte) {
		if version < 0 || version > 13 {
			return
		}
		moved := readdressMetadata(version, slices.Clip(response), kafka.Address{Host: "host", Port: 9092})
		if moved != nil && len(moved) > len(response)+len("host")+2 {
			t.Errorf("%d bytes became %d", len(response), len(moved))
		}
	})
}

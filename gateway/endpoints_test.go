package gateway

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"kring/internal/kmsgtest"
	"kring/kafka"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var hostOrPort = regexp.MustCompile(`Host|Port|Endpoint|Listener|Address`)

// decided says of every field of a kmsg message that sounds like an address what is done
// with it. "rewritten" ones have to be in endpointLayouts.
var decided = map[string]string{
	"MetadataResponse.Brokers.Host": "rewritten", "MetadataResponse.Brokers.Port": "rewritten",
	"FindCoordinatorResponse.Host": "rewritten", "FindCoordinatorResponse.Port": "rewritten",
	"FindCoordinatorResponse.Coordinators.Host": "rewritten", "FindCoordinatorResponse.Coordinators.Port": "rewritten",
	"DescribeClusterResponse.Brokers.Host": "rewritten", "DescribeClusterResponse.Brokers.Port": "rewritten",
	"ProduceResponse.Brokers.Host": "rewritten", "ProduceResponse.Brokers.Port": "rewritten",
	"FetchResponse.Brokers.Host": "rewritten", "FetchResponse.Brokers.Port": "rewritten",
	"ShareFetchResponse.NodeEndpoints": "rewritten", "ShareFetchResponse.NodeEndpoints.Host": "rewritten", "ShareFetchResponse.NodeEndpoints.Port": "rewritten",
	"ShareAcknowledgeResponse.NodeEndpoints": "rewritten", "ShareAcknowledgeResponse.NodeEndpoints.Host": "rewritten", "ShareAcknowledgeResponse.NodeEndpoints.Port": "rewritten",

	"DescribeClusterRequest.EndpointType":  "says which kind is asked for",
	"DescribeClusterResponse.EndpointType": "says which kind was asked for",

	"DescribeGroupsResponse.Groups.Members.ClientHost":        "a client's: what the broker sees, which is the gateway",
	"ConsumerGroupDescribeResponse.Groups.Members.ClientHost": "likewise",
	"ShareGroupDescribeResponse.Groups.Members.ClientHost":    "likewise",
	"StreamsGroupDescribeResponse.Groups.Members.ClientHost":  "likewise",

	"StreamsGroupHeartbeatRequest.UserEndpoint":                                "the application's own address: never touched",
	"StreamsGroupHeartbeatRequest.UserEndpoint.Host":                           "the application's own address: never touched",
	"StreamsGroupHeartbeatRequest.UserEndpoint.Port":                           "the application's own address: never touched",
	"StreamsGroupHeartbeatResponse.PartitionsByUserEndpoint":                   "the application's own address: never touched",
	"StreamsGroupHeartbeatResponse.PartitionsByUserEndpoint.UserEndpoint":      "the application's own address: never touched",
	"StreamsGroupHeartbeatResponse.PartitionsByUserEndpoint.UserEndpoint.Host": "the application's own address: never touched",
	"StreamsGroupHeartbeatResponse.PartitionsByUserEndpoint.UserEndpoint.Port": "the application's own address: never touched",
	"StreamsGroupHeartbeatResponse.EndpointInformationEpoch":                   "a number",
	"StreamsGroupHeartbeatRequest.EndpointInformationEpoch":                    "a number",
	"StreamsGroupDescribeResponse.Groups.Members.UserEndpoint":                 "the application's own address: never touched",
	"StreamsGroupDescribeResponse.Groups.Members.UserEndpoint.Host":            "the application's own address: never touched",
	"StreamsGroupDescribeResponse.Groups.Members.UserEndpoint.Port":            "the application's own address: never touched",

	"DescribeACLsRequest.Host":                     "of an ACL: what the broker compares with the gateway's address",
	"DescribeACLsResponse.Resources.ACLs.Host":     "likewise",
	"CreateACLsRequest.Creations.Host":             "likewise",
	"DeleteACLsRequest.Filters.Host":               "likewise",
	"DeleteACLsResponse.Results.MatchingACLs.Host": "likewise",
	"DescribeQuorumResponse.Nodes.Listeners":       "controllers' listeners: known, shown as they are",
	"DescribeQuorumResponse.Nodes.Listeners.Host":  "controllers' listeners: known, shown as they are",
	"DescribeQuorumResponse.Nodes.Listeners.Port":  "controllers' listeners: known, shown as they are",
	"AddRaftVoterRequest.Listeners":                "a controller's, as an administrator gives it",
	"AddRaftVoterRequest.Listeners.Host":           "a controller's, as an administrator gives it",
	"AddRaftVoterRequest.Listeners.Port":           "a controller's, as an administrator gives it",
}

// TestEveryHostAndPortIsDecidedAbout walks all messages that kmsg knows: a new version of
// it, with a new field that has an address, fails here until somebody decides.
func TestEveryHostAndPortIsDecidedAbout(t *testing.T) {
	seen, rewritten := map[string]bool{}, map[int16]bool{}
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		req := kmsg.RequestForKey(key)
		if req == nil || betweenServers(key) {
			continue
		}
		for _, message := range []any{req, req.ResponseKind()} {
			walkFields(reflect.TypeOf(message).Elem(), reflect.TypeOf(message).Elem().Name(), func(path string) {
				if !hostOrPort.MatchString(path[strings.LastIndexByte(path, '.')+1:]) {
					return
				}
				seen[path] = true
				if decided[path] == "" {
					t.Errorf("%s (key %d) sounds like an address, and nobody has decided about it: rewrite it (endpointLayouts) or say here why not", path, key)
				}
				if decided[path] == "rewritten" {
					rewritten[key] = true
				}
			})
		}
	}
	for path := range decided {
		if !seen[path] {
			t.Errorf("%s is decided about, and does not exist", path)
		}
	}
	for key := range endpointLayouts {
		if !rewritten[key] {
			t.Errorf("key %d has a layout, and nothing in it is rewritten", key)
		}
	}
	for key := range rewritten {
		if _, has := endpointLayouts[key]; !has {
			t.Errorf("key %d is to be rewritten, and has no layout", key)
		}
	}
}

func walkFields(of reflect.Type, path string, f func(path string)) {
	for of.Kind() == reflect.Slice || of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[kmsg.Tags]() {
		return
	}
	for i := range of.NumField() {
		at := path + "." + of.Field(i).Name
		f(at)
		walkFields(of.Field(i).Type, at, f)
	}
}

// randomResponse is a response of key with random content, with the fields that version has.
func randomResponse(r *rand.Rand, key, version int16) kmsg.Response {
	resp := kmsg.ResponseForKey(key)
	kmsgtest.Fill(r, reflect.ValueOf(resp).Elem())
	resp.SetVersion(version)
	again := kmsg.ResponseForKey(key) // without what the version lacks
	again.SetVersion(version)
	if err := again.ReadFrom(resp.AppendTo(nil)); err != nil {
		panic(fmt.Sprintf("key %d version %d: %v", key, version, err))
	}
	return again
}

func responsePayload(resp kmsg.Response, correlation int32) []byte {
	return resp.AppendTo(kafka.AppendResponseHeader(nil, resp.Key(), resp.GetVersion(), correlation))
}

// setEndpoints gives all that has a node id, a host and a port what of says.
func setEndpoints(v reflect.Value, of func(Endpoint) kafka.Address) {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			setEndpoints(v.Index(i), of)
		}
	case reflect.Struct:
		node, host, port := v.FieldByName("NodeID"), v.FieldByName("Host"), v.FieldByName("Port")
		if node.IsValid() && host.IsValid() && port.IsValid() {
			e := Endpoint{int32(node.Int()), []byte(host.String()), int32(port.Int())}
			if e.Node != -1 || len(e.Host) > 0 {
				a := of(e)
				host.SetString(a.Host)
				port.SetInt(int64(a.Port))
			}
		}
		for i := range v.NumField() {
			setEndpoints(v.Field(i), of)
		}
	}
}

// TestEveryAddressInEveryVersionIsRewritten compares with what kmsg makes of the same
// response with the addresses replaced: nothing else may change.
func TestEveryAddressInEveryVersionIsRewritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	of := func(e Endpoint) kafka.Address {
		if e.Node%3 == 0 { // some stay
			return kafka.Address{Host: string(e.Host), Port: e.Port}
		}
		return kafka.Address{Host: strings.Repeat("g", int(uint32(e.Node)%200)), Port: e.Port ^ 0x55}
	}
	for key, l := range endpointLayouts {
		for version := l.from; version <= kmsg.RequestForKey(key).MaxVersion(); version++ {
			for range 50 {
				resp := randomResponse(r, key, version)
				got := responsePayload(resp, 7)
				edits, err := rewriteEndpoints(key, version, got, of)
				if err != nil {
					t.Fatalf("key %d version %d: %v", key, version, err)
				}
				setEndpoints(reflect.ValueOf(resp).Elem(), of)
				want := responsePayload(resp, 7)
				if appended := appendEdited(nil, got, edits); !bytes.Equal(appended, want) {
					t.Fatalf("key %d version %d: got\n%x\nwant\n%x", key, version, appended, want)
				}
				if len(want)-len(got) != grownBy(edits) {
					t.Fatalf("key %d version %d: grows by %d, not %d", key, version, len(want)-len(got), grownBy(edits))
				}
				if len(edits) > 0 {
					if in := editTail(append(make([]byte, 0, len(got)+4096), got...), edits); !bytes.Equal(in, want) {
						t.Fatalf("key %d version %d: in place got\n%x\nwant\n%x", key, version, in, want)
					}
				}
			}
		}
	}
}

// TestABrokenResponseIsAnErrorAndNothingElse cuts responses short at every byte.
func TestABrokenResponseIsAnErrorAndNothingElse(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	to := func(Endpoint) kafka.Address { return kafka.Address{Host: "gateway", Port: 1} }
	for key, l := range endpointLayouts {
		for version := l.from; version <= kmsg.RequestForKey(key).MaxVersion(); version++ {
			whole := responsePayload(randomResponse(r, key, version), 7)
			for n := range whole {
				if _, err := rewriteEndpoints(key, version, whole[:n:n], to); err == nil && endpointsLast(key) && key <= keyFetch {
					t.Fatalf("key %d version %d: %d of %d bytes are no error", key, version, n, len(whole))
				}
			}
		}
	}
}

func FuzzEndpoints(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for key, l := range endpointLayouts {
		for version := l.from; version <= kmsg.RequestForKey(key).MaxVersion(); version++ {
			f.Add(key, version, responsePayload(randomResponse(r, key, version), 7))
		}
	}
	f.Fuzz(func(t *testing.T, key, version int16, response []byte) {
		req := kmsg.RequestForKey(key)
		if req == nil || version < 0 || version > req.MaxVersion() {
			return
		}
		asked := 0
		edits, err := rewriteEndpoints(key, version, response, func(e Endpoint) kafka.Address {
			asked++
			return kafka.Address{Host: "a-host-name", Port: e.Port + 1}
		})
		if err != nil {
			return
		}
		before := bytes.Clone(response)
		got := appendEdited(nil, response, edits)
		if !bytes.Equal(before, response) || len(got) != len(response)+grownBy(edits) {
			t.Fatal("edits do not add up")
		}
		again := 0
		if _, err := rewriteEndpoints(key, version, got, func(e Endpoint) kafka.Address {
			again++
			if string(e.Host) != "a-host-name" {
				t.Fatalf("host %q was left", e.Host)
			}
			return kafka.Address{Host: string(e.Host), Port: e.Port}
		}); err != nil || again != asked {
			t.Fatalf("what was rewritten has %d addresses, not %d: %v", again, asked, err)
		}
	})
}

// TestRecordsAreSteppedOver: the time does not depend on how many bytes of records there
// are, and nothing is copied.
func TestRecordsAreSteppedOver(t *testing.T) {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = 17
	topic, partition := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
	partition.RecordBatches = make([]byte, 1<<20)
	topic.Partitions = append(topic.Partitions, partition)
	resp.Topics = append(resp.Topics, topic)
	b := responsePayload(resp, 1)
	allocs := testing.AllocsPerRun(100, func() {
		if edits, err := rewriteEndpoints(keyFetch, 17, b, nil); len(edits) > 0 || err != nil {
			t.Fatal(edits, err)
		}
	})
	if allocs > 1 {
		t.Errorf("%v allocations", allocs)
	}
}

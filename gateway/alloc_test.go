//go:build !race && !invariants

package gateway

import (
	"io"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/kafka"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// answersAtOnce is a broker of node id 0 that has nothing to look up, and allocates nothing.
type answersAtOnce struct {
	versions kafka.Versions
	address  func() kafka.Address
}

func (b *answersAtOnce) HandleAPI(r kafka.APIRequest) {
	switch r.Header.Key {
	case keyApiVersions:
		b.versions.Answer(r)
	case keyMetadata:
		resp := kmsg.NewPtrMetadataResponse()
		resp.Version = r.Header.Version
		at := b.address()
		resp.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 0, Host: at.Host, Port: at.Port}}
		r.Respond(resp)
	default:
		r.RespondBody(offsetsOfNothing[:])
	}
}

// offsetsOfNothing is the body of a ListOffsets response without topics: no throttle, none.
var offsetsOfNothing [8]byte

// A request through a gateway allocates nothing on its whole way, upstream and back, but what
// keeps the buffer that it was received in: that is one thing for all that came together. (The
// assertions of the other builds allocate, and so does Go's net.)
func TestARequestThroughTheGatewayAllocatesNothing(t *testing.T) {
	for _, engine := range servertest.Engines() {
		if engine == kring.EnginePortable {
			continue
		}
		for name, mode := range modes {
			t.Run(string(engine)+"/"+name, func(t *testing.T) { gatewayAllocations(t, engine, mode) })
		}
	}
}

func gatewayAllocations(t *testing.T, engine kring.Engine, mode Mode) {
	inline := kring.Config{Engine: engine, Listeners: []kring.ListenerConfig{{Address: "127.0.0.1:0"}}, Dispatch: kring.DispatchConfig{Mode: kring.DispatchInline}, Limits: kring.LimitsConfig{PipelineMax: 16}}
	versions, err := kafka.NewVersions(kafka.VersionRange{Key: keyApiVersions, Max: 4}, kafka.VersionRange{Key: keyMetadata, Max: 12}, kafka.VersionRange{Key: 2, Max: 5})
	if err != nil {
		t.Fatal(err)
	}
	answering := &answersAtOnce{versions: versions}
	upstream := servertest.Start(t, inline, kafka.NewFilter(versions, answering))
	at, err := kafka.ParseAddress(upstream.Listeners()[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	answering.address = func() kafka.Address { return at }
	dialer := NewServerDialer(nil)
	g, err := New(Config{Bootstrap: []kafka.Address{at}, Mode: mode, Addressing: Addressing{Names: "node-$(node).test", NamesPort: 9092},
		NodeOf: func(*kring.Conn) int32 { return 0 },
		Events: Events{BrokerDown: func(node int32, _ kafka.Address, err error) { t.Errorf("broker %d: %v", node, err) }}}, dialer)
	if err != nil {
		t.Fatal(err)
	}
	server := servertest.Start(t, inline, kafka.NewFilter(Served(), g))
	dialer.Use(server)
	g.Start()
	t.Cleanup(g.Close)

	for _, depth := range []int{1, 4} {
		const rounds = 64
		if n, most := allocationsOf(t, servertest.Dial(t, server), rounds, depth); n > most {
			t.Errorf("%d at a time: %v allocations in %d requests, want %v at most", depth, n, rounds*depth, most)
		}
	}
}

// allocationsOf are those of requests that a client sends depth at a time, and how many there may be:
// how many requests come together is the system's to say, so that each may keep a buffer; and the
// gateway's clock looks at each broker, the more often the longer they take.
func allocationsOf(t *testing.T, c *servertest.Client, rounds, depth int) (n, most float64) {
	t.Helper()
	var ask []byte
	for i := range depth {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version, req.ReplicaID = 2, -1
		ask = append(ask, kmsg.NewRequestFormatter(kmsg.FormatterClientID("c")).AppendRequest(nil, req, int32(i))...)
	}
	answer := make([]byte, depth*(4+4+len(offsetsOfNothing)))
	exchange := func() {
		for range rounds {
			if _, err := c.Write(ask); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, answer); err != nil {
				t.Fatal(err)
			}
		}
	}
	exchange()
	const runs, ofTick = 4, 12
	for tries := 0; tries == 0 || n > most && tries < 20; tries++ {
		began := time.Now()
		n = testing.AllocsPerRun(runs, exchange)
		most = float64(rounds*depth) + ofTick*(1+float64(time.Since(began)/runs/tickEvery))
	}
	return n, most
}

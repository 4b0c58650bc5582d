package kafka

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// NullConfig configures a Null. The zero value works.
type NullConfig struct {
	// Advertise is the host:port that clients are told to connect to. Empty means the
	// local address of the client's connection, which is right unless something
	// translates addresses on the way. Clients of a Unix domain socket are then told no
	// host.
	Advertise string
	// AdvertiseOn is the same for the clients of single listeners, by their names
	// (KIP-103).
	AdvertiseOn map[string]string
	// PartitionsDefault is how many partitions a topic gets if the request has no
	// number; 0 means 4.
	PartitionsDefault int
	// PartitionsMax is how many partitions a topic may have; 0 means 1024. Together with
	// TopicsMax it bounds the memory: 8 bytes a partition.
	PartitionsMax int
	// TopicsMax is how many topics may exist; 0 means 4096.
	TopicsMax int
	// FetchWaitMax bounds how long a Fetch waits (there are never records); 0 means 30
	// seconds.
	FetchWaitMax time.Duration
	// Telemetry has the APIs of client telemetry served, which the Filter in front answers
	// (Filter.Telemetry).
	Telemetry bool
}

func (c NullConfig) withDefaults() NullConfig {
	orDefault := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	orDefault(&c.PartitionsMax, 1024)
	orDefault(&c.PartitionsDefault, min(4, c.PartitionsMax))
	orDefault(&c.TopicsMax, 4096)
	if c.FetchWaitMax == 0 {
		c.FetchWaitMax = 30 * time.Second
	}
	return c
}

// Validate reports every fault at once.
func (c NullConfig) Validate() error {
	c = c.withDefaults()
	var faults []error
	fault := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	if c.Advertise != "" {
		_, err := ParseAddress(c.Advertise)
		fault(err == nil, "Advertise %q: %w; give host:port", c.Advertise, err)
	}
	for _, listener := range slices.Sorted(maps.Keys(c.AdvertiseOn)) {
		_, err := ParseAddress(c.AdvertiseOn[listener])
		fault(err == nil, "AdvertiseOn[%s] %q: %w; give host:port", listener, c.AdvertiseOn[listener], err)
	}
	fault(c.PartitionsMax > 0, "PartitionsMax %d: give at least 1", c.PartitionsMax)
	fault(c.PartitionsDefault > 0 && c.PartitionsDefault <= c.PartitionsMax,
		"PartitionsDefault %d: give 1 to PartitionsMax (%d)", c.PartitionsDefault, c.PartitionsMax)
	fault(c.TopicsMax > 0, "TopicsMax %d: give at least 1", c.TopicsMax)
	fault(c.FetchWaitMax > 0, "FetchWaitMax %v: give a positive duration", c.FetchWaitMax)
	if len(faults) > 0 {
		return fmt.Errorf("kafka: null handler: %w", errors.Join(faults...))
	}
	return nil
}

// Null is an APIHandler that speaks Kafka and throws data away: it measures the
// network layer. Every topic that anybody asks for exists from then on. Produce
// is acknowledged with offsets that grow, idempotent or not; whatever was
// produced is gone at once, so that the log always starts where it ends and
// Fetch waits in vain. There are no groups and no transactions.
//
// Put it behind a Filter: NewFilter(n.Versions(), n).
type Null struct {
	config   NullConfig
	address  Address                            // of Advertise
	on       atomic.Pointer[map[string]Address] // of AdvertiseOn; replaced, never changed
	versions Versions
	topics   nullTopics
	waits    fetchWaits
	// lastProducer is the last producer id that was assigned.
	lastProducer atomic.Int64
}

// nullVersions is what Null serves: all versions, except those of ListOffsets that ask
// for more than one offset, those of ApiVersions that check the server's identity, and
// those of Produce that Apache Kafka 4 refuses.
var nullVersions = []VersionRange{
	{keyProduce, 3, 13}, {1, 0, 18}, {2, 1, 11}, {3, 0, 13}, {10, 0, 6}, {keyApiVersions, 0, 4}, {19, 0, 7}, {22, 0, 5},
}

// NewNull makes a Null.
func NewNull(c NullConfig) (*Null, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n := &Null{config: c.withDefaults()}
	n.on.Store(&map[string]Address{})
	if c.Advertise != "" {
		n.address, _ = ParseAddress(c.Advertise) // checked by Validate
	}
	for listener, address := range c.AdvertiseOn {
		at, _ := ParseAddress(address)
		n.AdvertiseOn(listener, at)
	}
	var err error
	served := nullVersions
	if c.Telemetry {
		served = slices.Concat(served, TelemetryVersions())
	}
	if n.versions, err = NewVersions(served...); err != nil {
		return nil, err
	}
	n.topics.init(n.config)
	return n, nil
}

// Versions is what n serves.
func (n *Null) Versions() Versions { return n.versions }

// HandleAPI serves one request.
func (n *Null) HandleAPI(r APIRequest) {
	switch r.Header.Key {
	case keyProduce:
		n.produce(r)
		return
	case keyApiVersions:
		n.versions.Answer(r)
		return
	}
	req, err := r.Decode()
	if err != nil {
		r.CloseConnection(reqchan.BodyMalformed)
		return
	}
	switch req := req.(type) {
	case *kmsg.MetadataRequest:
		r.Respond(n.metadata(req, r.Raw.Conn()))
	case *kmsg.FetchRequest:
		n.fetch(r, req)
	case *kmsg.ListOffsetsRequest:
		r.Respond(n.listOffsets(req))
	case *kmsg.CreateTopicsRequest:
		r.Respond(n.createTopics(req))
	case *kmsg.InitProducerIDRequest:
		r.Respond(n.initProducerID(req))
	case *kmsg.FindCoordinatorRequest:
		r.Respond(findCoordinator(req))
	default:
		r.CloseConnection(reqchan.UnknownAPI)
	}
}

// Close answers every waiting Fetch at once, and later ones without a wait, so that a
// server can drain.
func (n *Null) Close() { n.waits.close() }

// initProducerID assigns producer ids; a known one gets its next epoch.
func (n *Null) initProducerID(req *kmsg.InitProducerIDRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	if req.ProducerID >= 0 && req.ProducerEpoch >= 0 && req.ProducerEpoch < math.MaxInt16 {
		resp.ProducerID, resp.ProducerEpoch = req.ProducerID, req.ProducerEpoch+1
		return resp
	}
	resp.ProducerID, resp.ProducerEpoch = n.lastProducer.Add(1), 0
	return resp
}

// findCoordinator tells group members and transactions to try again later: a consumer
// starts and keeps asking, and does not fail.
func findCoordinator(req *kmsg.FindCoordinatorRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	why := kmsg.StringPtr("the null handler keeps no groups and no transactions")
	resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Port = codeCoordinatorNotAvailable, why, -1, -1
	for _, key := range req.CoordinatorKeys {
		c := kmsg.NewFindCoordinatorResponseCoordinator()
		c.Key, c.ErrorCode, c.ErrorMessage, c.NodeID, c.Port = key, codeCoordinatorNotAvailable, why, -1, -1
		resp.Coordinators = append(resp.Coordinators, c)
	}
	return resp
}

// AdvertiseOn changes the address that clients of a listener are told. One goroutine may
// call it at a time, while requests are served.
func (n *Null) AdvertiseOn(listener string, at Address) {
	on := maps.Clone(*n.on.Load())
	on[listener] = at
	n.on.Store(&on)
}

// advertised is the address that the client of c is told.
func (n *Null) advertised(c *reqchan.Conn) Address {
	if c == nil {
		return n.address
	}
	if own, ok := (*n.on.Load())[c.Listener]; ok {
		return own
	}
	if n.address.Host != "" || !c.Local.IsValid() {
		return n.address
	}
	return Address{c.Local.Addr().Unmap().WithZone("").String(), int32(c.Local.Port())}
}

package embedded

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// notServed are the APIs of kfake that are neither announced nor let in.
//
// The two of client telemetry (KIP-714): kfake takes what clients push and keeps
// nothing of it. They are announced where Config.Telemetry receives it. Apache Kafka
// announces them only where a plug-in receives, and librdkafka logs an error for each
// client where they lead nowhere.
var notServed = []int16{int16(kmsg.GetTelemetrySubscriptions), int16(kmsg.PushTelemetry)}

// ours are the versions of APIs of which we serve some, or all, without kfake,
// instead of those that kfake has.
//
// SASLHandshake: both versions are refused alike where there is no SASL, and for
// librdkafka a broker without version 0 has no handshake at all.
//
// DescribeQuorum: kfake does not have it, and admin tools ask for it.
//
// OffsetForLeaderEpoch: kfake lacks version 2, the only one that librdkafka has;
// see endsOfEpochs. The others go to kfake.
var ours = []kafka.VersionRange{
	{Key: int16(kmsg.SASLHandshake), Min: 0, Max: 1},
	{Key: int16(kmsg.DescribeQuorum), Min: 0, Max: 2},
	{Key: int16(kmsg.OffsetForLeaderEpoch), Min: 2, Max: 4},
}

// servedOf turns what kfake announces into what we serve, with the APIs of more, which the
// filter in front serves.
func servedOf(resp *kmsg.ApiVersionsResponse, more []kafka.VersionRange) (kafka.Versions, error) {
	resp.ApiKeys = slices.DeleteFunc(resp.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool {
		return slices.Contains(notServed, k.ApiKey) ||
			slices.ContainsFunc(ours, func(r kafka.VersionRange) bool { return r.Key == k.ApiKey })
	})
	for _, r := range slices.Concat(ours, more) {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = r.Key, r.Min, r.Max
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	return kafka.VersionsOf(resp)
}

// apiVersionsSame is the last version of ApiVersions whose answer is the same
// for everybody: the next one checks whom the client takes us for (KIP-1242).
// Every connection begins by asking this, and need not wait for a session for it.
const apiVersionsSame = 4

// announceVersions says in kfake's answer what we announce.
func announceVersions(x *exchange, _ *kmsg.ApiVersionsRequest) kmsg.Response {
	then(x, func(resp *kmsg.ApiVersionsResponse) {
		if resp.ErrorCode == 0 {
			x.cluster().versions.Announce(resp)
		}
	})
	return nil
}

// askVersions asks kfake what it serves, as a client would, and keeps what we
// answer to that in every version that is the same for everybody.
func (c *Cluster) askVersions() (served kafka.Versions, err error) {
	var bodies [][]byte
	var more []kafka.VersionRange
	if c.cfg.Telemetry != nil {
		more = kafka.TelemetryVersions()
	}
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "kring", "1" // the form is checked
	for version := int16(0); version <= apiVersionsSame; version++ {
		req.Version = version
		said, err := c.inside.ask(req)
		if err != nil {
			return kafka.Versions{}, err
		}
		resp := said.(*kmsg.ApiVersionsResponse)
		if served, err = servedOf(resp, more); err != nil {
			return kafka.Versions{}, err
		}
		served.Announce(resp)
		bodies = append(bodies, resp.AppendTo(nil))
	}
	c.apiVersions.Store(&bodies)
	return served, nil
}

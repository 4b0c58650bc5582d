package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// Error codes of the protocol that this package answers with.
const (
	codeOffsetOutOfRange          = 1
	codeUnknownTopicOrPartition   = 3
	codeCoordinatorNotAvailable   = 15
	codeInvalidTopic              = 17
	codeUnsupportedVersion        = 35
	codeTopicAlreadyExists        = 36
	codeInvalidPartitions         = 37
	codeInvalidReplicationFactor  = 38
	codeInvalidRequest            = 42
	codePolicyViolation           = 44
	codeFetchSessionIDNotFound    = 70
	codeUnknownTopicID            = 100
	softwareVersionFrom           = 3 // the ApiVersions version that names the client's software (KIP-511)
	apiVersionsUnsupportedVersion = 0 // the version that every client understands
)

// apiVersionsBodies holds every ApiVersions answer that a table of versions can
// give, encoded once: what a client asks first costs no encoding.
type apiVersionsBodies struct {
	served      [][]byte // index: version
	invalid     [][]byte // index: version; the client's software name was refused
	unsupported []byte   // in version 0
}

func newApiVersionsBodies(v Versions) *apiVersionsBodies {
	b := &apiVersionsBodies{unsupported: apiVersionsBody(v.sorted, apiVersionsUnsupportedVersion, codeUnsupportedVersion)}
	for version := int16(0); version <= describe(keyApiVersions).max; version++ {
		b.served = append(b.served, apiVersionsBody(v.sorted, version, 0))
		b.invalid = append(b.invalid, apiVersionsBody(nil, version, codeInvalidRequest))
	}
	return b
}

func apiVersionsBody(ranges []VersionRange, version, code int16) []byte {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.Version, resp.ErrorCode = version, code
	for _, r := range ranges {
		key := kmsg.NewApiVersionsResponseApiKey()
		key.ApiKey, key.MinVersion, key.MaxVersion = r.Key, r.Min, r.Max
		resp.ApiKeys = append(resp.ApiKeys, key)
	}
	return resp.AppendTo(nil)
}

package kafka

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Error codes of the protocol that this package answers with.
const (
	codeOffsetOutOfRange          = 1
	codeUnknownTopicOrPartition   = 3
	codeRequestTimedOut           = 7
	codeCoordinatorNotAvailable   = 15
	codeInvalidTopic              = 17
	codeUnsupportedSASLMechanism  = 33
	codeIllegalSASLState          = 34
	codeUnsupportedVersion        = 35
	codeTopicAlreadyExists        = 36
	codeInvalidPartitions         = 37
	codeInvalidReplicationFactor  = 38
	codeInvalidRequest            = 42
	codePolicyViolation           = 44
	codeStorageError              = 56
	codeSASLAuthenticationFailed  = 58
	codeFetchSessionIDNotFound    = 70
	codeUnacceptableCredential    = 93
	codeResourceNotFound          = 91
	codeDuplicateResource         = 92
	codeUnknownTopicID            = 100
	softwareVersionFrom           = 3 // the ApiVersions version that names the client's software (KIP-511)
	apiVersionsUnsupportedVersion = 0 // the version that every client understands
)

// apiVersionsBodies holds every ApiVersions response of a table of versions, encoded
// once: the first request of every client costs no encoding.
type apiVersionsBodies struct {
	served      [][]byte // index: version
	invalid     [][]byte // index: version; the client's software name was refused
	unsupported []byte   // in version 0
}

func newApiVersionsBodies(v Versions) *apiVersionsBodies {
	b := &apiVersionsBodies{unsupported: apiVersionsBody(v, apiVersionsUnsupportedVersion, codeUnsupportedVersion)}
	for version := int16(0); version <= describe(keyApiVersions).max; version++ {
		b.served = append(b.served, apiVersionsBody(v, version, 0))
		b.invalid = append(b.invalid, apiVersionsBody(Versions{}, version, codeInvalidRequest))
	}
	return b
}

func apiVersionsBody(v Versions, version, code int16) []byte {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.Version, resp.ErrorCode = version, code
	v.Announce(resp)
	return resp.AppendTo(nil)
}

// featuresFrom0 is the first version of an ApiVersions response that may name a
// supported feature whose lowest level is 0.
const featuresFrom0 = 4

// Announce puts what v announces into an ApiVersions response. It removes what clients
// of the response's version can't read: up to version 3, supported features whose lowest
// level is 0. Java clients from 3.3 to 3.7 fail on them, and Apache Kafka removes them
// too (KAFKA-17011, KAFKA-17492).
func (v Versions) Announce(resp *kmsg.ApiVersionsResponse) {
	resp.ApiKeys = nil
	for _, r := range v.announced {
		key := kmsg.NewApiVersionsResponseApiKey()
		key.ApiKey, key.MinVersion, key.MaxVersion = r.Key, r.Min, r.Max
		resp.ApiKeys = append(resp.ApiKeys, key)
	}
	if resp.Version < featuresFrom0 {
		resp.SupportedFeatures = slices.DeleteFunc(resp.SupportedFeatures,
			func(f kmsg.ApiVersionsResponseSupportedFeature) bool { return f.MinVersion <= 0 })
	}
}

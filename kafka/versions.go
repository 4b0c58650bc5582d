package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// VersionRange is one API and the versions of it that are served, or announced.
type VersionRange struct {
	Key, Min, Max int16
}

// Versions is what is served, and what ApiVersions announces of it, which is not
// always the same. The zero value serves nothing. It never changes.
type Versions struct {
	sorted    []VersionRange
	byKey     []VersionRange // index: key; Max < Min where the key is not served
	announced []VersionRange // beside sorted
	bodies    *apiVersionsBodies
}

// announcedFrom is the first version that ApiVersions names of an API, where
// that is not the first that is served.
//
// Produce: librdkafka up to 2.8 assumes that a broker without versions 0 to 2 knows
// neither gzip nor snappy nor lz4, and compresses nothing. So Apache Kafka 4 announces
// 0, and closes the connection of a client that sends it (KAFKA-18659).
var announcedFrom = map[int16]int16{keyProduce: 0}

// NewVersions makes the table; the error names every fault in ranges. ApiVersions (key 18)
// must be one of them: every client asks for it first. Answer it with Versions.Answer.
func NewVersions(ranges ...VersionRange) (Versions, error) {
	v := Versions{byKey: make([]VersionRange, len(descriptions))}
	for key := range v.byKey {
		v.byKey[key] = VersionRange{int16(key), 0, -1}
	}
	var faults []error
	for _, r := range ranges {
		d := describe(r.Key)
		switch {
		case d == nil:
			faults = append(faults, fmt.Errorf("API key %d is unknown; leave it out", r.Key))
		case r.Min < 0 || r.Min > r.Max:
			faults = append(faults, fmt.Errorf("%s: versions %d to %d are no range", d.name, r.Min, r.Max))
		case r.Max > d.max:
			faults = append(faults, fmt.Errorf("%s: version %d is unknown; serve up to %d", d.name, r.Max, d.max))
		case v.byKey[r.Key].Max >= 0:
			faults = append(faults, fmt.Errorf("%s: given twice", d.name))
		default:
			v.byKey[r.Key] = r
			v.sorted = append(v.sorted, r)
		}
	}
	if v.byKey[keyApiVersions].Max < 0 && len(faults) == 0 {
		faults = append(faults, fmt.Errorf("ApiVersions (key %d), which every client asks for first, is not among them: add {Key: %d, Min: 0, Max: %d} and answer it with Versions.Answer",
			keyApiVersions, keyApiVersions, describe(keyApiVersions).max))
	}
	if len(faults) > 0 {
		return Versions{}, fmt.Errorf("kafka: versions: %w", errors.Join(faults...))
	}
	slices.SortFunc(v.sorted, func(a, b VersionRange) int { return cmp.Compare(a.Key, b.Key) })
	v.announced = slices.Clone(v.sorted)
	for i := range v.announced {
		r := &v.announced[i]
		if from, is := announcedFrom[r.Key]; is {
			r.Min = min(r.Min, from)
		}
	}
	v.bodies = newApiVersionsBodies(v)
	return v, nil
}

// VersionsOf makes the table of what another broker announces in its ApiVersions
// response. APIs and versions that this build can't validate are left out.
func VersionsOf(resp *kmsg.ApiVersionsResponse) (Versions, error) {
	var ranges []VersionRange
	for _, k := range resp.ApiKeys {
		if d := describe(k.ApiKey); d != nil && k.MinVersion <= d.max {
			ranges = append(ranges, VersionRange{k.ApiKey, k.MinVersion, min(k.MaxVersion, d.max)})
		}
	}
	return NewVersions(ranges...)
}

// Answer answers an ApiVersions request (key 18) with what v announces, without an
// allocation. A handler that has features to name as well makes a response of its own:
// see Announce.
func (v Versions) Answer(r APIRequest) { r.RespondBody(v.bodies.served[r.Header.Version]) }

// Supported reports whether requests of key in version are served.
func (v Versions) Supported(key, version int16) bool {
	r, ok := v.Range(key)
	return ok && version >= r.Min && version <= r.Max
}

// Range returns the versions of key that are served.
func (v Versions) Range(key int16) (VersionRange, bool) {
	if key < 0 || int(key) >= len(v.byKey) {
		return VersionRange{}, false
	}
	r := v.byKey[key]
	return r, r.Min <= r.Max
}

// All is every API served, in the order of the keys.
func (v Versions) All() []VersionRange { return slices.Clone(v.sorted) }

// Announced is what ApiVersions says of All, in the same order: the versions
// served, but for Produce, which is announced from version 0 on (KAFKA-18659).
func (v Versions) Announced() []VersionRange { return slices.Clone(v.announced) }

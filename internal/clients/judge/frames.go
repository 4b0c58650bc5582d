package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/clients/raw"
)

// payloadOf encodes a request with its header.
func payloadOf(req kmsg.Request, correlation int32) []byte {
	b := raw.Header(req.Key(), req.GetVersion(), correlation)
	if req.IsFlexible() {
		b = append(b, 0)
	}
	return req.AppendTo(b)
}

// asking makes the ask of a request.
func asking(req kmsg.Request, correlation int32) ask {
	return ask{
		frame: raw.Frame(payloadOf(req, correlation)), key: req.Key(), version: req.GetVersion(), correlation: correlation,
	}
}

// bytesAsk is an ask of a payload that is built by hand.
func bytesAsk(key, version int16, payload []byte) ask {
	return ask{frame: raw.Frame(payload), key: key, version: version, correlation: 1}
}

// shared are the APIs that all servers have, with the versions that all have.
func shared(servers []*server) (keys []int16, versions map[int16]versionRange) {
	versions = map[int16]versionRange{}
	for key, r := range servers[0].versions {
		for _, s := range servers[1:] {
			other, served := s.versions[key]
			if !served {
				other = versionRange{1, 0}
			}
			r = versionRange{max(r.min, other.min), min(r.max, other.max)}
		}
		if req := kmsg.RequestForKey(key); req != nil {
			r.max = min(r.max, req.MaxVersion())
			if r.min <= r.max {
				versions[key] = r
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return keys, versions
}

func apiName(key int16) string { return kmsg.NameForKey(key) }

func versionName(v int16) string { return fmt.Sprintf("v%d", v) }

// batch is a record batch of one record without a key.
func batch() []byte { return batchOf(keyless, func(*kmsg.RecordBatch) {}) }

// keyless is a record: attributes, time and offset delta, no key, the value, no
// headers.
var keyless = []byte{0, 0, 0, 1, 10, 'j', 'u', 'd', 'g', 'e', 0}

// batchOf is a record batch of one record, after change.
func batchOf(record []byte, change func(*kmsg.RecordBatch)) []byte {
	b := kmsg.RecordBatch{
		Magic: 2, PartitionLeaderEpoch: -1, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1,
		FirstTimestamp: 1_700_000_000_000, MaxTimestamp: 1_700_000_000_000,
		Records: append([]byte{byte(len(record) << 1)}, record...),
	}
	change(&b)
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

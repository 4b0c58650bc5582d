package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/clients/raw"
)

// transcript is all that is asked.
func transcript(servers []*server) ([]question, error) {
	keys, versions := shared(servers)
	announced, err := announced(servers)
	if err != nil {
		return nil, err
	}
	settings, err := settingsOfATopic(servers)
	if err != nil {
		return nil, err
	}
	var all []question
	all = append(all, sizes()...)
	all = append(all, headers()...)
	all = append(all, pipelines()...)
	all = append(all, ofClients()...)
	all = append(all, announced...)
	all = append(all, creation()...)
	all = append(all, fencing()...)
	all = append(all, listing()...)
	all = append(all, moving()...)
	all = append(all, bounds()...)
	all = append(all, answers()...)
	all = append(all, removing()...)
	all = append(all, settings...)
	all = append(all, outsideVersions(keys, versions)...)
	all = append(all, good(versions)...)
	all = append(all, plain(keys, versions)...)
	return append(all, hostile(keys, versions)...), nil
}

func versionsAsk(correlation int32) ask {
	return ask{frame: raw.Frame(raw.Header(raw.KeyApiVersions, 0, correlation)), key: raw.KeyApiVersions, correlation: correlation}
}

// sizes are frames whose size is odd, or not true.
func sizes() []question {
	whole := versionsAsk(1)
	size := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	return []question{
		{family: "a frame of no bytes", asks: []ask{{frame: raw.Frame(nil)}}},
		{family: "a negative size", asks: []ask{{frame: size(1<<32 - 1)}}},
		{family: "a size of 2 GiB less one byte", asks: []ask{{frame: size(1<<31 - 1)}}},
		{family: "a size of 100 MiB and one byte", asks: []ask{{frame: size(100<<20 + 1)}}},
		{family: "an answer, then a negative size", asks: []ask{whole, {frame: size(1<<32 - 1)}}},
		{family: "two bytes of a size, then the end", tail: []byte{0, 0}, fin: true},
		{family: "a size and no payload, then the end", tail: size(100), fin: true},
		{family: "a size of 100 MiB and no payload, then the end", tail: size(100 << 20), fin: true},
		{family: "all of a frame but a byte, then the end", tail: whole.frame[:len(whole.frame)-1], fin: true},
		{family: "a whole frame, then the end", asks: []ask{whole}, fin: true},
		{family: "a whole frame and half of one, then the end", asks: []ask{whole}, tail: whole.frame[:9], fin: true},
		{family: "nothing but the end", fin: true},
		{family: "a frame byte by byte", asks: []ask{whole}, bytewise: true},
		{family: "words of another protocol", tail: []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")},
		{family: "a TLS hello", tail: []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}},
	}
}

// headers are requests whose header is odd, or malformed.
func headers() []question {
	header := func(key, version int16, correlation int32, clientID []byte, more ...byte) []byte {
		b := binary.BigEndian.AppendUint16(nil, uint16(key))
		b = binary.BigEndian.AppendUint16(b, uint16(version))
		b = binary.BigEndian.AppendUint32(b, uint32(correlation))
		return append(append(b, clientID...), more...)
	}
	null, client := []byte{0xff, 0xff}, []byte{0, 1, 'c'}
	one := func(family string, key, version int16, payload []byte) question {
		return question{family: family, asks: []ask{bytesAsk(key, version, payload)}}
	}
	software := []byte{6, 'j', 'u', 'd', 'g', 'e', 2, '1', 0}
	bomb := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	return []question{
		one("a null client id", 18, 0, header(18, 0, 1, null)),
		one("an empty client id", 18, 0, header(18, 0, 1, []byte{0, 0})),
		one("a client id of length -2", 18, 0, header(18, 0, 1, []byte{0xff, 0xfe})),
		one("a client id longer than the frame", 18, 0, header(18, 0, 1, []byte{0x7f, 0xff})),
		one("a client id that is no UTF-8", 18, 0, header(18, 0, 1, []byte{0, 2, 0xff, 0xfe})),
		one("no client id at all", 18, 0, header(18, 0, 1, nil)),
		one("a header of three bytes", 18, 0, []byte{0, 18, 0}),
		one("a header and no body", 0, 3, header(0, 3, 1, client)),
		one("API key -1", -1, 0, header(-1, 0, 1, client)),
		one("API key 9999", 9999, 0, header(9999, 0, 1, client)),
		one("API version -1", 3, -1, header(3, -1, 1, client)),
		one("ApiVersions in version -1", 18, 0, header(18, -1, 1, client)),
		one("ApiVersions in version 99", 18, 0, header(18, 99, 1, client)),
		one("ApiVersions in version 99 with a body", 18, 0, header(18, 99, 1, client, append([]byte{0}, software...)...)),
		one("ApiVersions in version 32767", 18, 0, header(18, 32767, 1, client)),
		one("a tag in the header", 18, 3, header(18, 3, 1, client, append([]byte{1, 77, 2, 'x', 'y'}, software...)...)),
		one("a tag in the body", 18, 3, header(18, 3, 1, client, append(append([]byte{0}, software[:8]...), 1, 77, 2, 'x', 'y')...)),
		one("a tag twice in the header", 18, 3, header(18, 3, 1, client, append([]byte{2, 77, 1, 'x', 77, 1, 'x'}, software...)...)),
		one("tags out of order in the header", 18, 3, header(18, 3, 1, client, append([]byte{2, 78, 1, 'x', 77, 1, 'x'}, software...)...)),
		one("a header of 2^32-1 tags", 18, 3, header(18, 3, 1, client, bomb...)),
		one("a body of 2^32-1 tags", 18, 3, header(18, 3, 1, client, append(append([]byte{0}, software[:8]...), bomb...)...)),
		one("65 tags in the header", 18, 3, header(18, 3, 1, client, append(append([]byte{65}, bytes.Repeat([]byte{77, 0}, 65)...), software...)...)),
		one("a tag longer than the frame", 18, 3, header(18, 3, 1, client, append([]byte{1, 77, 0x7f}, software...)...)),
		one("a varint of six bytes", 18, 3, header(18, 3, 1, client, append([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}, software...)...)),
		one("a software name with a space", 18, 3, header(18, 3, 1, client, 0, 4, 'a', ' ', 'b', 2, '1', 0)),
		one("an empty software name", 18, 3, header(18, 3, 1, client, 0, 1, 2, '1', 0)),
		one("a null software name", 18, 3, header(18, 3, 1, client, 0, 0, 2, '1', 0)),
	}
}

// pipelines are several requests sent at once.
func pipelines() []question {
	var same, mixed []ask
	for i := range int32(64) {
		same = append(same, versionsAsk(i+1))
		metadata := kmsg.NewPtrMetadataRequest()
		metadata.Version = 1
		list := kmsg.NewPtrListGroupsRequest()
		requests := []kmsg.Request{metadata, list, kmsg.NewPtrApiVersionsRequest(), produceRequest(3, topic, 1, batch())}
		mixed = append(mixed, asking(requests[i%4], i+1))
	}
	repeated := []ask{versionsAsk(7), versionsAsk(7), versionsAsk(7)}
	bad := ask{frame: raw.Frame(raw.Header(9999, 0, 3))}
	return []question{
		{family: "64 requests at once", asks: same},
		{family: "64 requests of four kinds at once", asks: mixed},
		{family: "64 requests at once, then the end", asks: same, fin: true},
		{family: "three requests of one correlation id", asks: repeated},
		{family: "a correlation id of -1", asks: []ask{versionsAsk(-1)}},
		{family: "two requests, one of an unknown API, two more", asks: []ask{versionsAsk(1), versionsAsk(2), bad, versionsAsk(4), versionsAsk(5)}},
		{family: "requests without responses between others", asks: []ask{
			versionsAsk(1), asking(produceRequest(3, topic, 0, batch()), 2), versionsAsk(3),
			asking(produceRequest(3, topic, 0, batch()), 4), asking(produceRequest(3, topic, 1, batch()), 5),
		}},
	}
}

// outsideVersions asks for what is just not served.
func outsideVersions(keys []int16, versions map[int16]versionRange) (all []question) {
	for key := range int16(100) {
		served := versions[key].max > 0 || keysHave(keys, key)
		if key == raw.KeyApiVersions {
			continue
		}
		above := int16(99)
		if served {
			all = append(all,
				question{family: "an API in version 99", variant: apiName(key), asks: []ask{bytesAsk(key, above, append(raw.Header(key, above, 1), 0))}},
				question{family: "an API in version -1", variant: apiName(key), asks: []ask{bytesAsk(key, -1, raw.Header(key, -1, 1))}})
		}
	}
	return all
}

func keysHave(keys []int16, key int16) bool {
	for _, k := range keys {
		if k == key {
			return true
		}
	}
	return false
}

const keyAddPartitionsToTxn = 24

// plain asks every API in every version with nothing in the request.
func plain(keys []int16, versions map[int16]versionRange) (all []question) {
	for _, key := range keys {
		for v := versions[key].min; v <= versions[key].max; v++ {
			req := kmsg.RequestForKey(key)
			req.SetVersion(v)
			defaults(req)
			if key == keyAddPartitionsToTxn && v > 4 {
				continue // Apache Kafka never answers one without transactions: once is enough
			}
			all = append(all, question{family: apiName(key) + " with nothing in it", variant: versionName(v), asks: []ask{asking(req, 1)}})
		}
	}
	return all
}

// hostile breaks a good request of every API in every way that the structure
// of a body can be broken.
func hostile(keys []int16, versions map[int16]versionRange) (all []question) {
	for _, key := range keys {
		req := kmsg.RequestForKey(key)
		req.SetVersion(versions[key].max)
		defaults(req)
		payload := payloadOf(req, 1)
		head := len(raw.Header(key, 0, 1))
		if req.IsFlexible() {
			head++
		}
		body := func(b ...byte) []byte { return append(bytes.Clone(payload[:head]), b...) }
		broken := map[string][]byte{
			"a byte too many":             append(bytes.Clone(payload), 0),
			"a thousand bytes too many":   append(bytes.Clone(payload), make([]byte, 1000)...),
			"a body of 0xff":              body(bytes.Repeat([]byte{0xff}, 64)...),
			"a body of 0x7f":              body(bytes.Repeat([]byte{0x7f}, 64)...),
			"a body of 2^32-1 everywhere": body(bytes.Repeat([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, 20)...),
		}
		if len(payload) > head {
			broken["a byte too few"] = payload[:len(payload)-1]
			broken["half of the body"] = payload[:head+(len(payload)-head)/2]
		}
		for _, name := range []string{"a byte too many", "a thousand bytes too many", "a byte too few", "half of the body",
			"a body of 0xff", "a body of 0x7f", "a body of 2^32-1 everywhere"} {
			if p := broken[name]; p != nil {
				all = append(all, question{family: name, variant: apiName(key), anyAnswer: true, asks: []ask{bytesAsk(key, versions[key].max, p)}})
			}
		}
	}
	return append(all, bombs()...)
}

// bombs are small requests that claim much.
func bombs() []question {
	// Apache Kafka is busy with this one for seconds: it is the last.
	topics := append(raw.Header(19, 4, 1), 0, 0x10, 0, 0)
	topics = append(topics, make([]byte, 1<<20)...)
	name := append(raw.Header(3, 1, 1), 0, 0, 0, 1, 0x7f, 0xff)
	return []question{
		{family: "Metadata with a topic name longer than the frame", asks: []ask{bytesAsk(3, 1, name)}},
		{family: "Metadata that claims -5 topics", asks: []ask{bytesAsk(3, 1, append(raw.Header(3, 1, 1), 0xff, 0xff, 0xff, 0xfb))}},
		{family: "Metadata that claims 2^31-1 topics", asks: []ask{bytesAsk(3, 1, append(raw.Header(3, 1, 1), 0x7f, 0xff, 0xff, 0xff))}},
		{family: "Metadata with a null topic name", asks: []ask{bytesAsk(3, 1, append(raw.Header(3, 1, 1), 0, 0, 0, 1, 0xff, 0xff))}},
		{family: "a topic name of 40,000 bytes, compact", per: func(*server) []ask {
			req := namedMetadata(strings.Repeat("a", 40_000))
			req.Version = 12
			return []ask{asking(req, 1)}
		}},
		{family: "a topic name of 32 KiB", asks: []ask{asking(namedMetadata(strings.Repeat("a", 32<<10)), 1)}},
		{family: "Metadata of a thousand unknown topics", asks: []ask{asking(manyTopics(1000), 1)}},
		{family: "1 MiB of CreateTopics that claims a million topics", asks: []ask{bytesAsk(19, 4, topics)}},
	}
}

func namedMetadata(names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 4
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(n)
		req.Topics = append(req.Topics, t)
	}
	return req
}

func manyTopics(n int) *kmsg.MetadataRequest {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("nobody-has-%d", i)
	}
	return namedMetadata(names...)
}

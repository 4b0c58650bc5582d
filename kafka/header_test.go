package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// framePayload is a request as kmsg's own client side encodes it, without size.
func framePayload(req kmsg.Request, correlationID int32, clientID string) []byte {
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID))
	return f.AppendRequest(nil, req, correlationID)[reqchan.SizeBytes:]
}

// rawHeader is a header by hand: tags nil means none, not even an empty section.
func rawHeader(key, version int16, clientID int16, rest ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, 7)
	b = binary.BigEndian.AppendUint16(b, uint16(clientID))
	return append(b, rest...)
}

// Kafka: RequestHeaderTest.
func TestHeaderOfEveryApiAndVersionLeavesExactlyTheBody(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	everyVersion(func(d *description, version int16) {
		if d.key == keyControlledShutdown && version == 0 {
			return // kmsg writes a client id there; see the next test
		}
		req := randomRequest(r, d.key, version)
		payload := framePayload(req, 99, "me")
		h, err := ParseHeader(payload)
		if err != nil {
			t.Fatalf("%s v%d: %v", d.name, version, err)
		}
		want := 1
		if req.IsFlexible() {
			want = 2
		}
		if got := HeaderVersion(d.key, version); got != want {
			t.Errorf("%s v%d: header version %d, want %d", d.name, version, got, want)
		}
		if h.Key != d.key || h.Version != version || h.CorrelationID != 99 || string(h.ClientID) != "me" {
			t.Errorf("%s v%d: parsed as %+v", d.name, version, h)
		}
		if body := req.AppendTo(nil); !bytes.Equal(payload[h.Size:], body) {
			t.Errorf("%s v%d: the header takes %d bytes, the body %d of %d", d.name, version, h.Size, len(body), len(payload))
		}
	})
}

func TestControlledShutdownVersion0HasNoClientID(t *testing.T) {
	h, err := ParseHeader([]byte{0, 7, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1})
	if err != nil || h.Size != 8 || h.CorrelationID != 5 || h.ClientID != nil {
		t.Errorf("%+v, %v", h, err)
	}
}

// Kafka: RequestHeaderTest.
func TestNullAndEmptyClientIDsAreDifferent(t *testing.T) {
	null, err1 := ParseHeader(rawHeader(0, 3, -1))
	empty, err2 := ParseHeader(rawHeader(0, 3, 0))
	if err1 != nil || err2 != nil || null.ClientID != nil || empty.ClientID == nil || len(empty.ClientID) != 0 {
		t.Errorf("null: %+v, %v; empty: %+v, %v", null, err1, empty, err2)
	}
}

func TestTagsOfAHeaderAreSkipped(t *testing.T) {
	h, err := ParseHeader(rawHeader(0, 9, 1, 'x', 2, 5, 3, 1, 2, 3, 9, 0, 0xaa))
	if err != nil || h.Size != 10+1+1+2+3+2 {
		t.Errorf("%+v, %v", h, err)
	}
}

// Kafka: EdgeCaseRequestTest.
func TestMalformedHeadersAreRefusedWithTheirReason(t *testing.T) {
	manyTags := append([]byte{65}, make([]byte, 130)...)
	cases := []struct {
		name    string
		payload []byte
		want    reqchan.CloseReason
	}{
		{"nothing", nil, reqchan.HeaderMalformed},
		{"seven bytes", make([]byte, 7), reqchan.HeaderMalformed},
		{"no client id", rawHeader(0, 3, 0)[:8], reqchan.HeaderMalformed},
		{"half a client id length", rawHeader(0, 3, 0)[:9], reqchan.HeaderMalformed},
		{"client id too long", rawHeader(0, 3, 5, 1, 2), reqchan.HeaderMalformed},
		{"no tag section", rawHeader(0, 9, 0), reqchan.HeaderMalformed},
		{"2^32-1 tags", rawHeader(0, 9, 0, 0xff, 0xff, 0xff, 0xff, 0x0f), reqchan.HeaderMalformed},
		{"2^32-1 tags, ApiVersions", rawHeader(18, 3, 0, 0xff, 0xff, 0xff, 0xff, 0x0f), reqchan.HeaderMalformed},
		{"2^32-1 tags, ApiVersions of the future", rawHeader(18, 99, 0, 0xff, 0xff, 0xff, 0xff, 0x0f), reqchan.HeaderMalformed},
		{"a tag of 2^32-1 bytes", rawHeader(0, 9, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f), reqchan.HeaderMalformed},
		{"65 tags", rawHeader(0, 9, 0, manyTags...), reqchan.HeaderMalformed},
		{"unknown key", rawHeader(9999, 0, 0), reqchan.UnknownAPI},
		{"key -1", rawHeader(-1, 0, 0), reqchan.UnknownAPI},
		{"version -1", rawHeader(0, -1, 0), reqchan.UnsupportedVersion},
		{"version of the future", rawHeader(0, 99, 0, 0), reqchan.UnsupportedVersion},
	}
	for _, c := range cases {
		var err error
		refusedSoon(t, c.name, func() { _, err = ParseHeader(c.payload) })
		var f *Fault
		if !errors.As(err, &f) || f.Reason != c.want || f.Error() == "" {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// refusedSoon refuses something many times. A loop over the 2^32 elements that it may claim
// would take minutes; a refusal takes little, on any machine.
func refusedSoon(t *testing.T, what string, refuse func()) {
	t.Helper()
	start := time.Now()
	for range 20 {
		refuse()
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("%s: refused after %v", what, took/20)
	}
}

func TestParsingAHeaderAllocatesNothing(t *testing.T) {
	good := rawHeader(0, 9, 1, 'x', 1, 5, 3, 1, 2, 3)
	bad := rawHeader(0, 9, 0, 0xff, 0xff, 0xff, 0xff, 0x0f)
	n := testing.AllocsPerRun(100, func() {
		_, _ = ParseHeader(good)
		_, _ = ParseHeader(bad)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add(rawHeader(0, 9, 1, 'x', 1, 5, 3, 1, 2, 3))
	f.Add(rawHeader(18, 99, -1, 0))
	f.Add(rawHeader(0, 9, 0, 0xff, 0xff, 0xff, 0xff, 0x0f))
	f.Add([]byte{0, 7, 0, 0, 0, 0, 0, 5})
	f.Fuzz(func(t *testing.T, payload []byte) {
		h, err := ParseHeader(payload)
		if err != nil {
			return
		}
		if h.Size < headerBytesMin || h.Size > len(payload) || len(h.ClientID) > h.Size {
			t.Fatalf("%+v of %d bytes", h, len(payload))
		}
		// Nothing behind the header changes the result.
		again, err := ParseHeader(payload[:h.Size])
		if err != nil || again.Size != h.Size || !bytes.Equal(again.ClientID, h.ClientID) {
			t.Fatalf("%+v with a body, %+v, %v without", h, again, err)
		}
	})
}

func BenchmarkParseHeader(b *testing.B) {
	payload := rawHeader(0, 9, 8, []byte("producer\x00")...)
	b.ReportAllocs()
	for b.Loop() {
		if _, f := parseHeader(payload); f != nil {
			b.Fatal(f)
		}
	}
}

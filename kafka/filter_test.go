package kafka

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestEveryWellFormedRequestPassesTheFilterUnchanged(t *testing.T) {
	h := &recorder{}
	c := newClient(t, NewFilter(everything(t), h))
	r := rand.New(rand.NewPCG(21, 22))
	everyRequest(r, func(d *description, version int16, req kmsg.Request) {
		h.calls = nil
		kind, _, why := c.send(framePayload(req, 1, "test"))
		if kind != reqchan.AnswerNoResponse || len(h.calls) != 1 {
			t.Fatalf("%s v%d: %v, %v", d.name, version, kind, why)
		}
		if got := h.calls[0]; got.Header.Key != d.key || !bytes.Equal(got.Body, req.AppendTo(nil)) {
			t.Errorf("%s v%d: arrived as %+v", d.name, version, got.Header)
		}
	})
}

func TestNothingUnscreenedReachesTheHandler(t *testing.T) {
	v, err := NewVersions(VersionRange{0, 3, 9}, VersionRange{18, 0, 3})
	if err != nil {
		t.Fatal(err)
	}
	h := &recorder{}
	filter := NewFilter(v, h)
	rejected := 0
	filter.Rejected = func(_ *reqchan.Conn, _ Header, why *Fault) { rejected++ }
	c := newClient(t, filter)
	cases := []struct {
		name    string
		payload []byte
		want    reqchan.CloseReason
	}{
		{"nothing", nil, reqchan.HeaderMalformed},
		{"a header that ends early", make([]byte, 9), reqchan.HeaderMalformed},
		{"an API that nobody knows", rawHeader(500, 0, 0), reqchan.UnknownAPI},
		{"an API that is not served", rawHeader(3, 0, 0), reqchan.UnknownAPI},
		{"a version below", rawHeader(0, 2, 0), reqchan.UnsupportedVersion},
		{"a version above", rawHeader(0, 10, 0, 0), reqchan.UnsupportedVersion},
		{"a version of -1", rawHeader(0, -1, 0), reqchan.UnsupportedVersion},
		{"no body", rawHeader(0, 3, 0), reqchan.BodyMalformed},
		{"a body of tags", rawHeader(18, 3, 0, 0, 2, 'a', 2, 'b', 0xff, 0xff, 0xff, 0xff, 0x0f), reqchan.BodyMalformed},
	}
	for _, k := range cases {
		kind, _, why := c.send(k.payload)
		if kind != reqchan.AnswerClose || why != k.want {
			t.Errorf("%s: %v, %v; want %v", k.name, kind, why, k.want)
		}
	}
	if len(h.calls) != 0 || rejected != len(cases) {
		t.Errorf("%d reached the handler, %d of %d were reported", len(h.calls), rejected, len(cases))
	}
}

// Kafka: F-21.
func TestUnsupportedApiVersionsIsAnsweredAsVersion0WithAllThatIsServed(t *testing.T) {
	v, err := NewVersions(VersionRange{18, 0, 3}, VersionRange{0, 3, 9})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, NewFilter(v, &recorder{}))
	for _, version := range []int16{4, 5, 99, 32767, -1} {
		payload := rawHeader(18, version, 0, 0, 0xff, 0xff) // a body that nobody can parse
		kind, response, why := c.send(payload)
		if kind != reqchan.AnswerSend {
			t.Fatalf("version %d: %v, %v", version, kind, why)
		}
		resp := kmsg.NewPtrApiVersionsResponse()
		if err := resp.ReadFrom(response[4:]); err != nil {
			t.Fatal(err)
		}
		if resp.ErrorCode != 35 || !slices.Equal(rangesOf(resp), v.Announced()) || !bytes.Equal(resp.AppendTo(nil), response[4:]) {
			t.Errorf("version %d: %+v", version, resp)
		}
	}
}

func rangesOf(resp *kmsg.ApiVersionsResponse) (all []VersionRange) {
	for _, k := range resp.ApiKeys {
		all = append(all, VersionRange{k.ApiKey, k.MinVersion, k.MaxVersion})
	}
	return all
}

// Kafka: F-22.
func TestClientSoftwareIsKeptWhenItIsWhatKIP511Allows(t *testing.T) {
	c := newClient(t, NewFilter(everything(t), &recorder{}))
	cases := []struct {
		name string
		ok   bool
	}{
		{"franz-go", true}, {"a", true}, {"A.b-9", true}, {strings.Repeat("x", 255), true},
		{"", false}, {"-a", false}, {"a-", false}, {".", false}, {"a b", false}, {"a_b", false}, {"é", false},
		{strings.Repeat("x", 256), false},
	}
	for _, k := range cases {
		for _, version := range []int16{3, 4, 5} {
			c.conn = &reqchan.Conn{}
			req := kmsg.NewPtrApiVersionsRequest()
			req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = version, k.name, "v1.2"
			kind, response, _ := c.send(framePayload(req, 4711, ""))
			want := reqchan.Software{Name: k.name, Version: "v1.2"}
			if k.ok {
				if kind != reqchan.AnswerNoResponse || c.conn.Software() != want {
					t.Errorf("%q: %v, kept %+v", k.name, kind, c.conn.Software())
				}
				continue
			}
			resp := decodeResponse[*kmsg.ApiVersionsResponse](t, response, req)
			if resp.ErrorCode != 42 || c.conn.Software() != (reqchan.Software{}) {
				t.Errorf("%q: error %d, kept %+v", k.name, resp.ErrorCode, c.conn.Software())
			}
		}
	}
}

func TestTheFilterAllocatesNothing(t *testing.T) {
	null, err := NewNull(NullConfig{})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, NewFilter(null.Versions(), null))
	produce := kmsg.NewPtrProduceRequest()
	if err := produce.ReadFrom(produceBody(0, 1, 1, 1024)); err != nil {
		t.Fatal(err)
	}
	versions := kmsg.NewPtrApiVersionsRequest()
	versions.ClientSoftwareName, versions.ClientSoftwareVersion = "kring-test", "1.0"
	payloads := map[string][]byte{"nonsense": {1, 2, 3}}
	for _, v := range []int16{2, 3, 8, 9, 12} { // 2 is refused
		produce.SetVersion(v)
		payloads[fmt.Sprint("Produce v", v)] = framePayload(produce, 1, "test")
	}
	for v := range int16(6) {
		versions.SetVersion(v)
		payloads[fmt.Sprint("ApiVersions v", v)] = framePayload(versions, 1, "test")
	}
	for name, payload := range payloads {
		c.send(payload)
		if n := testing.AllocsPerRun(100, func() { c.send(payload) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestVersionsReportEveryFaultAtOnce(t *testing.T) {
	_, err := NewVersions(VersionRange{-1, 0, 1}, VersionRange{0, 5, 3}, VersionRange{3, 0, 99}, VersionRange{18, 0, 1}, VersionRange{18, 0, 1})
	for _, want := range []string{"-1 is unknown", "5 to 3", "version 99 is unknown", "given twice"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %q is missing", err, want)
		}
	}
	if _, err := NewVersions(VersionRange{3, 0, 9}); err == nil || !strings.Contains(err.Error(), "{Key: 18, Min: 0, Max: ") {
		t.Errorf("without ApiVersions: %v", err)
	}
	if (Versions{}).Supported(0, 0) {
		t.Error("the zero value serves something")
	}
}

func TestVersionsOfAnotherBrokerAreCutToWhatCanBeScreened(t *testing.T) {
	resp := kmsg.NewPtrApiVersionsResponse()
	for _, r := range []VersionRange{{0, 3, 9}, {18, 0, 77}, {3, 60, 77}, {999, 0, 1}} {
		key := kmsg.NewApiVersionsResponseApiKey()
		key.ApiKey, key.MinVersion, key.MaxVersion = r.Key, r.Min, r.Max
		resp.ApiKeys = append(resp.ApiKeys, key)
	}
	v, err := VersionsOf(resp)
	if want := []VersionRange{{0, 3, 9}, {18, 0, describe(18).max}}; err != nil || !slices.Equal(v.All(), want) {
		t.Errorf("%v, %v; want %v", v.All(), err, want)
	}
	if !v.Supported(0, 3) || !v.Supported(0, 9) || v.Supported(0, 2) || v.Supported(0, 10) || v.Supported(-1, 0) {
		t.Error("the ends of a range are wrong")
	}
}

func FuzzFilter(f *testing.F) {
	null, err := NewNull(NullConfig{FetchWaitMax: 1})
	if err != nil {
		f.Fatal(err)
	}
	r := rand.New(rand.NewPCG(31, 32))
	for _, key := range null.Versions().All() {
		f.Add(framePayload(randomRequest(r, key.Key, key.Max), 1, "fuzz"))
	}
	f.Add(rawHeader(18, 99, 0, 0))
	f.Add(rawHeader(0, 9, 0, 0xff, 0xff, 0xff, 0xff, 0x0f))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c := newClient(t, NewFilter(null.Versions(), answers(func(r APIRequest) {
			size, err := Validate(r.Header.Key, r.Header.Version, r.Body, 0)
			if whole := r.Raw.Payload(); err != nil || size != len(r.Body) || len(whole) != r.Header.Size+size {
				t.Errorf("let in with a body of %d bytes, of which %d are valid (%v), in %d of %d", len(r.Body), size, err, len(whole), len(payload))
			}
			null.HandleAPI(r)
		})))
		before := heapAllocated()
		kind, response, why := c.send(payload) // a second answer would panic
		if used := heapAllocated() - before; used > uint64(8<<20+1024*len(payload)) {
			t.Fatalf("%d bytes cost %d of memory", len(payload), used)
		}
		switch {
		case kind == reqchan.AnswerClose && why != reqchan.ReasonNone:
		case kind == reqchan.AnswerNoResponse && payload[1] == keyProduce:
		case kind == reqchan.AnswerSend && bytes.Equal(response[:4], payload[4:8]):
		default:
			t.Fatalf("answered with %v %x %v", kind, response, why)
		}
	})
}

func BenchmarkFilterToNullProduce(b *testing.B) {
	null, err := NewNull(NullConfig{})
	if err != nil {
		b.Fatal(err)
	}
	c := newClient(b, NewFilter(null.Versions(), null))
	req := kmsg.NewPtrProduceRequest()
	req.Version = 9
	if err := req.ReadFrom(produceBody(9, 1, 1, 1024)); err != nil {
		b.Fatal(err)
	}
	payload := framePayload(req, 1, "test")
	b.ReportAllocs()
	for b.Loop() {
		c.send(payload)
	}
}

// TestAConnectionHasTheClientIDOfItsRequests, as the client says it.
func TestAConnectionHasTheClientIDOfItsRequests(t *testing.T) {
	c := newClient(t, NewFilter(everything(t), &recorder{}))
	c.conn = &reqchan.Conn{}
	for _, id := range []string{"one", "two <b>", ""} {
		c.send(framePayload(kmsg.NewPtrApiVersionsRequest(), 1, id))
		if got := c.conn.ClientID(); got != id {
			t.Errorf("%q, want %q", got, id)
		}
	}
}

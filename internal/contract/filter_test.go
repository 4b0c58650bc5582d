package contract

import (
	"encoding/binary"
	"maps"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/internal/servertest"
	"kring/kafka"
	"kring/reqchan"
)

// filterFor serves Metadata of versions 1 to 9, and says which body it got.
func filterFor(t *testing.T) kring.Handler {
	t.Helper()
	v, err := kafka.NewVersions(kafka.VersionRange{Key: 3, Min: 1, Max: 9}, kafka.VersionRange{Key: 18, Min: 0, Max: 3})
	if err != nil {
		t.Fatal(err)
	}
	return kafka.NewFilter(v, metadataOnly{})
}

type metadataOnly struct{}

func (metadataOnly) HandleAPI(q kafka.APIRequest) {
	req, err := q.Decode()
	if err != nil {
		q.CloseConnection(reqchan.HandlerClosed)
		return
	}
	q.Respond(req.ResponseKind())
}

// header is a request's header of version 1, with a client id or null.
func header(key, version int16, client string, null bool) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, 7)
	if null {
		return append(b, 0xff, 0xff)
	}
	return append(binary.BigEndian.AppendUint16(b, uint16(len(client))), client...)
}

// What must not reach a decoder ends its connection without an answer, gives
// its memory back, and its neighbour is served.
//
// Kafka: SS-07, SS-51, EdgeCaseRequestTest, RequestContextTest, Q-2, F-19, F-20.
func TestARequestThatIsNotServedEndsItsConnectionAlone(t *testing.T) {
	all := []byte{0xff, 0xff, 0xff, 0xff} // null: all topics
	cases := map[string][]byte{
		"an API that is not served": header(52, 0, "c", false),
		"API key -1":                header(-1, 1, "c", false),
		"API version -1":            header(3, -1, "c", false),
		"a version above":           header(3, 10, "c", false),
		"a header alone":            header(3, 1, "c", false),
		"no header":                 {},
		"a header that is cut off":  header(3, 1, "client", false)[:11],
		"a negative length":         append(header(3, 1, "c", false), 0, 0, 0, 1, 0xff, 0xfe),
		"a count beyond the frame":  append(header(3, 1, "c", false), 0x7f, 0xff, 0xff, 0xff),
		"a length beyond the frame": append(header(3, 1, "c", false), 0, 0, 0, 1, 0x7f, 0xff),
	}
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, filterFor(t))
		neighbour := servertest.Dial(t, s)
		good := string(append(header(3, 1, "", true), all...))
		for name, payload := range cases {
			c := servertest.Dial(t, s)
			c.Send(string(payload), good)
			if _, err := servertest.ReadFrame(c); err == nil {
				t.Errorf("%s was answered", name)
			}
			_ = c.Close()
			neighbour.Send(good)
			neighbour.Receive()
		}
		servertest.Eventually(t, "they are gone", func() bool { return s.Stats().Open == 1 })
		servertest.Shutdown(t, s) // demands that no request's memory is left
	})
}

// Headers of every version are understood, with a client id or null; a version
// of ApiVersions that nobody has is answered in version 0.
//
// Kafka: RequestHeaderTest, RequestContextTest, EdgeCaseRequestTest, ApiVersionManagerTest, F-19, F-21.
func TestHeadersOfEveryVersionAreServed(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		c := servertest.Dial(t, servertest.Start(t, cfg, filterFor(t)))
		all := []byte{0xff, 0xff, 0xff, 0xff}
		flexible := []byte{0, 0, 0, 0, 0, 0} // no tags; null topics, three choices, no tags
		for _, payload := range [][]byte{
			append(header(3, 1, "", true), all...),
			append(header(3, 1, "", false), all...),
			append(header(3, 1, "", false), 0xff, 0xff, 0xff, 0xf0),  // negative is null
			append(append(header(3, 1, "", false), all...), 1, 0, 0), // bytes behind the body
			append(header(3, 8, "client", false), append(all, 0, 0, 0)...),
			append(header(3, 9, "client", false), flexible...),
		} {
			c.Send(string(payload))
			if got := c.Receive(); binary.BigEndian.Uint32([]byte(got)) != 7 {
				t.Errorf("%x was answered with %x", payload, got)
			}
		}
		c.Send(string(append(header(18, 77, "c", false), 0)))
		resp := kmsg.NewPtrApiVersionsResponse()
		if err := resp.ReadFrom([]byte(c.Receive())[4:]); err != nil {
			t.Fatalf("the versions: %v", err)
		}
		if resp.ErrorCode != 35 || len(resp.ApiKeys) != 2 {
			t.Errorf("error %d and %v, want UNSUPPORTED_VERSION and what is served", resp.ErrorCode, resp.ApiKeys)
		}
	})
}

// TestARefusedRequestCountsAsFailed: the filter's, by what is wrong with it, and any other
// that closes its connection as an unknown error. It was counted as a success.
func TestARefusedRequestCountsAsFailed(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, filterFor(t))
		for _, payload := range [][]byte{append(header(3, 10, "c", false), 0), header(3, 1, "c", false)} {
			c := servertest.Dial(t, s)
			c.Send(string(payload))
			c.AwaitClose()
		}
		other := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) { r.CloseConnection(kring.ReasonHandlerClosed) }))
		c := servertest.Dial(t, other)
		c.Send("refused")
		c.AwaitClose()
		failures := func(s *kring.Server) map[int16]uint64 {
			all := map[int16]uint64{}
			for _, r := range s.Stats().Requests {
				for code, n := range r.Errors {
					all[code] += n
				}
			}
			return all
		}
		servertest.Eventually(t, "refusals are counted by what was wrong", func() bool {
			return maps.Equal(failures(s), map[int16]uint64{35: 1, 42: 1}) && maps.Equal(failures(other), map[int16]uint64{-1: 1})
		})
	})
}

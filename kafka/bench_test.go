package kafka

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/slab"
	"kring/reqchan"
)

// BenchmarkValidate measures the validation of a body before any decoder gets it.
func BenchmarkValidate(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name    string
		key     int16
		version int16
		body    []byte
	}{
		{"Produce/1KiB", 0, 9, produceBody(9, 1, 1, 1024)},
		{"Produce/100x16B", 0, 9, produceBody(9, 10, 10, 16)},
		{"Fetch", 1, 13, randomRequest(r, 1, 13).AppendTo(nil)},
		{"Metadata", 3, 12, randomRequest(r, 3, 12).AppendTo(nil)},
		{"ApiVersions", 18, 3, randomRequest(r, 18, 3).AppendTo(nil)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, f := validate(c.key, c.version, c.body, ElementsMaxDefault); f != nil {
					b.Fatal(f)
				}
			}
		})
	}
}

// waysToRespond are a handler's ways to answer.
var waysToRespond = []struct {
	name      string
	allocates bool // kmsg does, in Go's heap
	respond   func(APIRequest)
}{
	{"encoded", false, func(q APIRequest) { q.RespondBody(apiVersionsServed) }},
	{"appended", false, func(q APIRequest) { q.Finish(append(q.Start(), apiVersionsServed...)) }},
	{"kmsg", true, func(q APIRequest) { q.Respond(apiVersionsResponse()) }},
}

var apiVersionsServed = apiVersionsResponse().AppendTo(nil)

func apiVersionsResponse() *kmsg.ApiVersionsResponse {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.Version = 3
	for key := range int16(60) {
		resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: key, MaxVersion: 12})
	}
	return resp
}

// responding calls respond again and again.
func responding(t testing.TB, respond func(APIRequest)) (once, end func()) {
	var pool slab.Pool
	r := reqchan.NewJob(nil, nil)
	q := APIRequest{Header: Header{Key: keyApiVersions, Version: 3, CorrelationID: 7}}
	once = func() {
		r.Begin(nil, &pool)
		q.Raw = r.Request()
		respond(q)
		if kind, response, _ := r.Answer(); kind != reqchan.AnswerSend || len(response) < len(apiVersionsServed) || !r.HandleReturned() {
			t.Fatalf("answered with %v, %d bytes", kind, len(response))
		}
		r.Reset()
	}
	return once, func() {
		r.Free()
		pool.Close()
	}
}

// BenchmarkRespond measures the encoding of a response into the memory that it is sent
// from.
func BenchmarkRespond(b *testing.B) {
	for _, c := range waysToRespond {
		b.Run(c.name, func(b *testing.B) {
			once, end := responding(b, c.respond)
			defer end()
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
}

// BenchmarkErrorCode measures reading a response's error code.
func BenchmarkErrorCode(b *testing.B) {
	for _, version := range []int16{0, 3} {
		b.Run(fmt.Sprintf("ApiVersions-v%d", version), func(b *testing.B) {
			resp := apiVersionsResponse()
			resp.SetVersion(version)
			payload := resp.AppendTo(AppendResponseHeader(nil, keyApiVersions, version, 7))
			b.ReportAllocs()
			for b.Loop() {
				if code := errorCode(keyApiVersions, version, payload); code != 0 {
					b.Fatal(code)
				}
			}
		})
	}
}

func TestRespondingAllocatesNothing(t *testing.T) {
	for _, c := range waysToRespond {
		once, end := responding(t, c.respond)
		once() // takes the memory that stays with the request
		if n := testing.AllocsPerRun(100, once); n > 0 && !c.allocates {
			t.Errorf("%s: %v allocations", c.name, n)
		}
		end()
	}
}

package record

import (
	"context"
	"strings"
	"testing"

	"kring"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// discard is a disk that is fast.
type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) Close() error                { return nil }

// BenchmarkRequest is what a request costs beyond its handler, recorded and not.
func BenchmarkRequest(b *testing.B) {
	for name, q := range map[string]kmsg.Request{"ApiVersions": kmsg.NewPtrApiVersionsRequest(), "Produce1KiB": produceOf(9, batchOf(1, strings.Repeat("x", 1024)))} {
		bytes := frame(q, "client")
		for _, recorded := range []bool{false, true} {
			b.Run(name+map[bool]string{true: "/recorded", false: "/not"}[recorded], func(b *testing.B) {
				h := kring.Handler(kring.HandlerFunc(func(r kring.Request) { r.Respond(r.Payload()[:8]) }))
				r, err := New(discard{}, Config{BytesMax: 1 << 40})
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = r.Close(context.Background()) }()
				if recorded {
					h = r.Handler(h)
				}
				j := reqchan.NewJob(&reqchan.Conn{}, bytes)
				b.ReportAllocs()
				for b.Loop() {
					j.Begin(nil, nil)
					h.Handle(j.Request())
					j.Reset()
					j.Frame = bytes
				}
				b.ReportMetric(float64(r.Stats().Lost)/float64(b.N), "lost/op")
			})
		}
	}
}

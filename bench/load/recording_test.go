package load_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/bench/load"
	"kring/internal/servertest"
	"kring/kafka"
	"kring/record"
	"kring/reqchan"
)

// TestARecordingIsALoad, played at both speeds; what is answered with errors does not count as one.
func TestARecordingIsALoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "traffic")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.New(f, record.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h := r.Handler(kring.HandlerFunc(func(q kring.Request) { q.NoResponse() }))
	for range 20 {
		q := kmsg.NewPtrApiVersionsRequest()
		j := reqchan.NewJob(&reqchan.Conn{}, kmsg.NewRequestFormatter().AppendRequest(nil, q, 1))
		j.Begin(nil, nil)
		h.Handle(j.Request())
	}
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	null, err := kafka.NewNull(kafka.NullConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	s := servertest.Start(t, servertest.Config(kring.EnginePortable, kring.DispatchPool), kafka.NewFilter(null.Versions(), null))
	for _, speed := range []float64{0, 1000} {
		bounds := 0
		c := load.Config{Address: s.Addrs()[0].String(), Kind: load.Recording, Recording: path, RecordingSpeed: speed, Boundary: func(bool) { bounds++ }}
		got, err := load.Run(c)
		if err != nil {
			t.Fatal(err)
		}
		if got.Completed != 20 || got.Latency.Count != 20 || got.Errors.Count() > 0 || got.Rate == 0 || bounds != 2 || got.HDR == "" {
			t.Errorf("speed %v: %+v, %d bounds", speed, got, bounds)
		}
	}
	for _, c := range []load.Config{{Address: "h:1", Kind: load.Recording}, {Address: "h:1", Recording: path}} {
		if _, err := load.Run(c); err == nil || !strings.Contains(err.Error(), "Recording") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

package main

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/protobuf/encoding/protowire"
)

// asked sends a request and decodes the answer, whose header is of its version.
func asked[R kmsg.Response](t *testing.T, conn net.Conn, req kmsg.Request, as ...kmsg.RequestFormatterOpt) R {
	t.Helper()
	if _, err := conn.Write(kmsg.NewRequestFormatter(as...).AppendRequest(nil, req, 1)); err != nil {
		t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, payload); err != nil {
		t.Fatal(err)
	}
	payload = payload[4:] // the correlation id
	if req.IsFlexible() && req.Key() != 18 {
		payload = payload[1:] // no tags
	}
	resp := req.ResponseKind().(R)
	if err := resp.ReadFrom(payload); err != nil {
		t.Fatal(err)
	}
	return resp
}

// announced is what a server announces of the APIs of client telemetry.
func announced(t *testing.T, conn net.Conn) (keys []int16) {
	t.Helper()
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 3, "apache-kafka-java", "4.1.2"
	for _, k := range asked[*kmsg.ApiVersionsResponse](t, conn, req).ApiKeys {
		if k.ApiKey == 71 || k.ApiKey == 72 {
			keys = append(keys, k.ApiKey)
		}
	}
	return keys
}

// oneGauge is a MetricsData of one gauge.
func oneGauge(name string, value int64) []byte {
	inside := func(n protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), b)
	}
	point := protowire.AppendFixed64(protowire.AppendTag(nil, 6, protowire.Fixed64Type), uint64(value))
	metric := append(inside(1, []byte(name)), inside(5, inside(1, point))...)
	return inside(1, inside(2, inside(2, metric)))
}

// TestWhatAClientPushesIsShownBesideItsConnectionAndOverAllClients, behind either handler; and
// without the flag nothing of it is announced.
func TestWhatAClientPushesIsShownBesideItsConnectionAndOverAllClients(t *testing.T) {
	const metric = "org.apache.kafka.producer.connection.creation.total"
	for _, handler := range []string{"null", "embedded"} {
		off := serve(t, "--handler", handler)
		if keys := announced(t, dial(t, off.addr)); len(keys) != 0 {
			t.Errorf("%s: without --client-telemetry %v are announced", handler, keys)
		}
		off.signal(os.Interrupt)
		args, door := withHTTP(t, "--handler", handler, "--client-telemetry")
		c := serve(t, args...)
		client := dial(t, c.addr)
		if keys := announced(t, client); len(keys) != 2 {
			t.Errorf("%s: %v are announced", handler, keys)
		}
		got := asked[*kmsg.GetTelemetrySubscriptionsResponse](t, client, kmsg.NewPtrGetTelemetrySubscriptionsRequest())
		if got.ErrorCode != 0 || got.ClientInstanceID == [16]byte{} || got.PushIntervalMillis != 30_000 || len(got.RequestedMetrics) < 5 {
			t.Fatalf("%s: %+v", handler, got)
		}
		push := kmsg.NewPtrPushTelemetryRequest()
		push.ClientInstanceID, push.SubscriptionID, push.Metrics = got.ClientInstanceID, got.SubscriptionID, oneGauge(metric, 7)
		for _, want := range []int16{0, 89} { // the second comes too early
			if resp := asked[*kmsg.PushTelemetryResponse](t, client, push); resp.ErrorCode != want {
				t.Errorf("%s: a push is answered with %d, want %d", handler, resp.ErrorCode, want)
			}
		}
		var list struct {
			Connections []struct {
				Telemetry struct {
					Pushes uint64
					Values map[string]float64
				}
			}
		}
		var body string
		until(t, "the connection is listed", func() bool { // a busy machine may keep a processor from it
			_, body = door.get("/connections")
			return !strings.Contains(body, `"incomplete"`)
		})
		if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Connections) != 1 || list.Connections[0].Telemetry.Values[metric] != 7 {
			t.Errorf("%s: %v, %s", handler, err, body)
		}
		const all = `kring_client_metric_sum{kind="gauge",metric="` + metric + `"} 7`
		if _, body := door.get("/metrics"); !strings.Contains(body, all) || !strings.Contains(body, "kring_telemetry_instances 1\n") ||
			!strings.Contains(body, `kring_telemetry_rejected_total{error="THROTTLING_QUOTA_EXCEEDED"} 1`) {
			t.Errorf("%s: no %s", handler, all)
		}
		_ = client.Close()
		until(t, "it is gone with its connection", func() bool {
			_, body := door.get("/metrics")
			return strings.Contains(body, "kring_telemetry_instances 0\n") && !strings.Contains(body, "kring_client_metric_sum{")
		})
		c.signal(os.Interrupt)
	}
}

// TestWrongSettingsOfTelemetryAreNamed.
func TestWrongSettingsOfTelemetryAreNamed(t *testing.T) {
	for want, args := range map[string][]string{
		"needs --client-telemetry":         {"--client-telemetry-subscription", "metrics=a"},
		"give --http ADDRESS":              {"--client-telemetry"},
		"does not speak Kafka":             {"--client-telemetry", "--handler", "echo", "--http", "127.0.0.1:0"},
		"interval.ms=1: give milliseconds": {"--client-telemetry", "--http", "127.0.0.1:0", "--client-telemetry-subscription", "interval.ms=1"},
		"--metrics-client-ids -1: give 0":  {"--http", "127.0.0.1:0", "--metrics-client-ids=-1"},
		"--slow-request -1s: give 0s":      {"--slow-request=-1s"},
	} {
		var stderr strings.Builder
		if status := run(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), nil, &stderr, &stderr, nil); status != exitUsage || !strings.Contains(stderr.String(), want) {
			t.Errorf("%q: status %d, %s", args, status, stderr.String())
		}
	}
}

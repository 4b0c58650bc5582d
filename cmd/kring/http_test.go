package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// besides asks the side door of a child, by its Unix domain socket.
type besides struct {
	t      *testing.T
	client http.Client
}

// withHTTP gives the flags of a side door, and what asks it.
func withHTTP(t *testing.T, args ...string) ([]string, *besides) {
	t.Helper()
	dir, err := os.MkdirTemp("", "k") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "http")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return append(args, "--http", "unix:"+socket), &besides{t, http.Client{Transport: transport, Timeout: deadline}}
}

func (b *besides) get(path string) (status int, body string) {
	b.t.Helper()
	resp, err := b.client.Get("http://kring" + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(all)
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); !condition(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", deadline, what)
		}
	}
}

// TestTheSideDoorShowsWhatAClientDoes, on every engine.
func TestTheSideDoorShowsWhatAClientDoes(t *testing.T) {
	for _, engine := range enginesHere() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			args, door := withHTTP(t, "--engine", engine, "--metrics-per-processor", "--seed-topic", "a:3", "--seed-topic", "b:2")
			c := serve(t, args...)
			for _, path := range []string{"/healthz", "/readyz"} {
				if status, body := door.get(path); status != http.StatusOK {
					t.Errorf("%s: %d %s", path, status, body)
				}
			}
			client := dial(t, c.addr)
			ask(t, client, kmsg.NewPtrApiVersionsRequest())
			const counted = `kafka_network_requestmetrics_requests_total{request="ApiVersions",version="0"} 1`
			until(t, counted, func() bool {
				_, body := door.get("/metrics")
				return strings.Contains(body, counted)
			})
			if _, body := door.get("/metrics"); !strings.Contains(body, "kafka_server_replicamanager_leadercount 5\n") {
				t.Error("not 5 partitions are led")
			}
			var list struct {
				Connections []struct {
					Remote   string
					Requests int
				}
			}
			until(t, "the connection's request", func() bool {
				_, body := door.get("/connections")
				if err := json.Unmarshal([]byte(body), &list); err != nil {
					t.Fatal(err)
				}
				return len(list.Connections) == 1 && list.Connections[0].Requests == 1
			})
			if list.Connections[0].Remote != client.LocalAddr().String() {
				t.Errorf("%+v", list)
			}
			if status, _ := door.get("/debug/pprof/"); status != http.StatusNotFound {
				t.Errorf("/debug/pprof/ without --http-pprof: %d", status)
			}
			c.signal(syscall.SIGTERM)
			if status := c.exit(); status != exitOK {
				t.Errorf("exit status %d; %s", status, c.stderr.String())
			}
		})
	}
}

// TestReadyzIsFalseWhileDraining, and /healthz and /metrics answer still.
func TestReadyzIsFalseWhileDraining(t *testing.T) {
	args, door := withHTTP(t, "--handler", "echo", "--http-pprof", "--drain-timeout", "10m")
	c := serve(t, args...)
	stays := untaken(t, c.addr) // has output that nobody reads: the drain waits for it
	c.signal(syscall.SIGTERM)
	until(t, "not ready", func() bool {
		status, _ := door.get("/readyz")
		return status == http.StatusServiceUnavailable
	})
	for _, path := range []string{"/healthz", "/metrics", "/debug/pprof/"} {
		if status, body := door.get(path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	_ = stays.Close()
	if status := c.exit(); status != exitOK {
		t.Errorf("exit status %d; %s", status, c.stderr.String())
	}
}

// TestASideDoorWithoutAnAddressOrWithATakenOneIsAnError that names the flag.
func TestASideDoorWithoutAnAddressOrWithATakenOneIsAnError(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--http", taken.Addr().String()}, exitFailure, "--http " + taken.Addr().String() + ": "},
		{[]string{"--http-pprof"}, exitUsage, "need --http ADDRESS"},
		{[]string{"--http-admin", "--slow-request=-1s"}, exitUsage, "need --http ADDRESS\n"}, // and every other fault
		{[]string{"--http-admin", "--slow-request=-1s"}, exitUsage, "--slow-request -1s"},
		{[]string{"--metrics-names", "datadog"}, exitUsage, "--metrics-names must be one of"},
	} {
		var stderr bytes.Buffer
		status := run(append([]string{"serve", "--listen", "127.0.0.1:0"}, c.args...), nil, io.Discard, &stderr, nil)
		if status != c.status || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%q: status %d, %s", c.args, status, stderr.String())
		}
	}
}

// TestMoreClientsOfTheSideDoorThanItTakesAreClosed, and those that it has are answered.
func TestMoreClientsOfTheSideDoorThanItTakesAreClosed(t *testing.T) {
	args, door := withHTTP(t, "--handler", "echo")
	serve(t, args...)
	dialer := door.client.Transport.(*http.Transport).DialContext
	closed := make(chan struct{}, 1)
	for range httpConnsMax + 1 {
		conn, err := dialer(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		go func() {
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				select {
				case closed <- struct{}{}:
				default:
				}
			}
		}()
	}
	select {
	case <-closed:
	case <-time.After(deadline):
		t.Fatal("no client was closed")
	}
}

// trade produces two orders and a payment, and fetches the orders.
func trade(t *testing.T, client *kgo.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for _, topic := range []string{"orders", "orders", "payments"} {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("hello")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for seen := 0; seen < 2; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatal(err)
		}
		seen += fetches.NumRecords()
	}
}

// TestTopicsAndQuotasAreMeasured of the embedded cluster, topics within --metrics-topics.
func TestTopicsAndQuotasAreMeasured(t *testing.T) {
	args, door := withHTTP(t, "--seed-topic", "orders:1", "--seed-topic", "payments:1", "--metrics-topics", "1", "--quota", "client-id=*,fetch-bytes=1e12")
	c := serve(t, args...)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.addr), kgo.ClientID("shop"), kgo.ConsumeTopics("orders"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	trade(t, client)
	const topics = "kafka_server_brokertopicmetrics_"
	for _, want := range []string{
		topics + `messagesin_total 3`, topics + `messagesin_total{topic="orders"} 2`, topics + `messagesin_total{topic="other"} 1`, topics + `totalproducerequests_total{topic="orders"} 2`,
		`kring_quota_limit{client_id="shop",ip="",kind="fetch-bytes",user=""} 1e+12`, `kafka_server_quota_throttle_time{clientId="shop",resource="Fetch",user=""} 0`,
	} {
		until(t, want, func() bool {
			_, body := door.get("/metrics")
			return strings.Contains(body, want+"\n")
		})
	}
	_, body := door.get("/metrics")
	if !regexp.MustCompile(topics+`bytesout_total\{topic="orders"\} [1-9]`).MatchString(body) || !regexp.MustCompile(`kafka_server_quota_byte_rate\{clientId="shop",resource="Fetch",user=""\} `).MatchString(body) {
		t.Errorf("what was fetched is not measured in\n%s", body)
	}
	if status, _, stderr := command(t, "serve", "--metrics-topics", "10001"); status != exitUsage || !strings.Contains(stderr, "--metrics-topics 10001: give 0 (none) to 10000") {
		t.Errorf("%d %s", status, stderr)
	}
}

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
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

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
	for end := time.Now().Add(deadline); !condition(); runtime.Gosched() {
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
	args, door := withHTTP(t, "--handler", "echo", "--http-pprof", "--drain-timeout", "1m")
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

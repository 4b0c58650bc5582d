package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestFaultsOfAGatewayNameTheFlag, each with its remedy.
func TestFaultsOfAGatewayNameTheFlag(t *testing.T) {
	with := func(args ...string) []string {
		return append([]string{"gateway", "--upstream", "broker:9092", "--node-ports", "9100"}, args...)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"gateway", "--node-ports", "9100"}, "--upstream: there is no cluster"},
		{[]string{"gateway", "--upstream", "broker:9092"}, "--node-ports: give either"},
		{with("--node-names", "b$(node).example.org"), "--node-ports: give either"},
		{[]string{"gateway", "--upstream", "broker", "--node-ports", "9100"}, `--upstream "broker"`},
		{[]string{"gateway", "--upstream", "broker:9092", "--node-ports", "9100-9000"}, `--node-ports "9100-9000"`},
		{with("--listen", "0.0.0.0:9092"), "--advertise"},
		{with("--upstream-sasl", "pass"), "--upstream-mode dedicated"},
		{with("--upstream-sasl", "GSSAPI"), "none of PLAIN"},
		{with("--upstream-sasl", "PLAIN"), "user and a password"},
		{with("--upstream-user", "u", "--upstream-password", "p"), "no mechanism"},
		{with("--upstream-token-file", "t", "--upstream-sasl", "pass", "--upstream-mode", "dedicated"), "no mechanism"},
		{with("--upstream-credentials", "c.txt", "--upstream-sasl", "pass", "--upstream-mode", "dedicated"), "--upstream-credentials: with"},
		{with("--upstream-ca", "ca.pem"), "--upstream-tls"},
		{with("--upstream-tls", "--upstream-cert", "c.pem"), "--upstream-key"},
		{with("--data-dir", "d"), "--data-dir"},
		{with("--acl", "rules.txt", "--upstream-sasl", "pass", "--upstream-mode", "dedicated"), "--acl: with --upstream-sasl pass"},
	} {
		var stderr bytes.Buffer
		if command, _ := parse(tt.args, settingsOf(nil), new(bytes.Buffer), &stderr); command != nil || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%q: %s", tt.args, stderr.String())
		}
	}
}

// TestAGatewayPassesOverWhatTheEnvironmentHasForServe: the image sets KRING_DATA_DIR for both.
func TestAGatewayPassesOverWhatTheEnvironmentHasForServe(t *testing.T) {
	var stderr bytes.Buffer
	command, _ := parse([]string{"gateway", "--upstream", "broker:9092", "--node-ports", "9100"},
		settingsOf([]string{"KRING_DATA_DIR=/data", "KRING_SEED_TOPIC=a", "KRING_LISTEN=127.0.0.1:0"}), new(bytes.Buffer), &stderr)
	if command == nil {
		t.Fatal(stderr.String())
	}
	if c := selectedServe(command); c.DataDir != "" || len(c.SeedTopic) > 0 || len(c.Listen) != 1 {
		t.Errorf("data directory %q, topics %v, listeners %v", c.DataDir, c.SeedTopic, c.Listen)
	}
}

// freePorts finds n ports in a row that nobody listens on, now.
func freePorts(t *testing.T, n int) int {
	t.Helper()
search:
	for range 1000 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		base := first.Addr().(*net.TCPAddr).Port
		_ = first.Close()
		for port := base; port < base+n; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				continue search
			}
			_ = l.Close()
		}
		return base
	}
	t.Fatal("there are not so many ports in a row")
	return 0
}

// startGateway starts one in front of addresses; another process may take its ports first,
// and then it is started again.
func startGateway(t *testing.T, upstream string, args ...string) (c *child, at string) {
	t.Helper()
	for range 10 {
		base := freePorts(t, 4)
		c = start(t, append([]string{"gateway", "--upstream", upstream, "--listen", fmt.Sprintf("127.0.0.1:%d", base+3), "--node-ports", fmt.Sprintf("%d-%d", base, base+2)}, args...)...)
		select {
		case line := <-c.lines():
			if strings.Contains(line, "ready on") {
				return c, fmt.Sprintf("127.0.0.1:%d", base+3)
			}
			_ = c.cmd.Wait()
		case <-time.After(deadline):
			t.Fatalf("no ready line: %s", c.stderr.String())
		}
	}
	t.Fatalf("it did not start: %s", c.stderr.String())
	return nil, ""
}

func TestAGatewayServesAnExistingCluster(t *testing.T) {
	for _, mode := range []string{"multiplexed", "dedicated"} {
		t.Run(mode, func(t *testing.T) {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(3))
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			args, side := withHTTP(t, "--upstream-mode", mode)
			c, at := startGateway(t, strings.Join(cluster.ListenAddrs(), ","), args...)
			produceAndConsume(t, at, kgo.FetchMaxWait(100*time.Millisecond)) // a Fetch that waits with a broker is waited for at the end
			c.logged(`msg="broker up" node=[012] `)
			for path, want := range map[string]string{"/metrics": `kring_upstream_up{node="any"} 1`, "/upstreams": `"state":"up"`} {
				if _, body := side.get(path); !strings.Contains(body, want) {
					t.Errorf("%s has no %s:\n%s", path, want, body)
				}
			}
			c.signal(syscall.SIGTERM)
			if status := c.exit(); status != exitOK {
				t.Errorf("exit status %d:\n%s", status, c.stderr.String())
			}
		})
	}
}

// TestAGatewayCountsTopicsAsServeDoes: what brokers stored and sent, by their names, within
// --metrics-topics.
func TestAGatewayCountsTopicsAsServeDoes(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(3, "orders", "payments"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	args, door := withHTTP(t, "--metrics-topics", "1")
	c, at := startGateway(t, strings.Join(cluster.ListenAddrs(), ","), args...)
	client, err := kgo.NewClient(kgo.SeedBrokers(at), kgo.ConsumeTopics("orders"), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	trade(t, client)
	const topics = "kafka_server_brokertopicmetrics_"
	for _, want := range []string{
		`messagesin_total 3`, `messagesin_total{topic="orders"} 2`, `messagesin_total{topic="other"} 1`,
		`totalproducerequests_total{topic="orders"} 2`, `failedproducerequests_total{topic="orders"} 0`,
	} {
		until(t, want, func() bool {
			_, body := door.get("/metrics")
			return strings.Contains(body, topics+want+"\n")
		})
	}
	if _, body := door.get("/metrics"); !regexp.MustCompile(topics + `bytesout_total\{topic="orders"\} [1-9]`).MatchString(body) {
		t.Errorf("what was fetched is not counted in\n%s", body)
	}
	client.Close()
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		t.Errorf("exit status %d:\n%s", status, c.stderr.String())
	}
}

// TestRulesHoldInFrontOfAGateway by the name of its listener, also for the ports of brokers; and
// what clients push of their own metrics stays here.
func TestRulesHoldInFrontOfAGateway(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(3, "mine", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	rules := filepath.Join(t.TempDir(), "rules")
	writeFile(t, rules, []byte("allow User:ANONYMOUS read,write topic:mine on PLAINTEXT\n"))
	args, side := withHTTP(t, "--acl", rules, "--client-telemetry")
	c, at := startGateway(t, strings.Join(cluster.ListenAddrs(), ","), args...)
	cl, err := kgo.NewClient(kgo.SeedBrokers(at), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for topic, want := range map[string]error{"mine": nil, "secret": kerr.TopicAuthorizationFailed} {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr(); !errors.Is(err, want) {
			t.Errorf("produce to %s: %v, want %v", topic, err, want)
		}
	}
	c.logged(`is denied what no rule allows" .*resource=topic:secret`)
	writeFile(t, rules, []byte("allow User:ANONYMOUS read,write topic:* on PLAINTEXT\n"))
	c.signal(syscall.SIGHUP)
	c.logged("the rules of --acl were read again")
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "secret", Value: []byte("v")}).FirstErr(); err != nil {
		t.Errorf("when it may: %v", err)
	}
	client := dial(t, at)
	if keys := announced(t, client); len(keys) != 2 {
		t.Errorf("of client telemetry %v are announced", keys)
	}
	got := asked[*kmsg.GetTelemetrySubscriptionsResponse](t, client, kmsg.NewPtrGetTelemetrySubscriptionsRequest())
	push := kmsg.NewPtrPushTelemetryRequest()
	push.ClientInstanceID, push.SubscriptionID, push.Metrics = got.ClientInstanceID, got.SubscriptionID, oneGauge("org.apache.kafka.producer.connection.creation.total", 7)
	if resp := asked[*kmsg.PushTelemetryResponse](t, client, push); resp.ErrorCode != 0 || got.ErrorCode != 0 {
		t.Errorf("subscriptions: %+v, push: %+v", got, resp)
	}
	if _, body := side.get("/metrics"); !strings.Contains(body, "kring_client_metric_sum{") {
		t.Error("/metrics has nothing of what was pushed")
	}
	other, direct := startGateway(t, strings.Join(cluster.ListenAddrs(), ","))
	if keys := announced(t, dial(t, direct)); len(keys) != 0 {
		t.Errorf("without --client-telemetry %v are announced", keys)
	}
	for _, c := range []*child{c, other} {
		c.signal(syscall.SIGTERM)
		if status := c.exit(); status != exitOK {
			t.Errorf("exit status %d:\n%s", status, c.stderr.String())
		}
	}
}

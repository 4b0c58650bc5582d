package main

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
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
		{with("--upstream-ca", "ca.pem"), "--upstream-tls"},
		{with("--upstream-tls", "--upstream-cert", "c.pem"), "--upstream-key"},
		{with("--data-dir", "d"), "--data-dir"},
		{with("--acl", "rules.txt"), "--acl"},
	} {
		var stderr bytes.Buffer
		if command, _ := parse(tt.args, settingsOf(nil), new(bytes.Buffer), &stderr); command != nil || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%q: %s", tt.args, stderr.String())
		}
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

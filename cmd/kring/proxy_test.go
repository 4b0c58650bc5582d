package main

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/proxyproto/proxytest"
)

// TestWhoMayForwardIsSaidForAllListenersOrForOne: commas within a value of --listener
// belong to it, on the command line and in the environment.
func TestWhoMayForwardIsSaidForAllListenersOrForOne(t *testing.T) {
	cfg := serverConfigOf(t, "--listen", "127.0.0.1:0", "--listen", "OWN://127.0.0.1:0", "--listen", "NONE://127.0.0.1:0", "--listen", "LOCAL://unix:/run/kring",
		"--listen", "SIDE://unix:@side", "--proxy-protocol", "10.0.0.0/8,192.0.2.1", "--proxy-protocol", "fd00::/8",
		"--listener", "OWN.proxy-protocol=192.0.2.0/24", "--listener", "OWN.proxy-protocol=172.16.0.0/12,::1,OWN.max-connections=3",
		"--listener", "NONE.proxy-protocol=off", "--listener", "SIDE.proxy-protocol=all")
	for i, want := range [][]string{
		{"10.0.0.0/8", "192.0.2.1/32", "fd00::/8"}, {"172.16.0.0/12", "::1/128"}, nil, nil, {"0.0.0.0/0", "::/0"},
	} {
		var is []string
		for _, p := range cfg.Listeners[i].ProxyProtocol {
			is = append(is, p.String())
		}
		if !slices.Equal(is, want) {
			t.Errorf("%s: %q, want %q", cfg.Listeners[i].Name, is, want)
		}
	}
	if cfg.Listeners[1].ConnsMax != 3 {
		t.Error("a setting behind a comma is not taken")
	}
	var stderr bytes.Buffer
	command, _ := parse([]string{"serve"}, settingsOf([]string{"KRING_LISTEN=A://:1,B://:2", "KRING_PROXY_PROTOCOL=10.0.0.0/8,::1",
		"KRING_LISTENER=A.proxy-protocol=192.0.2.1,192.0.2.2,B.max-connections=7"}), new(bytes.Buffer), &stderr)
	if command == nil {
		t.Fatal(stderr.String())
	}
	of := command.Selected().Target.Addr().Interface().(*serveCmd).serverConfig().Listeners
	if !slices.Equal(of[0].ProxyProtocol, []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")}) ||
		len(of[1].ProxyProtocol) != 2 || of[1].ConnsMax != 7 {
		t.Errorf("by the environment: %+v", of)
	}
	for _, c := range []struct{ arg, value, says string }{
		{"--proxy-protocol", "10.0.0.0/33", `"10.0.0.0/33" is no network`}, {"--proxy-protocol", "lb.example", "such as 10.0.0.0/8"},
		{"--listener", "PLAINTEXT.proxy-protocol=10.0.0.0/8,x", `"x" is no network`}, {"--proxy-timeout", "0s", "--proxy-timeout 0s"},
	} {
		var stderr bytes.Buffer
		command, status := parse([]string{"serve", c.arg, c.value}, settingsOf(nil), new(bytes.Buffer), &stderr)
		if command != nil || status != exitUsage || !strings.Contains(stderr.String(), c.says) || !strings.Contains(stderr.String(), c.arg) {
			t.Errorf("%s %s: status %d, %s", c.arg, c.value, status, stderr.String())
		}
	}
}

// TestALoadBalancersClientsAreInTheLog, and why those are not served who don't keep to it.
func TestALoadBalancersClientsAreInTheLog(t *testing.T) {
	for _, engine := range enginesHere() {
		c := serve(t, "--engine", engine, "--handler", "null", "--proxy-protocol", "127.0.0.1", "--log-level", "debug")
		good := dial(t, c.addr)
		if _, err := good.Write(proxytest.V1("192.0.2.7:1234", "198.51.100.1:9092")); err != nil {
			t.Fatal(err)
		}
		ask(t, good, kmsg.NewPtrMetadataRequest())
		if _, err := good.Write([]byte{0xff, 0xff, 0xff, 0xff}); err != nil {
			t.Fatal(err)
		}
		c.logged(`msg="connection closed" .* remote=192\.0\.2\.7:1234 reason=frame_size_negative`)
		c.logged(`level=WARN .* reason=frame_size_negative remote=192\.0\.2\.7:1234 .* forwarder=127\.0\.0\.1:`)
		bad := dial(t, c.addr)
		if _, err := bad.Write([]byte("PROXY TCP4 192.0.2.300 192.0.2.1 1 2\r\n")); err != nil {
			t.Fatal(err)
		}
		c.logged(`level=WARN .* reason=proxy_header_malformed remote=127\.0\.0\.1:.*source address.*192\.0\.2\.300`)
		bare := dial(t, c.addr)
		if _, err := bare.Write(kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrMetadataRequest(), 1)); err != nil {
			t.Fatal(err)
		}
		c.logged(`level=WARN .* reason=proxy_header_missing .*have the load balancer send one`)
		c.signal(syscall.SIGTERM)
		if status := c.exit(); status != exitOK {
			t.Errorf("%s: exit status %d, want 0", engine, status)
		}
	}
}

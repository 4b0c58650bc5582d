package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// dialled remembers where a client connected to, and knows where that is here.
type dialled struct {
	is map[string]string
	mu sync.Mutex
	to []string // guarded by mu
}

func (d *dialled) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.Lock()
	d.to = append(d.to, address)
	d.mu.Unlock()
	return new(net.Dialer).DialContext(ctx, network, d.is[address])
}

func (d *dialled) addresses() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := slices.Clone(d.to)
	slices.Sort(all)
	return slices.Compact(all)
}

// TestEachListenersClientsConnectToItsOwnAddressOnly: Docker's usual pair. Clients
// produce, and read as a group, through each, and never connect anywhere else.
func TestEachListenersClientsConnectToItsOwnAddressOnly(t *testing.T) {
	for _, engine := range enginesHere() {
		t.Run(engine, func(t *testing.T) {
			inside, outside := "kafka_1:29092", "broker.example.org:9092"
			c := start(t, "serve", "--engine", engine, "--listen", "INTERNAL://0.0.0.0:0", "--listen", "EXTERNAL://0.0.0.0:0",
				"--listener", "INTERNAL.advertise="+inside, "--listener", "EXTERNAL.advertise="+outside)
			ports := regexp.MustCompile(`]?(:[0-9]+)[, ]`).FindAllStringSubmatch(<-c.lines(), -1)
			if len(ports) != 2 {
				t.Fatalf("ports %q; standard error:\n%s", ports, c.stderr.String())
			}
			for i, at := range []string{inside, outside} {
				d := dialled{is: map[string]string{at: "127.0.0.1" + ports[i][1]}}
				produceAndConsume(t, at, kgo.Dialer(d.dial))
				if to := d.addresses(); !slices.Equal(to, []string{at}) {
					t.Errorf("the client of %s connected to %q", at, to)
				}
			}
			if strings.Contains(c.stderr.String(), "level=WARN") {
				t.Errorf("standard error:\n%s", c.stderr.String())
			}
			c.signal(syscall.SIGTERM)
			if status := c.exit(); status != exitOK {
				t.Errorf("exit status %d, want 0", status)
			}
		})
	}
}

// produceAndConsume writes a record to a topic and reads it as a group's member.
func produceAndConsume(t *testing.T, seed string, opts ...kgo.Opt) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	topic := "t" + regexp.MustCompile(`\W`).ReplaceAllString(seed, "-")
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(seed), kgo.AllowAutoTopicCreation(),
		kgo.DefaultProduceTopic(topic), kgo.ConsumeTopics(topic), kgo.ConsumerGroup("g"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(ctx, kgo.StringRecord("here")).FirstErr(); err != nil {
		t.Fatalf("%s: %v", seed, err)
	}
	fetches := cl.PollFetches(ctx)
	if err := fetches.Err(); err != nil || fetches.NumRecords() != 1 {
		t.Fatalf("%s: %d records, %v", seed, fetches.NumRecords(), err)
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		t.Errorf("%s: commit: %v", seed, err)
	}
}

// toldBy asks on a connection which broker there is.
func toldBy(t *testing.T, conn net.Conn) kafka.Address {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.Topics = 12, []kmsg.MetadataRequestTopic{}
	resp := asked[*kmsg.MetadataResponse](t, conn, req)
	if len(resp.Brokers) != 1 {
		t.Fatalf("%+v", resp)
	}
	return kafka.Address{Host: resp.Brokers[0].Host, Port: resp.Brokers[0].Port}
}

// TestWhatClientsAreToldFollowsFromTheListenerTheyCameBy, for both handlers that
// tell them.
func TestWhatClientsAreToldFollowsFromTheListenerTheyCameBy(t *testing.T) {
	for _, handler := range []string{"embedded", "null"} {
		c := serve(t, "--handler", handler, "--listen", "B://127.0.0.1:0", "--listen", "OWN://127.0.0.1:0", "--listener", "OWN.advertise=own.example:7")
		addrs := regexp.MustCompile(`127\.0\.0\.1:[0-9]+`).FindAllString(c.ready, -1)
		for i, want := range []string{addrs[0], addrs[1], "own.example:7"} {
			if told := toldBy(t, dial(t, addrs[i])).String(); told != want {
				t.Errorf("%s: listener %d tells its clients %s, want %s", handler, i, told, want)
			}
		}
		c.signal(syscall.SIGTERM)
		if status := c.exit(); status != exitOK {
			t.Errorf("exit status %d, want 0", status)
		}
		c = serve(t, "--handler", handler, "--listen", "OWN://127.0.0.1:0", "--advertise", "all.example:5", "--listener", "OWN.advertise=own.example:7")
		addrs = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`).FindAllString(c.ready, -1)
		for i, want := range []string{"all.example:5", "own.example:7"} {
			if told := toldBy(t, dial(t, addrs[i])).String(); told != want {
				t.Errorf("%s with --advertise: listener %d tells its clients %s, want %s", handler, i, told, want)
			}
		}
	}
}

// TestAUnixDomainSocketBesideATCPListenerTellsThatOnesAddress, without --advertise.
func TestAUnixDomainSocketBesideATCPListenerTellsThatOnesAddress(t *testing.T) {
	for _, handler := range []string{"embedded", "null"} {
		path := fmt.Sprintf("@kring-advertise-%s-%d", handler, os.Getpid())
		c := start(t, "serve", "--handler", handler, "--listen", "unix:"+path, "--listen", "127.0.0.1:0")
		line := <-c.lines()
		tcp := regexp.MustCompile(`127\.0\.0\.1:[0-9]+`).FindString(line)
		if tcp == "" {
			t.Fatalf("ready line %q; standard error:\n%s", line, c.stderr.String())
		}
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, by := range []net.Conn{conn, dial(t, tcp)} {
			if told := toldBy(t, by).String(); told != tcp {
				t.Errorf("%s: by %s a client is told %s, want %s", handler, by.RemoteAddr(), told, tcp)
			}
		}
		c.signal(syscall.SIGTERM)
		if status := c.exit(); status != exitOK {
			t.Errorf("exit status %d, want 0", status)
		}
	}
}

// TestAServerOnEveryAddressSaysLocalhostAndWarns.
func TestAServerOnEveryAddressSaysLocalhostAndWarns(t *testing.T) {
	c := start(t, "serve", "--listen", "0.0.0.0:0")
	m := regexp.MustCompile(`ready on 0\.0\.0\.0:([0-9]+) `).FindStringSubmatch(<-c.lines())
	if m == nil {
		t.Fatalf("no ready line; standard error:\n%s", c.stderr.String())
	}
	if told := toldBy(t, dial(t, "127.0.0.1:"+m[1])).String(); told != "localhost:"+m[1] {
		t.Errorf("told %s", told)
	}
	c.logged(`level=WARN msg="clients on other machines, and in other containers, .*advertised=localhost:` + m[1])
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		t.Errorf("exit status %d, want 0", status)
	}
}

// TestAddressesThatCantBeAdvertisedAreRefusedByTheFlag, before anything is opened.
func TestAddressesThatCantBeAdvertisedAreRefusedByTheFlag(t *testing.T) {
	long := strings.Repeat("a", 64) + ".example:9092"
	for _, value := range []string{"0.0.0.0:9092", "[::]:9092", "broker.example.org:0", "broker.example.org", "a b:9092", "-a.example:9092", "1.2.3:9092", long, "ff02::1:9092", ":9092", "a..b:9092"} {
		for _, args := range [][]string{{"--advertise", value}, {"--listener", "PLAINTEXT.advertise=" + value}} {
			refusedAs(t, args, args[0], value)
		}
	}
	two := []string{"--listen", "A://127.0.0.1:0", "--listen", "SSL://127.0.0.1:0", "--listener", "A.advertise=a.example:1"}
	refusedAs(t, append(two, "--listener", "SSL.advertise=a.example:1"), "--listener SSL.advertise=a.example:1", "PLAINTEXT and not SSL")
	// Two ways to one broker may have one name; and the last of two settings wins.
	same := append(two[:4:4], "--listen", "B://127.0.0.1:0", "--listener", "A.advertise=a.example:1", "--listener", "B.advertise=a.example:1", "--listener", "SSL.advertise=a.example:1", "--listener", "SSL.advertise=a.example:2")
	if command, _ := parse(append([]string{"serve"}, same...), settingsOf(nil), io.Discard, io.Discard); command == nil {
		t.Errorf("%q is refused", same)
	}
}

// refusedAs wants a command line to be refused with texts.
func refusedAs(t *testing.T, args []string, says ...string) {
	t.Helper()
	var stderr strings.Builder
	command, status := parse(append([]string{"serve"}, args...), settingsOf(nil), io.Discard, &stderr)
	if command != nil || status != exitUsage {
		t.Errorf("%q: status %d; want it refused", args, status)
	}
	for _, text := range says {
		if !strings.Contains(stderr.String(), text) {
			t.Errorf("%q: the error lacks %q: %s", args, text, stderr.String())
		}
	}
}

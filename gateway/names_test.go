package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/internal/testcerts"
	"kring/kafka"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// everyNameIsHere answers the resolver: every name has the address 127.0.0.1.
func everyNameIsHere(t *testing.T) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	was := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	over := make(chan struct{})
	t.Cleanup(func() {
		net.DefaultResolver = was
		_ = server.Close()
		<-over
	})
	go func() {
		defer close(over)
		for query := make([]byte, 1500); ; {
			n, from, err := server.ReadFrom(query)
			if err != nil {
				return
			}
			end := 12 // the header
			for end < n && query[end] != 0 {
				end += 1 + int(query[end])
			}
			if end += 5; end > n { // the last label, type and class
				continue
			}
			answers := byte(0)
			answer := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[12:end]...)
			if query[end-4] == 0 && query[end-3] == 1 { // of type A
				answers = 1
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
			}
			answer[7] = answers
			_, _ = server.WriteTo(answer, from)
		}
	}()
}

// TestClientsReachBrokersByTheirNames: one port for all, over TLS; the name that a client gives in
// its handshake says which broker it means. The client is as its documentation says: it knows of
// no gateway.
func TestClientsReachBrokersByTheirNames(t *testing.T) {
	everyNameIsHere(t)
	ca, err := testcerts.New("names")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Issue(testcerts.Spec{Subject: pkix.Name{CommonName: "gateway"}, Hosts: []string{"*.kafka.test"}})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	server := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Leaf.Raw}, PrivateKey: cert.Key}}}
	for _, engine := range servertest.Engines() {
		for name, mode := range modes {
			t.Run(string(engine)+"/"+name, func(t *testing.T) {
				socket, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				_, port, _ := net.SplitHostPort(socket.Addr().String())
				bootstrap := "bootstrap.kafka.test:" + port
				at, err := kafka.ParseAddress(bootstrap)
				if err != nil {
					t.Fatal(err)
				}
				b := newBed(t, bedOptions{
					gateway: func(c *Config) {
						c.Mode, c.NodeOf = mode, nil
						c.Addressing = Addressing{Names: "broker-$(node).kafka.test", NamesPort: at.Port}
					},
					server: func(c *kring.Config) {
						c.Engine = engine
						c.Listeners = []kring.ListenerConfig{{Name: "SSL", Listener: socket, TLS: &kring.TLSConfig{Config: func() *tls.Config { return server }}}}
					},
				})
				client := func(opts ...kgo.Opt) *kgo.Client {
					cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(bootstrap), kgo.DialTLSConfig(&tls.Config{RootCAs: roots}), kgo.AllowAutoTopicCreation())...)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(cl.Close)
					return cl
				}
				const n = 300
				cl, ctx := client(), deadline(t)
				produce(t, cl, "things", n)
				for node := range bedNodes {
					if _, err := cl.Broker(node).Request(ctx, kmsg.NewPtrListGroupsRequest()); err != nil {
						t.Errorf("broker %d: %v", node, err)
					}
				}
				if seen := consume(t, client(kgo.ConsumeTopics("things")), n); len(seen) != n {
					t.Errorf("%d of %d records came", len(seen), n)
				}
				for _, s := range b.gateway.Stats() { // a broker that is not a partition's leader would have refused
					if s.Counts.Answered == 0 {
						t.Errorf("broker %d was reached by nobody", s.Node)
					}
				}
			})
		}
	}
}

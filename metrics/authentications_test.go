package metrics_test

import (
	"crypto/tls"
	"net"
	"testing"

	"kring"
	"kring/acceptor"
	"kring/internal/servertest"
	"kring/kafka"
	"kring/metrics"
)

const socketServer = "kafka_server_socket_server_metrics_"

// TestAuthenticationsHaveTheirSeriesFromTheStart on each listener, with SASL or without: an
// alert on failed authentications must find a 0 before the first.
func TestAuthenticationsHaveTheirSeriesFromTheStart(t *testing.T) {
	source := &idle{kring.Stats{
		Listeners:  []acceptor.ListenerStats{{Name: "PLAINTEXT"}, {Name: "SASL_SSL"}},
		Handshakes: []kring.HandshakeStats{{Listener: "SASL_SSL"}},
	}}
	of := func() map[string]metrics.Authentications { return map[string]metrics.Authentications{"SASL_SSL": {}} }
	_, scrape := scraper(t, source, metrics.Options{Authentications: of})
	got := scrape()
	for _, listener := range []string{"PLAINTEXT", "SASL_SSL"} {
		for _, name := range []string{
			"successful_authentication_total", "successful_authentication_rate", "successful_authentication_no_reauth_total",
			"failed_authentication_total", "failed_authentication_rate", "successful_reauthentication_total", "successful_reauthentication_rate",
			"failed_reauthentication_total", "failed_reauthentication_rate", "reauthentication_latency_avg", "reauthentication_latency_max",
		} {
			if v, there := got.value(socketServer+name, "listener", listener); !there || v != 0 {
				t.Errorf("%s of %s: %v, %v", name, listener, v, there)
			}
		}
	}
	for _, name := range []string{"tls_handshakes_begun_total", "tls_handshakes_failed_total", "tls_handshakes_made_way_total", "tls_handshakes_full_total", "sasl_overloads_total"} {
		if v, there := got.value("kring_"+name, "listener", "SASL_SSL"); !there || v != 0 {
			t.Errorf("%s: %v, %v", name, v, there)
		}
		if _, there := got.value("kring_"+name, "listener", "PLAINTEXT"); there {
			t.Errorf("%s is there for PLAINTEXT", name)
		}
	}
	_, scrape = scraper(t, source, metrics.Options{Dialect: metrics.Confluent})
	if _, there := scrape().value("kafka_server_socketservermetrics_failed_authentication_total", "listener", "PLAINTEXT"); !there {
		t.Error("Confluent's name is not there")
	}
}

// TestAuthenticationsAreCountedAsKafkaDoes: handshakes that fail are failed authentications,
// those that succeed count where no SASL follows.
//
// Apache Kafka does so in Selector.pollSelectionKeys.
func TestAuthenticationsAreCountedAsKafkaDoes(t *testing.T) {
	source := &idle{kring.Stats{Listeners: []acceptor.ListenerStats{{Name: "SSL"}, {Name: "SASL_SSL"}}}}
	var sasl kafka.SASLStats
	of := func() map[string]metrics.Authentications {
		return map[string]metrics.Authentications{"SASL_SSL": metrics.Authentications(sasl)}
	}
	_, scrape := scraper(t, source, metrics.Options{Authentications: of})
	scrape()
	source.stats.Handshakes = []kring.HandshakeStats{
		{Listener: "SSL", Begun: 9, Succeeded: 5, Failed: 3, Left: 1}, {Listener: "SASL_SSL", Begun: 30, Succeeded: 20, Failed: 7, MadeWay: 2, Left: 1, Full: 4},
	}
	sasl = kafka.SASLStats{Succeeded: 11, NoReauth: 2, Failed: 6, Reauthenticated: 3, ReauthFailed: 1, Overloaded: 8}
	sasl.ReauthLatency.Add(kring.Distribution{Count: 3, Sum: 6000, Max: 4000})
	got := scrape()
	for _, want := range []struct {
		value          float64
		name, listener string
	}{
		{5, socketServer + "successful_authentication_total", "SSL"},
		{5, socketServer + "successful_authentication_no_reauth_total", "SSL"},
		{3, socketServer + "failed_authentication_total", "SSL"},
		{11, socketServer + "successful_authentication_total", "SASL_SSL"},
		{2, socketServer + "successful_authentication_no_reauth_total", "SASL_SSL"},
		{13, socketServer + "failed_authentication_total", "SASL_SSL"},
		{3, socketServer + "successful_reauthentication_total", "SASL_SSL"},
		{1, socketServer + "failed_reauthentication_total", "SASL_SSL"},
		{30, "kring_tls_handshakes_begun_total", "SASL_SSL"},
		{2, "kring_tls_handshakes_made_way_total", "SASL_SSL"},
		{4, "kring_tls_handshakes_full_total", "SASL_SSL"},
		{8, "kring_sasl_overloads_total", "SASL_SSL"},
	} {
		if v, there := got.value(want.name, "listener", want.listener); !there || v != want.value {
			t.Errorf("%s of %s: %v, %v; want %v", want.name, want.listener, v, there, want.value)
		}
	}
	if v, _ := got.value(socketServer+"failed_authentication_rate", "listener", "SASL_SSL"); v <= 0 {
		t.Errorf("a rate of %v", v)
	}
}

// TestHandshakesOfAServerAreCounted, those that succeed and those that fail.
func TestHandshakesOfAServerAreCounted(t *testing.T) {
	with, client := servertest.TLS()
	s := servertest.Start(t, servertest.Secure(servertest.Config(kring.EnginePortable, kring.DispatchPool), with), service{})
	_, scrape := scraper(t, s, metrics.Options{})
	listener := s.Listeners()[0]
	servertest.DialTLS(t, s, client).Ask("\x01\x04 a fetch", "\x01\x04 a fetch")
	stranger := client.Clone()
	stranger.RootCAs, stranger.InsecureSkipVerify = nil, false
	c, err := net.Dial("tcp", listener.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if tls.Client(c, stranger).Handshake() == nil {
		t.Fatal("it trusts the server")
	}
	for name, want := range map[string]float64{
		"kring_tls_handshakes_begun_total": 2, "kring_tls_handshakes_succeeded_total": 1, "kring_tls_handshakes_failed_total": 1,
		socketServer + "successful_authentication_total": 1, socketServer + "failed_authentication_total": 1,
	} {
		servertest.Eventually(t, name, func() bool {
			v, _ := scrape().value(name, "listener", listener.Name)
			return v == want
		})
	}
}

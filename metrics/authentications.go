package metrics

import (
	"kring"
)

// Authentications are what became of authentications by SASL, on one listener. They have the
// counts of kafka.SASLStats, which can be converted.
type Authentications struct {
	Succeeded, Failed             uint64 // of new clients
	Reauthenticated, ReauthFailed uint64
	Expired                       uint64 // went on when their session had ended
	Early                         uint64 // asked for something before they had authenticated
	Overloaded                    uint64 // found too many others
	Undelayed                     uint64 // failed when too many were waiting for that answer
	NoReauth                      uint64 // of Succeeded: clients that can't authenticate again
	Waiting                       int    // now, for a goroutine
	// ReauthLatency is how long it took to authenticate again, in microseconds.
	ReauthLatency kring.Distribution
}

// outcome is what Kafka counts of the clients of a listener that prove who they are: by SASL,
// or by TLS where there is no SASL.
type outcome struct{ succeeded, noReauth, failed, reauthenticated, reauthFailed uint64 }

// outcomeOf adds up both (Selector, pollSelectionKeys): a handshake that fails is a failed
// authentication on each TLS listener, one that succeeds is an authentication where no SASL
// follows. Clients of TLS alone can't authenticate again.
func outcomeOf(listener string, st *kring.Stats, sasl map[string]Authentications) (o outcome) {
	a, follows := sasl[listener]
	o = outcome{a.Succeeded, a.NoReauth, a.Failed, a.Reauthenticated, a.ReauthFailed}
	h := handshakesOf(listener, st)
	o.failed += h.Failed
	if !follows {
		o.succeeded, o.noReauth = h.Succeeded, h.Succeeded
	}
	return o
}

func handshakesOf(listener string, st *kring.Stats) kring.HandshakeStats {
	for _, h := range st.Handshakes {
		if h.Listener == listener {
			return h
		}
	}
	return kring.HandshakeStats{}
}

// authentications sends what Kafka counts of them, by listener, of each from 0.
func (s *scrape) authentications() {
	for _, l := range s.now.Listeners {
		of := label{"listener", l.Name}
		now, before := outcomeOf(l.Name, &s.now, s.sasl), outcomeOf(l.Name, &s.since.stats, s.since.sasl)
		for _, c := range []struct {
			name, help  string
			now, before uint64
		}{
			{"successful_authentication", "Clients that have proved who they are", now.succeeded, before.succeeded},
			{"failed_authentication", "Clients that could not prove who they are", now.failed, before.failed},
			{"successful_reauthentication", "Clients that have authenticated again", now.reauthenticated, before.reauthenticated},
			{"failed_reauthentication", "Clients that could not authenticate again", now.reauthFailed, before.reauthFailed},
		} {
			s.kafkaCounter(group+c.name+"_total", c.help+".", c.now, of)
			s.kafkaGauge(group+c.name+"_rate", c.help+", a second, over a minute.", s.rate(c.now, c.before), of)
		}
		s.kafkaCounter(group+"successful_authentication_no_reauth_total", "Clients that have proved who they are, and are too old to do so again (KIP-368).", now.noReauth, of)
		again := grown(s.sasl[l.Name].ReauthLatency, s.since.sasl[l.Name].ReauthLatency)
		s.kafkaGauge(group+"reauthentication_latency_avg", "Milliseconds that it took to authenticate again, over a minute.", again.Mean()*1e-3, of)
		s.kafkaGauge(group+"reauthentication_latency_max", "Milliseconds that it took at most to authenticate again, over a minute.", float64(again.Max)*1e-3, of)
	}
}

// handshakes sends what Kafka does not count of TLS and SASL, of each listener that has it.
func (s *scrape) handshakes() {
	for _, h := range s.now.Handshakes {
		of := label{"listener", h.Listener}
		s.counter("kring_tls_handshakes_begun_total", "TLS handshakes that have begun.", h.Begun, of)
		s.counter("kring_tls_handshakes_succeeded_total", "TLS handshakes that succeeded.", h.Succeeded, of)
		s.counter("kring_tls_handshakes_failed_total", "TLS handshakes that failed by what the client sent, or for who it is.", h.Failed, of)
		s.counter("kring_tls_handshakes_left_total", "TLS handshakes whose client went away, or took too long.", h.Left, of)
		s.counter("kring_tls_handshakes_made_way_total", "TLS handshakes that waited for their client and ended for another's sake.", h.MadeWay, of)
		s.counter("kring_tls_handshakes_full_total", "TLS handshakes that could not begin, because as many had begun as may.", h.Full, of)
		s.gauge("kring_tls_handshakes_now", "TLS handshakes that have begun and not ended.", float64(h.Now), of)
	}
	for _, l := range s.now.Listeners {
		a, has := s.sasl[l.Name]
		if !has {
			continue
		}
		of := label{"listener", l.Name}
		s.counter("kring_sasl_sessions_expired_total", "Clients that went on when their session had ended.", a.Expired, of)
		s.counter("kring_sasl_early_requests_total", "Clients that asked for something before they had authenticated.", a.Early, of)
		s.counter("kring_sasl_overloads_total", "Clients that were closed because too many were being authenticated.", a.Overloaded, of)
		s.counter("kring_sasl_failures_undelayed_total", "Clients that failed when too many were waiting for that answer, and were told nothing.", a.Undelayed, of)
		s.gauge("kring_sasl_waiting", "Clients whose token waits to be looked at.", float64(a.Waiting), of)
	}
}

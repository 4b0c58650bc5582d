package main

import (
	"bytes"
	"log/slog"
	"testing"

	"kring/tlsconf"
)

// TestTicketsOfARereadListenerAreHandedOver: the next process was given those of the start, by a
// list that the reread was changing at that moment.
func TestTicketsOfARereadListenerAreHandedOver(t *testing.T) {
	at, _ := certDir(t)
	sourceOf := func(name string) *tlsconf.Source {
		t.Helper()
		s, err := tlsconf.Load(tlsconf.Files{Certificates: []tlsconf.Pair{{Cert: tlsconf.Input{File: at(name + ".pem")}, Key: tlsconf.Input{File: at(name + ".key")}}}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before, after := &serveCmd{}, &serveCmd{}
	before.TLS.sources = []namedSource{{"A", sourceOf("one")}}
	after.TLS.sources = []namedSource{{"A", sourceOf("two")}}
	l := &live{log: slog.New(slog.DiscardHandler), certified: []*serveCmd{before}, now: &running{c: after, renewed: []string{"A"}}}
	l.publishSources()
	old, want := before.TLS.sources[0].source.Tickets(), after.TLS.sources[0].source.Tickets()
	if got := l.tickets()[ticketsOf("A")]; old == nil || !bytes.Equal(got, old) {
		t.Errorf("at the start: %d bytes", len(got))
	}
	l.handOver()
	if got := l.tickets()[ticketsOf("A")]; want == nil || !bytes.Equal(got, want) {
		t.Errorf("after the reread: %d bytes", len(got))
	}
}

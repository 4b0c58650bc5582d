package kring

import (
	"crypto/tls"
	"testing"
)

// A processor with a thread of its own makes each TLS handshake dearer, so WaitAuto chooses it
// only where nobody speaks TLS, or where a setting of the ring asks for it.
func TestProcessorsChooseToParkWhereAListenerSpeaksTLS(t *testing.T) {
	speaks := ListenerConfig{Address: "127.0.0.1:0", TLS: &TLSConfig{Config: func() *tls.Config { return nil }}}
	for name, c := range map[string]struct {
		cfg  Config
		want Wait
	}{
		"a pool":             {Config{}, WaitParked},
		"inline":             {Config{Dispatch: DispatchConfig{Mode: DispatchInline}}, WaitLocked},
		"inline, TLS":        {Config{Dispatch: DispatchConfig{Mode: DispatchInline}, Listeners: []ListenerConfig{{}, speaks}}, WaitParked},
		"inline, TLS, asked": {Config{Dispatch: DispatchConfig{Mode: DispatchInline}, Listeners: []ListenerConfig{speaks}, Processors: ProcessorsConfig{Wait: WaitLocked}}, WaitLocked},
		"inline, TLS, a locked ring": {func() Config {
			c := Config{Dispatch: DispatchConfig{Mode: DispatchInline}, Listeners: []ListenerConfig{speaks}}
			if err := c.URing.Set("min-wait", "20us"); err != nil {
				t.Fatal(err)
			}
			return c
		}(), WaitLocked},
	} {
		if got, _ := c.cfg.planned(); got.Processors.Wait != c.want {
			t.Errorf("%s: %v, want %v", name, got.Processors.Wait, c.want)
		}
	}
}

// What WaitAuto has chosen stays: a listener that speaks TLS can come and go without a restart.
func TestTheFirstTLSListenerCanBeAddedWhileProcessorsAreLocked(t *testing.T) {
	cfg := Config{Dispatch: DispatchConfig{Mode: DispatchInline}, Engine: EnginePortable, Listeners: []ListenerConfig{{Address: "127.0.0.1:0"}}}
	s, err := New(cfg, HandlerFunc(func(r Request) { r.Respond(r.Payload()) }))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	plain := cfg.Listeners[0]
	cfg.Listeners = []ListenerConfig{plain, {Name: "TLS", Address: "127.0.0.1:0", TLS: &TLSConfig{Config: func() *tls.Config { return &tls.Config{} }}}}
	if err := s.Reconfigure(cfg); err != nil {
		t.Error(err)
	}
	cfg.Listeners = []ListenerConfig{plain}
	if err := s.Reconfigure(cfg); err != nil {
		t.Error(err)
	}
	if got := s.now().cfg.Processors.Wait; got != WaitLocked {
		t.Errorf("processors that are locked are said to be %v", got)
	}
}

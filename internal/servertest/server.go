package servertest

import (
	"context"
	"runtime"
	"testing"
	"time"

	"kring"
)

// Deadline is how long anything may take before a test fails.
const Deadline = time.Minute

// Echo answers every request with its own payload.
var Echo = kring.HandlerFunc(func(r kring.Request) { r.Respond(r.Payload()) })

// Engines of this system; each must work, none may be skipped.
func Engines() []kring.Engine {
	if runtime.GOOS == "linux" {
		return []kring.Engine{kring.EngineURing, kring.EngineEpoll, kring.EnginePortable}
	}
	return []kring.Engine{kring.EnginePortable}
}

// Config of a small Server on a free port of 127.0.0.1.
func Config(engine kring.Engine, dispatch kring.DispatchMode) kring.Config {
	return kring.Config{
		Engine: engine, Dispatch: kring.DispatchConfig{Mode: dispatch, Handlers: 3}, Processors: kring.ProcessorsConfig{Count: 2},
		Listeners: []kring.ListenerConfig{{Address: "127.0.0.1:0"}},
	}
}

// EachEngine runs a property on every engine, with a pool of handlers.
func EachEngine(t *testing.T, property func(t *testing.T, cfg kring.Config)) {
	for _, engine := range Engines() {
		t.Run(string(engine), func(t *testing.T) { property(t, Config(engine, kring.DispatchPool)) })
	}
}

// Each runs a property on every engine and dispatch.
func Each(t *testing.T, property func(t *testing.T, cfg kring.Config)) {
	for _, engine := range Engines() {
		for _, dispatch := range []kring.DispatchMode{kring.DispatchPool, kring.DispatchInline} {
			t.Run(string(engine)+"/"+string(dispatch), func(t *testing.T) { property(t, Config(engine, dispatch)) })
		}
	}
}

// Start serves until the test ends, or until Shutdown.
func Start(t testing.TB, cfg kring.Config, h kring.Handler) *kring.Server {
	t.Helper()
	s, err := kring.New(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Shutdown(t, s) })
	return s
}

// Shutdown ends s, which must leave nothing behind. A second call does nothing.
func Shutdown(t testing.TB, s *kring.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Deadline)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Open != 0 || st.RequestBytes != 0 || st.MemoryMapped != 0 || st.Responses.Used != 0 || st.Responses.Waiting != 0 {
		t.Errorf("left behind: %d connections, %d request bytes, %d bytes mapped, responses %+v", st.Open, st.RequestBytes, st.MemoryMapped, st.Responses)
	}
}

// Eventually waits until condition holds; what names it in the failure. It sleeps between
// two looks: one that spins takes a processor from what it waits for.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(Deadline); !condition(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", Deadline, what)
		}
	}
}

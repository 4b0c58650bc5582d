package kring_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/uring"
)

// TestAConfigErrorHasEveryFault: of the server's own fields, of a listener's, and of
// what other packages judge.
func TestAConfigErrorHasEveryFault(t *testing.T) {
	cfg := kring.Config{
		Dispatch: kring.DispatchConfig{Mode: "elsewhere", Handlers: -1}, Conns: kring.ConnsConfig{RateWindows: -1, PerIP: []kring.AddressLimit{{Source: "::1", ConnsMax: -7}}},
		Listeners: []kring.ListenerConfig{{Name: "A", Address: "127.0.0.1:0", Limits: kring.LimitsConfig{PipelineMax: -1}}},
	}
	cfg.URing.Buffers, cfg.Epoll.ReceivesMax, cfg.Portable.AcceptsMax = 3, -1, -1
	want := []string{
		"Dispatch.Mode", "Listeners[A].Limits.PipelineMax", "Dispatch.Handlers", "Conns.PerIP[::1].ConnsMax", "Conns.RateWindows",
		"Epoll.ReceivesMax", "Portable.AcceptsMax", "URing.Buffers",
	}
	_, err := kring.New(cfg, servertest.Echo)
	var e *kring.ConfigError
	if !errors.As(err, &e) {
		t.Fatalf("New: %v, want a ConfigError", err)
	}
	for _, f := range e.Faults {
		if i := slices.Index(want, f.Field); i >= 0 {
			want = slices.Delete(want, i, i+1)
		} else if f.Field != "URing.BuffersHot" { // follows from Buffers
			t.Errorf("%s %s: not expected", f.Field, f.Says)
		}
		if !strings.Contains(f.Says, ": ") || !strings.Contains(err.Error(), f.Field+" "+f.Says) {
			t.Errorf("%s: %q has no remedy, or is not in the text", f.Field, f.Says)
		}
	}
	if len(want) > 0 {
		t.Errorf("no fault of %q in:\n%v", want, err)
	}
}

// TestFaultsComeInTheOrderOfTheFields, however the checks are ordered.
func TestFaultsComeInTheOrderOfTheFields(t *testing.T) {
	cfg := kring.Config{
		Engine: "kqueue", Processors: kring.ProcessorsConfig{Count: -1, Wait: "spin"}, Dispatch: kring.DispatchConfig{Mode: "both", Handlers: -2},
		Limits: kring.LimitsConfig{PipelineMax: -3}, Conns: kring.ConnsConfig{WhenFull: "panic", RateMax: -1, PerIP: []kring.AddressLimit{{Source: "10.0.0.0/40"}}},
		Listeners: []kring.ListenerConfig{{Name: "A.B", Address: "nowhere"}},
	}
	want := []string{"Listeners[A.B].Address", "Conns.RateMax", "Conns.PerIP[10.0.0.0/40].Source", "Conns.WhenFull", "Limits.PipelineMax",
		"Dispatch.Mode", "Dispatch.Handlers", "Processors.Count", "Processors.Wait", "Engine"}
	var e *kring.ConfigError
	if err := cfg.Validate(); !errors.As(err, &e) {
		t.Fatal(err)
	}
	var got []string
	for _, f := range e.Faults {
		got = append(got, f.Field)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWhatNeedsARestartIsAConfigError(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		cfg.Dispatch.Mode, cfg.Processors.Wait = kring.DispatchInline, kring.WaitParked
		var e *kring.ConfigError
		if err := s.Reconfigure(cfg); !errors.As(err, &e) || len(e.Faults) != 1 || e.Faults[0].Field != "Dispatch.Mode" {
			t.Errorf("Reconfigure: %v, want a ConfigError of Dispatch.Mode", err)
		}
	})
}

// TestReconfigureNamesWhatIsWrongAndWhatNeedsARestartAtOnce, and what is both only once.
func TestReconfigureNamesWhatIsWrongAndWhatNeedsARestartAtOnce(t *testing.T) {
	s := servertest.Start(t, servertest.Config(kring.EngineAuto, kring.DispatchPool), servertest.Echo)
	cfg := servertest.Config(kring.EngineAuto, kring.DispatchPool)
	cfg.Limits.PipelineMax, cfg.Dispatch.QueuedRequestsMax, cfg.Dispatch.QueuedPriorityMax, cfg.Dispatch.BatchMax = -2, 7, 500, -1
	cfg.URing.Buffers, cfg.Epoll.ReceivesMax = 3, -1
	var e *kring.ConfigError
	if err := s.Reconfigure(cfg); !errors.As(err, &e) {
		t.Fatalf("Reconfigure: %v, want a ConfigError", err)
	}
	count := map[string]int{}
	for _, f := range e.Faults {
		group, _, _ := strings.Cut(f.Field, ".")
		count[f.Field]++
		count[group]++
	}
	if count["Limits.PipelineMax"] != 1 || count["Dispatch.QueuedRequestsMax"] != 1 || count["Dispatch.BatchMax"] != 1 || count["Dispatch"] != 2 || count["Epoll"] != 1 || count["URing"] == 0 {
		t.Error(e)
	}
}

// TestAServerThatWasShutDownSaysSo whatever is asked of it, and one that never
// started says something else.
func TestAServerThatWasShutDownSaysSo(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		if err := s.Start(); err == nil || errors.Is(err, kring.ErrServerClosed) {
			t.Errorf("a second Start: %v", err)
		}
		servertest.Shutdown(t, s)
		ways := map[string]func(s *kring.Server) error{
			"Start":          (*kring.Server).Start,
			"Reconfigure":    func(s *kring.Server) error { return s.Reconfigure(cfg) },
			"AddListener":    func(s *kring.Server) error { return s.AddListener(kring.ListenerConfig{Address: "127.0.0.1:0"}) },
			"RemoveListener": func(s *kring.Server) error { return s.RemoveListener(context.Background(), "PLAINTEXT") },
		}
		for name, way := range ways {
			if err := way(s); !errors.Is(err, kring.ErrServerClosed) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v, want ErrServerClosed", name, err)
			}
		}
		delete(ways, "Start")
		fresh, err := kring.New(cfg, servertest.Echo)
		if err != nil {
			t.Fatal(err)
		}
		for name, way := range ways {
			if err := way(fresh); err == nil || errors.Is(err, kring.ErrServerClosed) {
				t.Errorf("%s before Start: %v", name, err)
			}
		}
		if err := fresh.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestCloseCutsOffWhatIsOpen: it waits for nobody's requests.
func TestCloseCutsOffWhatIsOpen(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		arrived, answer := make(chan struct{}), make(chan struct{})
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			go func() {
				close(arrived)
				<-answer
				r.NoResponse()
			}()
		}))
		c := servertest.Dial(t, s)
		c.Send("is never answered")
		<-arrived
		err := s.Close()
		close(answer)
		if err == nil || !errors.Is(err, context.Canceled) {
			t.Errorf("Close: %v, want to hear of what was cut off", err)
		}
		c.AwaitClose()
		servertest.Eventually(t, "the answer is home", func() bool { return s.Stats().MemoryMapped == 0 })
	})
}

// TestCloseOfAServerThatNobodyIsConnectedToIsNoError: nothing was cut off.
func TestCloseOfAServerThatNobodyIsConnectedToIsNoError(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		c := servertest.Dial(t, s)
		c.Send("hello")
		_ = c.Close()
		servertest.Eventually(t, "the connection is gone", func() bool { st := s.Stats(); return st.Total.Opened == 1 && st.Total.Open() == 0 })
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestANamedEngineThatCanNotRunIsAnEngineError, wherever one is chosen: this one can't
// run on any system, as the kernel that it shall serve as has no bundles.
func TestANamedEngineThatCanNotRunIsAnEngineError(t *testing.T) {
	cfg := kring.Config{Engine: kring.EngineURing, URing: uring.Config{KernelProfile: "6.0", Bundles: true}}
	_, fromNew := kring.New(cfg, kring.HandlerFunc(func(r kring.Request) { r.NoResponse() }))
	_, _, fromChoice := kring.ChooseEngine(cfg)
	for _, err := range []error{fromNew, fromChoice} {
		if e := new(kring.EngineError); !errors.As(err, &e) || e.Engine != kring.EngineURing {
			t.Errorf("%v is no EngineError of io_uring", err)
		}
		if e := new(kring.EngineError); errors.As(err, &e) && (e.Errno != 0 || !strings.Contains(e.Remedy, "EngineAuto") || e.Err == nil) {
			t.Errorf("errno %d, remedy %q, of %v", e.Errno, e.Remedy, e.Err)
		}
		if says := fmt.Sprint(err); strings.Count(says, "kring:") != 1 || !strings.Contains(says, "the engine asked for can't run here") {
			t.Errorf("it says %q", says)
		}
	}
}

// TestNamesAreText: what is chosen by name is written and read as that.
func TestNamesAreText(t *testing.T) {
	type chosen struct {
		Engine kring.Engine
		Wait   kring.Wait
	}
	want := chosen{kring.EngineEpoll, kring.WaitLocked}
	b, err := json.Marshal(want)
	if err != nil || string(b) != `{"Engine":"epoll","Wait":"locked"}` {
		t.Errorf("%s, %v", b, err)
	}
	var got chosen
	if err := json.Unmarshal(b, &got); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

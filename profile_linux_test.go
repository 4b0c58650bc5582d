package kring_test

import (
	"strings"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/uring"
)

// TestEveryKernelProfileServes: clients of a whole server, on the ways that
// each kernel takes.
func TestEveryKernelProfileServes(t *testing.T) {
	for _, profile := range uring.KernelProfiles() {
		for _, dispatch := range []kring.DispatchMode{kring.DispatchPool, kring.DispatchInline} {
			t.Run(profile+"/"+string(dispatch), func(t *testing.T) {
				cfg := servertest.Config(kring.EngineURing, dispatch)
				cfg.URing.KernelProfile = profile
				serveConversations(t, cfg, 6)
			})
		}
	}
}

// TestSettingsServe: a whole server on what changes the ways of its engines.
func TestSettingsServe(t *testing.T) {
	for _, settings := range []string{
		"recv=single poll-first=off", "taskrun-flag=off no-sqarray=off", "restrict=on", "entries=8 cq-entries=16 buffers=32 buffers-hot=2",
		"recv=fixed send=fixed", "zero-copy-fixed=on zero-copy-bytes=5000 restrict=on",
		"wake=msg-ring", "min-wait=20us", "busy-poll=20us busy-poll-forced=on", "registered-ring=on cpus=0", "single-issuer=off", "zero-copy-bytes=16384",
		"direct-fds=on", "sqpoll=1ms sqpoll-cpus=0", "accept=single bundles=on buffer-bytes=1024", "incremental=on",
	} {
		t.Run(settings, func(t *testing.T) {
			cfg := servertest.Config(kring.EngineURing, kring.DispatchInline)
			for s := range strings.FieldsSeq(settings) {
				key, value, _ := strings.Cut(s, "=")
				if err := cfg.URing.Set(key, value); err != nil {
					t.Fatal(err)
				}
			}
			serveConversations(t, cfg, 6)
			if cfg.Dispatch.Mode = kring.DispatchPool; cfg.Validate() == nil {
				serveConversations(t, cfg, 6)
			}
		})
	}
}

func TestAKernelBelowTheBaselineIsServedByTheFallback(t *testing.T) {
	cfg := servertest.Config(kring.EngineAuto, kring.DispatchPool)
	cfg.URing.KernelProfile = "5.15"
	s := servertest.Start(t, cfg, servertest.Echo)
	if s.Engine() != kring.EngineEpoll || !strings.Contains(s.Why(), "5.19") {
		t.Errorf("%s serves because of %q", s.Engine(), s.Why())
	}
	servertest.Shutdown(t, s)
	cfg.Engine = kring.EngineURing
	if _, err := kring.New(cfg, servertest.Echo); err == nil || !strings.Contains(err.Error(), "5.19") {
		t.Errorf("the engine by its name: %v", err)
	}
}

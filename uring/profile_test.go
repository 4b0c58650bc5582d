//go:build linux

package uring

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// TestAProfileLeavesExactlyWhatItsKernelHad: the flags of both kinds of engine
// and the way of receiving.
func TestAProfileLeavesExactlyWhatItsKernelHad(t *testing.T) {
	const base = setupBase | SetupSubmitAll | SetupTaskrunFlag
	for _, c := range []struct {
		profile        string
		locked, parked uint32
		multishot      bool
		noIOWait       bool
	}{
		{"5.19", base | SetupCoopTaskrun, base | SetupCoopTaskrun, false, false},
		{"6.0", base | SetupCoopTaskrun | SetupSingleIssuer, base | SetupCoopTaskrun, true, false},
		{"6.1", base | deferring, base | SetupCoopTaskrun, true, false},
		{"6.6", base | deferring | SetupNoSQArray, base | SetupCoopTaskrun | SetupNoSQArray, true, false},
		{"6.12", base | deferring | SetupNoSQArray, base | SetupCoopTaskrun | SetupNoSQArray, true, false},
		{"6.15", base | deferring | SetupNoSQArray, base | SetupCoopTaskrun | SetupNoSQArray, true, true},
	} {
		n := newTestNetwork(t, Config{KernelProfile: c.profile})
		want := [2]uint32{engine.WaitLocked: c.locked &^ ringFlagsRefused, engine.WaitParked: c.parked &^ ringFlagsRefused}
		if n.can.flags != want || n.can.multishotRecv != c.multishot {
			t.Errorf("%s: flags %#x, multishot receive %v; want %#x, %v", c.profile, n.can.flags, n.can.multishotRecv, want, c.multishot)
		}
		if says := n.Features(); !strings.Contains(says, "as on Linux "+c.profile) {
			t.Errorf("%s: Features() = %q does not say so", c.profile, says)
		}
		e, err := n.open(engine.WaitParked)
		if err != nil {
			t.Fatal(err)
		}
		if has := e.ring.Params().Features&FeatureNoIOWait != 0; has != c.noIOWait {
			t.Errorf("%s: NO_IOWAIT is %v, want %v", c.profile, has, c.noIOWait)
		}
		if _, err := e.ring.register(registerSendMsgRing+100, nil, 0); err != unix.EINVAL {
			t.Errorf("%s: a registration of the future: %v", c.profile, err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAProfileBelowTheBaselineIsRefusedWithTheReason(t *testing.T) {
	for _, profile := range []string{"5.18", "5.10", "4.19"} {
		if err := (Config{KernelProfile: profile}).Validate(); err != nil {
			t.Errorf("%s is a kernel, and Validate says %v", profile, err)
		}
		if _, err := New(Config{KernelProfile: profile}); err == nil || !strings.Contains(err.Error(), "5.19") {
			t.Errorf("%s: %v, want a refusal that names 5.19", profile, err)
		}
	}
	for _, profile := range []string{"6.2", "5", "newest", "7.0-rc1", "-1.2"} {
		if err := (Config{KernelProfile: profile}).Validate(); err == nil || !strings.Contains(err.Error(), "5.19, 6.0, 6.1") {
			t.Errorf("%q: %v, want the list of profiles", profile, err)
		}
	}
}

//go:build linux

package uring

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
)

func TestThisKernelServes(t *testing.T) {
	n, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if n.Name() != "io_uring" {
		t.Errorf("Name() = %q", n.Name())
	}
	if f := n.Features(); !strings.HasPrefix(f, "all features") && !strings.HasPrefix(f, "without ") {
		t.Errorf("Features() = %q", f)
	}
}

func TestConfigReportsEveryFaultAtOnce(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the zero Config: %v", err)
	}
	_, err := New(Config{Entries: -1, CQEntries: 1 << 30, Buffers: 100, BuffersHot: 101, BufferBytes: 1,
		SendBytesMax: -1, SendBuffersMax: 5000})
	if err == nil {
		t.Fatal("a Config full of faults was accepted")
	}
	for _, field := range []string{"Entries", "CQEntries", "Buffers is 100: give a power of two", "BuffersHot", "BufferBytes",
		"SendBytesMax", "SendBuffersMax"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("the error does not name %s:\n%v", field, err)
		}
	}
}

// TestAQueueTooLongIsOneFault, and not also one of the completion queue that follows it.
func TestAQueueTooLongIsOneFault(t *testing.T) {
	err := (Config{Entries: 1 << 30}).Validate()
	if err == nil || !strings.Contains(err.Error(), "Entries is 1073741824: give 1 to 32768") || strings.Contains(err.Error(), "CQEntries") {
		t.Errorf("it says %v", err)
	}
	for _, entries := range []int{-1, 1 << 30} {
		err := (Config{Entries: entries, CQEntries: -1}).Validate()
		if err == nil || !strings.Contains(err.Error(), "CQEntries is -1: give ") || strings.Contains(err.Error(), "give -1") || strings.Contains(err.Error(), "1073741824 to") {
			t.Errorf("%d entries: it says %v", entries, err)
		}
	}
}

func TestSetupErrorsNameCauseAndRemedy(t *testing.T) {
	proc := func(disabled, status string) func(string) string {
		return func(path string) string {
			if strings.HasSuffix(path, "io_uring_disabled") {
				return disabled
			}
			return status
		}
	}
	for _, c := range []struct {
		errno unix.Errno
		proc  func(string) string
		says  string
	}{
		{unix.EPERM, proc("2\n", ""), "kernel.io_uring_disabled=2: forbidden for everybody; allow it with sysctl"},
		{unix.EPERM, proc("1\n", ""), "kernel.io_uring_group"},
		{unix.EPERM, proc("0\n", "Seccomp:\t2\n"), "a seccomp filter forbids it (the default of container runtimes)"},
		{unix.EPERM, proc("", "Seccomp:\t0\n"), "or a security module"},
		{unix.ENOSYS, proc("", "Seccomp:\t2\n"), "gVisor"},
		{unix.ENOSYS, proc("0\n", "Seccomp:\t2\n"), "a seccomp filter hides it (this kernel has io_uring): allow"},
		{unix.ENOMEM, readProc, "ulimit -l"},
		{unix.EMFILE, readProc, "ulimit -n"},
		{unix.ENFILE, readProc, "fs.file-max"},
		{unix.EINVAL, readProc, "older than 5.19"},
		{unix.EACCES, readProc, "security module"},
	} {
		if says := setupCause(c.errno, c.proc); !strings.Contains(says, c.says) {
			t.Errorf("%v: %q, wanted it to contain %q", c.errno, says, c.says)
		}
	}
	if err := setupError(unix.EPERM); !errors.Is(err, unix.EPERM) || !strings.HasPrefix(err.Error(), "io_uring_setup: EPERM, ") {
		t.Errorf("setupError: %v", err)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	if err := requireFeatures(^uint32(0) &^ FeatureExtArg); err == nil || !strings.Contains(err.Error(), "EXT_ARG") {
		t.Errorf("without EXT_ARG: %v", err)
	}
	all := Opcodes{^uint64(0)}
	if err := requireOpcodes(&all); err != nil {
		t.Error(err)
	}
	all[0] &^= 1 << OpcodeSocket
	if err := requireOpcodes(&all); err == nil || !strings.Contains(err.Error(), "5.19") {
		t.Errorf("without SOCKET: %v", err)
	}
}

// TestASeccompFilterIsNamed runs New in a child that may not set up rings, as
// in a container.
func TestASeccompFilterIsNamed(t *testing.T) {
	inItsOwnProcess(t, func(t *testing.T) {
		forbidSetup(t)
		_, err := New(Config{})
		if err == nil || !strings.Contains(err.Error(), "EPERM, a seccomp filter forbids it") {
			t.Fatalf("New under a seccomp filter: %v", err)
		}
	})
}

func TestEnginesNeedAKnownWait(t *testing.T) {
	n := newTestNetwork(t, Config{})
	if _, err := n.Open(engine.Wait(9)); err == nil {
		t.Error("Open(9) worked")
	}
}

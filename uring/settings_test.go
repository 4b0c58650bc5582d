//go:build linux

package uring

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/enginetest"
)

// configOf reads settings as a command line has them.
func configOf(t testing.TB, settings string) Config {
	t.Helper()
	var c Config
	for s := range strings.FieldsSeq(settings) {
		key, value, _ := strings.Cut(s, "=")
		if key == "profile" {
			c.KernelProfile = value
			continue
		}
		if err := c.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// settingsCases cover every value of every setting that changes what the engine
// does; those of one case don't meet in the code.
var settingsCases = []string{
	"entries=8 cq-entries=64 buffers=64 buffers-hot=4 buffer-bytes=4096 send-bytes=65536 send-buffers=16 recv=single",
	"submit-all=off coop-taskrun=off taskrun-flag=off single-issuer=off defer-taskrun=off no-sqarray=off no-iowait=off clamp=off poll-first=off quiet-wait=off large-buffers=off",
	"taskrun-flag=off min-wait=20us min-wait-completions=4 iowq-workers=2 poll-first=on",
	"coop-taskrun=on defer-taskrun=on single-issuer=on taskrun-flag=on submit-all=on no-sqarray=on no-iowait=on registered-ring=on restrict=on quiet-wait=on large-buffers=on",
	"wake=msg-ring busy-poll=20us busy-poll-forced=on busy-poll-free-cpus=1 napi-busy-poll=5us recv=single poll-first=off cpus=0",
	"profile=6.1 zero-copy-bytes=4096 restrict=on", // never learns that it is in vain
	"zero-copy-bytes=1",
	"wake=msg-ring single-issuer=off restrict=on no-iowait=off",
	"accept=single bundles=on buffer-bytes=1024 buffers=256",
	"sqpoll=1ms sqpoll-cpus=0 restrict=on direct-fds=on",
	"direct-fds=on restrict=on",
	"sqpoll=20ms entries=4 cq-entries=16 send-buffers=3 single-issuer=off",
	"bundles=on recv=single buffers=64 buffers-hot=2",
	"incremental=on buffers=64 buffers-hot=2",
	"recv=fixed send=fixed restrict=on fixed-bytes=65536 buffer-bytes=4096", // 16 receive buffers, then none
	"profile=6.1 zero-copy-fixed=on zero-copy-bytes=4096 recv=fixed fixed-bytes=4194304",
	"send=fixed zero-copy-fixed=on zero-copy-bytes=100000 fixed-bytes=8388608 restrict=on",
}

func TestEverySettingKeepsTheEngineContract(t *testing.T) {
	cases := settingsCases
	if ringFlavour != "" {
		cases = slices.DeleteFunc(slices.Clone(cases), func(settings string) bool {
			c := configOf(t, settings)
			if !c.needsOwnRing() {
				return false
			}
			if _, err := New(c); err == nil {
				t.Errorf("%s: served by %s, which can't", settings, ringFlavour)
			}
			return true
		})
	}
	inChildren(t, cases, func(settings string) Config { return configOf(t, settings) }, enginetest.Light())
}

// TestNoSettingMakesAnIdleEngineSpin: one that waits without a limit enters the
// kernel to sleep, and that is all.
func TestNoSettingMakesAnIdleEngineSpin(t *testing.T) {
	for _, settings := range settingsCases {
		c := configOf(t, settings)
		if ringFlavour != "" && c.needsOwnRing() {
			continue
		}
		t.Run(settings, func(t *testing.T) {
			onBothWaits(t, c, func(r *rig) {
				_, _ = r.engine.Poll(r.done, 0) // what opening left to submit
				before := r.engine.total.enters
				time.AfterFunc(100*time.Millisecond, r.engine.Wake)
				if n, err := r.engine.Poll(r.done, -1); n != 0 || err != nil {
					r.t.Fatal(n, err)
				}
				const wait = 50 * time.Millisecond
				for start := time.Now(); time.Since(start) < wait; { // a signal cuts a wait short
					if n, err := r.engine.Poll(r.done, wait-time.Since(start)); n != 0 || err != nil {
						r.t.Fatal(n, err)
					}
				}
				// Up to 7, and one more for each signal of the runtime's. A tick of a
				// millisecond would be 150, and who spins enters thousands of times.
				if enters := r.engine.total.enters - before; enters > 40 && c.BusyPoll == 0 {
					r.t.Errorf("%d enters in two waits", enters)
				}
			})
		})
	}
}

func TestEverySettingIsInACase(t *testing.T) {
	all := strings.Join(settingsCases, " ")
	for _, key := range SettingKeys() {
		if !strings.Contains(" "+all, " "+key+"=") {
			t.Errorf("no case runs the engine suite with %s", key)
		}
	}
}

func TestSettingsSayWhatTheySet(t *testing.T) {
	for _, settings := range settingsCases {
		c := configOf(t, settings)
		changed := c.Changed()
		for s := range strings.FieldsSeq(settings) {
			s = strings.NewReplacer("0us", "0µs", "5us", "5µs").Replace(s)
			if !slices.Contains(changed, s) && !strings.HasPrefix(s, "profile=") && !strings.HasPrefix(s, "min-wait-completions=8") {
				t.Errorf("%q: Changed() = %q", s, changed)
			}
		}
		again := Config{}
		for _, s := range changed {
			key, value, _ := strings.Cut(s, "=")
			if err := again.Set(key, value); err != nil {
				t.Error(err)
			}
		}
		if !slices.Equal(again.Changed(), changed) {
			t.Errorf("%q read again is %q", changed, again.Changed())
		}
	}
	if changed := (Config{}).Changed(); len(changed) != 0 {
		t.Errorf("nothing was changed, and Changed() = %q", changed)
	}
}

func TestASettingThatCannotBeReadSaysWhatToGive(t *testing.T) {
	for _, c := range []struct{ key, value, says string }{
		{"entries", "many", "whole number"}, {"recv-mode", "single", "choose one of entries, "},
		{"submit-all", "yes", "auto, on or off"}, {"restrict", "auto", "on or off"},
		{"min-wait", "20", "such as 20us"}, {"cpus", "0,2", "0-2+5"}, {"cpus", "3-1", "0-2+5"},
	} {
		var config Config
		if err := config.Set(c.key, c.value); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s=%s: %v, want %q", c.key, c.value, err, c.says)
		}
	}
}

func TestWhatTheKernelExcludesIsRefusedAllAtOnce(t *testing.T) {
	c := Config{
		DeferTaskrun: On, SingleIssuer: Off, MinWaitCompletions: 4, BusyPollForced: true, Recv: "twice", Wake: "bell",
		NAPIBusyPoll: time.Second, IOWQWorkersMax: -1, CPUs: []int{-1}, KernelProfile: "next", Clamp: 9,
	}
	err := c.Validate()
	if err == nil {
		t.Fatal("a Config full of faults was accepted")
	}
	for _, says := range []string{"single issuer", "MinWaitCompletions without", "BusyPollForced without", `Recv is "twice"`,
		`Wake is "bell"`, "NAPIBusyPoll", "IOWQWorkersMax", "CPUs has -1", "KernelProfile", "Clamp is 9"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("the error does not say %q:\n%v", says, err)
		}
	}
	for _, c := range []struct {
		config Config
		says   string
	}{
		{Config{SQPoll: time.Second, DeferTaskrun: On}, "the kernel's thread submits"},
		{Config{SQPoll: time.Microsecond}, "counts in milliseconds"},
		{Config{SQPollCPUs: []int{0}}, "SQPollCPUs without SQPoll"},
		{Config{Bundles: true, Incremental: true}, "choose one"},
		{Config{QuietWait: On, MinWait: time.Millisecond}, "QuietWait is On with MinWait"},
		{Config{Accept: "twice"}, `Accept is "twice"`},
	} {
		if err := c.config.Validate(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.says)
		}
	}
	err = (Config{TaskrunFlag: On, CoopTaskrun: Off, DeferTaskrun: Off}).Validate()
	if err == nil || !strings.Contains(err.Error(), "nothing to flag") {
		t.Errorf("TASKRUN_FLAG alone: %v", err)
	}
	if err := (Config{BusyPoll: time.Microsecond}).Validate(); (err == nil) != (runtime.NumCPU() > 2) {
		t.Errorf("BusyPoll on %d CPUs: %v", runtime.NumCPU(), err)
	}
}

func TestWhatNeedsItsOwnThreadIsRefusedParked(t *testing.T) {
	for _, settings := range []string{"single-issuer=on", "defer-taskrun=on", "registered-ring=on", "cpus=0", "wake=msg-ring",
		"min-wait=20us", "napi-busy-poll=5us"} {
		c := configOf(t, settings)
		if err := c.ValidateFor(engine.WaitLocked); err != nil {
			t.Errorf("%s, locked: %v", settings, err)
		}
		if err := c.ValidateFor(engine.WaitParked); err == nil || !strings.Contains(err.Error(), "wait locked") {
			t.Errorf("%s, parked: %v", settings, err)
		}
	}
	if err := (Config{}).ValidateFor(engine.WaitParked); err != nil {
		t.Error(err)
	}
}

// TestASettingThatTheKernelLacksFailsNew: what was demanded is never left out
// in silence.
func TestASettingThatTheKernelLacksFailsNew(t *testing.T) {
	for _, c := range []struct{ profile, settings, says string }{
		{"6.1", "no-sqarray=on", "NO_SQARRAY (6.6)"}, {"6.0", "defer-taskrun=on", "DEFER_TASKRUN (6.1)"},
		{"5.19", "single-issuer=on", "SINGLE_ISSUER (6.0)"}, {"6.12", "no-iowait=on", "NO_IOWAIT (6.15)"},
		{"6.10", "min-wait=20us", "MIN_TIMEOUT (6.12)"}, {"6.6", "napi-busy-poll=5us", "NAPI (6.9"},
		{"max", "sqpoll=1ms sqpoll-cpus=1023", "CPU 1023"}, {"5.19", "zero-copy-bytes=1", "SEND_ZC (6.0)"},
		{"6.12", "direct-fds=on", "let go of at once (6.13)"}, {"6.6", "bundles=on", "RECVSEND_BUNDLE (6.10)"}, {"6.10", "incremental=on", "incremental buffers (6.12)"},
		{"5.19", "zero-copy-bytes=1 zero-copy-fixed=on", "SEND_ZC (6.0)"},
		{"6.12", "wake=msg-ring", "SEND_MSG_RING (6.13)"}, {"max", "cpus=1023", "CPU 1023"},
	} {
		config := configOf(t, c.settings)
		config.KernelProfile = c.profile
		_, err := New(config)
		if ringFlavour != "" && config.needsOwnRing() && err != nil {
			continue // refused for another reason
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s on %s: %v, want %q", c.settings, c.profile, err, c.says)
		}
	}
}

// TestARestrictedRingRunsNothingElse and still serves, as the suite shows.
func TestARestrictedRingRunsNothingElse(t *testing.T) {
	onBothWaits(t, Config{Restrict: true}, func(r *rig) {
		q := r.engine.sqe()
		q.PrepNop()
		q.UserData = userData(opMessage, 0, 0)
		if err := r.engine.submit(); err != nil {
			r.t.Fatal(err)
		}
		if n := r.engine.ring.Reap(r.engine.batch[:]); n != 1 || r.engine.batch[0].Res != -int32(unix.EACCES) {
			r.t.Errorf("%d completions, a NOP gave %d, want -EACCES", n, r.engine.batch[0].Res)
		}
	})
}

// TestABoundThreadIsFreeAgainAfterClose.
func TestABoundThreadIsFreeAgainAfterClose(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, bound, after unix.CPUSet
	_ = unix.SchedGetaffinity(0, &before)
	r := openRig(t, newTestNetwork(t, Config{CPUs: []int{0}}), engine.WaitLocked)
	_ = unix.SchedGetaffinity(0, &bound)
	r.close()
	_ = unix.SchedGetaffinity(0, &after)
	if bound.Count() != 1 || !bound.IsSet(0) || after != before {
		t.Errorf("CPUs %d before, %d bound, %d after", before.Count(), bound.Count(), after.Count())
	}
}

// TestARegisteredRingLeavesItsIndexFree: a thread has 16, so the 17th engine
// would show a leak.
func TestARegisteredRingLeavesItsIndexFree(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	n, err := New(Config{RegisteredRing: true})
	if ringFlavour != "" && err != nil {
		return // it says so, as TestEverySetting… sees
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		r := openRig(t, n, engine.WaitLocked)
		if _, err := r.engine.Poll(r.done, 0); err != nil {
			t.Fatal(err)
		}
		r.close()
	}
}

// TestThePageOfSettingsIsTheTable: docs/experiments.md has its rows as they are in the
// table of settings. KRING_UPDATE=1 writes them.
func TestThePageOfSettingsIsTheTable(t *testing.T) {
	const page, head = "../docs/experiments.md", "| key | default | since | what it does · when it helps · when it hurts |\n|---|---|---|---|\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), head)
	_, after, _ := strings.Cut(rest, "\n\n")
	var want strings.Builder
	plain := Config{}.withDefaults()
	for i := range settings {
		s := &settings[i]
		fmt.Fprintf(&want, "| `%s` | %s | %s| %s |\n", s.key, inWords(s, &plain), strings.TrimPrefix(s.since+" ", " "), s.says)
	}
	whole := before + head + want.String() + "\n" + after
	if whole != string(text) {
		if !found || os.Getenv("KRING_UPDATE") == "" {
			t.Fatalf("%s differs from the table of settings, which has\n%s", page, want.String())
		}
		if err := os.WriteFile(page, []byte(whole), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, profile := range KernelProfiles() {
		if !strings.Contains(whole, "| `"+profile+"` |") {
			t.Errorf("%s has no row for the profile %s", page, profile)
		}
	}
}

// inWords is a default for readers.
func inWords(s *setting, plain *Config) string {
	v := s.of(plain)
	_, number := v.(*int)
	_, long := v.(*time.Duration)
	switch text := format(v); {
	case s.shown != "":
		return s.shown
	case text == "":
		return "none"
	case (number || long) && strings.TrimRight(text, "s") == "0":
		return "0 (off)"
	default:
		return text
	}
}

// TestTheTableOfSettingsHasEveryFieldOnce, but for the profile, which is no setting, and
// each row says what a user wants to know.
func TestTheTableOfSettingsHasEveryFieldOnce(t *testing.T) {
	fields := reflect.TypeFor[Config]()
	exported := 0
	for i := range fields.NumField() {
		if fields.Field(i).IsExported() {
			exported++
		}
	}
	if exported != len(settings)+1 {
		t.Errorf("%d fields, %d settings", exported, len(settings))
	}
	for i := range settings {
		s := &settings[i]
		if name := fields.Field(i).Name; name != s.field {
			t.Errorf("field %d is %s, the table's is %s", i, name, s.field)
		}
		if s.says == "" || s.key == "" {
			t.Errorf("%s is not explained", s.field)
		}
	}
}

// TestEverySettingCanBeTriedOut with the values that the list offers: each
// differs from the default, is read, and serves.
func TestEverySettingCanBeTriedOut(t *testing.T) {
	for _, s := range Settings() {
		if len(s.Try) == 0 {
			t.Errorf("nothing to try for %s: add a value to try", s.Key)
		}
		for _, try := range s.Try {
			c := configOf(t, strings.ReplaceAll(try, ",", " "))
			if err := c.Validate(); err != nil {
				t.Errorf("%s: %v", try, err)
			}
			if s.Locked != (c.ValidateFor(engine.WaitParked) != nil) && s.Locked {
				t.Errorf("%s is said to be for locked engines only, and is not", try)
			}
			if _, err := New(c); err != nil && !(ringFlavour != "" && c.needsOwnRing()) {
				t.Errorf("%s: %v", try, err)
			}
			if def := (Config{}).withDefaults(); s.Default != format(settingOf(s.Key).of(&def)) {
				t.Errorf("%s: default %q", s.Key, s.Default)
			}
		}
	}
}

func settingOf(key string) *setting {
	return &settings[slices.IndexFunc(settings, func(s setting) bool { return s.key == key })]
}
